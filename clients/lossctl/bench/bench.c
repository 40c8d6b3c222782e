/* lossctl bench: what is to be measured, one scenario after the other, and whether it was good
 * enough. */
#include "bench/bench.h"
#include "bench/sample.h"
#include "cli/progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST = 64, MOST_SCENARIOS = 4096, MOST_CONNECTIONS = 4096 };

/* ---- what is asked ---- */

/* Whether the text up to the next comma is name=value: of a loss that stands before it. */
static bool is_value(const char *text)
{
    return text[strcspn(text, "=:,")] == '=';
}

/* Cuts a list at its commas, in place; huber:delta=1,reduction=sum is one member. */
static enum exit_code split(char *text, enum option_id option, const char *item[LIST], int *count)
{
    *count = 0;
    for (char *at = text; at; *count += 1) {
        if (*count == LIST)
            return fail(EXIT_USAGE, "--%s has more than %d members", option_specs[option].name,
                        LIST);
        item[*count] = at;
        do
            at = strchr(at, ',');
        while (at && is_value(++at));
        if (at)
            at[-1] = '\0';
    }
    return EXIT_OK;
}

/* The axes of the matrix. */
struct axes {
    int losses, sizes, formats, connections;
    const char *spec[LIST];
    const struct loss_descriptor *loss[LIST];
    long size[LIST], connection[LIST];
    enum payload_format format[LIST];
};

static enum exit_code take_number(const char *text, enum option_id option, long most, long *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 1 || number > most)
        return fail(
            EXIT_USAGE,
            "--%s has '%s'; it must be whole numbers from 1 to %ld, with commas between them",
            option_specs[option].name, text, most);
    *value = (long)number;
    return EXIT_OK;
}

static enum exit_code take_format(const char *text, enum payload_format *format)
{
    char meant[LOSS_MEANT_TEXT];
    struct loss_nearest search = {.name = text};
    for (int i = 0; i < PAYLOAD_FORMATS; i++) {
        *format = (enum payload_format)i;
        if (strcmp(payload_names[i], text) == 0)
            return EXIT_OK;
        loss_nearest_try(&search, payload_names[i]);
    }
    return fail(
        EXIT_USAGE, "there is no format '%s'%s", text,
        loss_nearest_text(&search, "'", "'", "json, base64, safetensors and oip are", meant));
}

static enum exit_code take_loss(const char *spec, struct axes *axes)
{
    const struct loss_descriptor *const loss = find_loss_spec(spec);
    if (!loss)
        return EXIT_USAGE;
    axes->spec[axes->losses] = spec;
    axes->loss[axes->losses++] = loss;
    return EXIT_OK;
}

/* Reads one axis; `copy`, to be freed, is what it points into. */
static enum exit_code take_axis(const struct arguments *a, enum option_id option,
                                const char *fallback, struct axes *axes, char **copy)
{
    const char *item[LIST];
    int count = 0;
    *copy = strdup(a->value[option] ? a->value[option] : fallback);
    enum exit_code code = *copy ? split(*copy, option, item, &count) : fail_memory();
    for (int i = 0; code == EXIT_OK && i < count; i++) {
        if (option == OPT_LOSSES)
            code = take_loss(item[i], axes);
        else if (option == OPT_FORMATS)
            code = take_format(item[i], &axes->format[axes->formats++]);
        else if (option == OPT_SIZES)
            code = take_number(item[i], option, 1000000000, &axes->size[axes->sizes++]);
        else
            code = take_number(item[i], option, MOST_CONNECTIONS,
                               &axes->connection[axes->connections++]);
    }
    return code;
}

static enum exit_code take_axes(const struct arguments *a, struct axes *axes, char **losses)
{
    static const struct {
        enum option_id option;
        const char *fallback;
    } others[] = {{OPT_SIZES, "1000"}, {OPT_FORMATS, "safetensors"}, {OPT_CONNECTIONS, "8"}};
    enum exit_code code = take_axis(a, OPT_LOSSES, "mse", axes, losses);
    for (size_t i = 0; i < sizeof others / sizeof others[0] && code == EXIT_OK; i++) {
        char *copy = NULL;
        code = take_axis(a, others[i].option, others[i].fallback, axes, &copy);
        free(copy);
    }
    return code;
}

static enum exit_code make_matrix(const struct arguments *a, struct bench *bench)
{
    struct axes axes = {.losses = 0};
    const enum exit_code code = take_axes(a, &axes, &bench->losses);
    if (code != EXIT_OK)
        return code;
    const int count = axes.losses * axes.sizes * axes.formats * axes.connections;
    if (count > MOST_SCENARIOS)
        return fail(EXIT_USAGE, "that makes %d scenarios; the most is %d", count, MOST_SCENARIOS);
    bench->scenario = calloc((size_t)count, sizeof *bench->scenario);
    if (!bench->scenario)
        return fail_memory();
    for (; bench->count < count; bench->count++) {
        int i = bench->count;
        struct scenario *const scenario = &bench->scenario[i];
        scenario->connections = (int)axes.connection[i % axes.connections];
        i /= axes.connections;
        scenario->format = axes.format[i % axes.formats];
        i /= axes.formats;
        scenario->size = (size_t)axes.size[i % axes.sizes];
        scenario->loss = axes.loss[i / axes.sizes];
        scenario->spec = axes.spec[i / axes.sizes];
    }
    return EXIT_OK;
}

static enum exit_code ask(const struct arguments *a, struct bench *bench)
{
    bench->grad = a->value[OPT_WITH_GRAD] != NULL;
    if (argument_number(a, OPT_RATE, 0.001, 1e7, 0, &bench->rate) != EXIT_OK ||
        argument_number(a, OPT_WARM_UP, 0, 3600, 1, &bench->warm_up) != EXIT_OK ||
        argument_number(a, OPT_DURATION, 0.1, 1e6, 5, &bench->duration) != EXIT_OK)
        return EXIT_USAGE;
    for (int i = 0; i < a->repeats; i++)
        if (a->repeated[i].option == OPT_LIMIT &&
            bench_limit_read(&bench->limit[bench->limits++], a->repeated[i].value) != EXIT_OK)
            return EXIT_USAGE;
    return make_matrix(a, bench);
}

/* ---- a scenario ---- */

/* Sends the request once: its answer must be the one that this program gives. */
static enum exit_code check_answer(struct connection *connection, const struct payload *payload,
                                   const struct task *task, struct scenario *scenario)
{
    char length[32];
    struct response response;
    struct buffer expected;
    snprintf(length, sizeof length, "%zu", payload->header_length);
    enum exit_code code = payload_answer(payload, task, &expected);
    if (code != EXIT_OK)
        return code;
    code = connection_ask(
        connection,
        &(struct request){.path = payload->path,
                          .content_type = payload->content_type,
                          .inference_header = payload->header_length > 0 ? length : NULL,
                          .segment = &(struct segment){payload->body.data, payload->body.len},
                          .segments = 1},
        &response);
    if (code == EXIT_OK && response.status != 200)
        code = response_refused(connection, &response);
    else if (code == EXIT_OK && (response.body.len != expected.len ||
                                 memcmp(response.body.data, expected.data, expected.len) != 0))
        code = fail(EXIT_FAILED, "%s: the server's answer is not the one that this program gives",
                    task->label);
    scenario->request_bytes = payload->body.len;
    scenario->answer_bytes = expected.len;
    buffer_free(&expected);
    response_free(&response);
    return code;
}

static enum exit_code prepare(struct task *task, struct sample *sample, const struct bench *bench,
                              const struct scenario *scenario, size_t classes,
                              struct payload *payload)
{
    enum exit_code code = task_set_own(task, scenario->spec);
    if (code == EXIT_OK)
        code = sample_give(sample, task, scenario->size, classes);
    task->evaluation.len = scenario->size * sizeof(float);
    if (bench->grad)
        task->evaluation.request.grad = loss_predictions(scenario->loss);
    if (code == EXIT_OK)
        code = task_prepare(task);
    return code == EXIT_OK ? payload_make(payload, task, scenario->format) : code;
}

static enum exit_code run_scenario(const struct bench *bench, struct scenario *scenario,
                                   struct connection *connection, size_t classes)
{
    char label[BENCH_LABEL];
    struct sample sample = {.data = {NULL}};
    struct payload payload = {.path = ""};
    struct task *const task = malloc(sizeof *task);
    if (!task)
        return fail_memory();
    task_begin(task, scenario->loss, 1);
    task->label = bench_label(scenario, label);
    enum exit_code code = prepare(task, &sample, bench, scenario, classes, &payload);
    if (code == EXIT_OK)
        code = check_answer(connection, &payload, task, scenario);
    if (code == EXIT_OK) {
        const struct load_settings settings = {.payload = &payload,
                                               .label = label,
                                               .connections = scenario->connections,
                                               .rate = bench->rate,
                                               .warm_up = bench->warm_up,
                                               .duration = bench->duration};
        code = load_run(connection, &settings, &scenario->result);
        scenario->ran = code == EXIT_OK;
    }
    payload_free(&payload);
    task_free(task);
    free(task);
    sample_free(&sample);
    return code;
}

/* ---- all of it ---- */

static enum exit_code write_report(const struct bench *bench, const char *path,
                                   void (*put)(const struct bench *bench, struct buffer *out))
{
    struct buffer text = {0};
    put(bench, &text);
    if (text.failed) {
        buffer_free(&text);
        return fail_memory();
    }
    const bool standard = strcmp(path, "-") == 0;
    FILE *const file = standard ? stdout : fopen(path, "we");
    bool right = file && fwrite(text.data, 1, text.len, file) == text.len && fflush(file) == 0;
    int why = errno;
    if (file && !standard && fclose(file) != 0 && right) {
        why = errno;
        right = false;
    }
    buffer_free(&text);
    return right ? EXIT_OK : fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(why));
}

static enum exit_code report(const struct arguments *a, const struct bench *bench)
{
    const char *const json = a->value[OPT_JSON_FILE], *const html = a->value[OPT_HTML];
    enum exit_code code = EXIT_OK;
    if (!(json && strcmp(json, "-") == 0))
        code = write_report(bench, "-", bench_put_table);
    if (json && code == EXIT_OK)
        code = write_report(bench, json, bench_put_json);
    if (html && code == EXIT_OK)
        code = write_report(bench, html, bench_put_html);
    return code;
}

/* Says which limits were missed, and by whom. */
static enum exit_code judge(const struct bench *bench)
{
    static const char *const units[QUANTITIES] = {
        " ms", " ms", " ms", " ms", " ms", " ms", "", " of all requests", " requests/s"};
    char label[BENCH_LABEL];
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < bench->count; i++)
        for (int k = 0; k < bench->limits && bench->scenario[i].ran; k++)
            if (!bench_keeps(&bench->scenario[i], &bench->limit[k]))
                code = fail(EXIT_FAILED, "%s misses --limit %s: it has %.4g%s",
                            bench_label(&bench->scenario[i], label), bench->limit[k].text,
                            bench_quantity(&bench->scenario[i], bench->limit[k].quantity),
                            units[bench->limit[k].quantity]);
    return code;
}

enum exit_code command_bench(const struct arguments *a)
{
    struct bench bench = {.count = 0};
    struct connection connection = {.curl = NULL};
    long classes;
    enum exit_code code = ask(a, &bench);
    if (code == EXIT_OK)
        code = argument_integer(a, OPT_CLASSES, 1, 1000000, 10, &classes);
    if (code == EXIT_OK)
        code = connection_open(&connection, a);
    bench.url = connection.shown;
    for (int i = 0; i < bench.count && code == EXIT_OK && !load_interrupted(); i++)
        code = run_scenario(&bench, &bench.scenario[i], &connection, (size_t)classes);
    if (code == EXIT_OK)
        code = report(a, &bench);
    if (code == EXIT_OK)
        code = judge(&bench);
    if (code == EXIT_OK && load_interrupted())
        code = fail(EXIT_FAILED, "interrupted: the figures are of the time until then");
    connection_close(&connection);
    free(bench.scenario);
    free(bench.losses);
    return code;
}
