/* lossctl bench: runs each scenario, prints reports and checks limits. */
#include "bench/report.h"
#include "bench/sample.h"
#include "cli/progress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 64, MAX_SCENARIOS = 4096, MAX_CONNECTIONS = 4096 };

/* ---- Options ---- */

/* Returns true if the text begins with NAME=VALUE, a parameter of the preceding loss. */
static bool is_value(const char *text)
{
    return text[strcspn(text, "=:,")] == '=';
}

/* Splits a list at its commas, in place. huber:delta=1,reduction=sum is one item. */
static enum exit_code split(char *text, enum option_id option, const char *item[MAX_ITEMS],
                            int *count)
{
    *count = 0;
    for (char *at = text; at; *count += 1) {
        if (*count == MAX_ITEMS)
            return fail(EXIT_USAGE, "--%s has more than %d items", option_specs[option].name,
                        MAX_ITEMS);
        item[*count] = at;
        do
            at = strchr(at, ',');
        while (at && is_value(++at));
        if (at)
            at[-1] = '\0';
    }
    return EXIT_OK;
}

/* The axes of the scenario matrix. */
struct axes {
    int losses, sizes, formats, connections;
    const char *spec[MAX_ITEMS];
    const struct loss_descriptor *loss[MAX_ITEMS];
    long size[MAX_ITEMS], connection[MAX_ITEMS];
    enum payload_format format[MAX_ITEMS];
};

static enum exit_code read_number(const char *text, enum option_id option, long max, long *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 1 || number > max)
        return fail(EXIT_USAGE,
                    "--%s contains '%s'; expected integers from 1 to %ld, separated by commas",
                    option_specs[option].name, text, max);
    *value = (long)number;
    return EXIT_OK;
}

static enum exit_code read_format(const char *text, enum payload_format *format)
{
    char suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = text};
    for (int i = 0; i < PAYLOAD_FORMATS; i++) {
        *format = (enum payload_format)i;
        if (strcmp(payload_names[i], text) == 0)
            return EXIT_OK;
        loss_nearest_try(&search, payload_names[i]);
    }
    return fail(EXIT_USAGE, "no such format '%s'%s", text,
                loss_nearest_text(&search, "'", "'", "it must be json, base64, safetensors or oip",
                                  suggestion));
}

static enum exit_code read_loss(const char *spec, struct axes *axes)
{
    const struct loss_descriptor *const loss = arguments_find_loss_spec(spec);
    if (!loss)
        return EXIT_USAGE;
    axes->spec[axes->losses] = spec;
    axes->loss[axes->losses++] = loss;
    return EXIT_OK;
}

/* Reads one axis from its option, or from `fallback` if that is not given. Sets *copy to the text,
   which the caller frees: the specs of the losses point into it. */
static enum exit_code read_axis(const struct arguments *a, enum option_id option,
                                const char *fallback, struct axes *axes, char **copy)
{
    const char *item[MAX_ITEMS];
    int count = 0;
    *copy = strdup(a->value[option] ? a->value[option] : fallback);
    enum exit_code code = *copy ? split(*copy, option, item, &count) : fail_memory();
    for (int i = 0; code == EXIT_OK && i < count; i++) {
        if (option == OPT_LOSSES)
            code = read_loss(item[i], axes);
        else if (option == OPT_FORMATS)
            code = read_format(item[i], &axes->format[axes->formats++]);
        else if (option == OPT_SIZES)
            code = read_number(item[i], option, 1000000000, &axes->size[axes->sizes++]);
        else
            code = read_number(item[i], option, MAX_CONNECTIONS,
                               &axes->connection[axes->connections++]);
    }
    return code;
}

static enum exit_code read_axes(const struct arguments *a, struct axes *axes, char **losses)
{
    static const struct {
        enum option_id option;
        const char *fallback;
    } others[] = {{OPT_SIZES, "1000"}, {OPT_FORMATS, "safetensors"}, {OPT_CONNECTIONS, "8"}};
    enum exit_code code = read_axis(a, OPT_LOSSES, "mse", axes, losses);
    for (size_t i = 0; i < sizeof others / sizeof others[0] && code == EXIT_OK; i++) {
        char *copy = NULL;
        code = read_axis(a, others[i].option, others[i].fallback, axes, &copy);
        free(copy);
    }
    return code;
}

static enum exit_code make_matrix(const struct arguments *a, struct bench *bench)
{
    struct axes axes = {.losses = 0};
    const enum exit_code code = read_axes(a, &axes, &bench->losses);
    if (code != EXIT_OK)
        return code;
    const int count = axes.losses * axes.sizes * axes.formats * axes.connections;
    if (count > MAX_SCENARIOS)
        return fail(EXIT_USAGE, "the options produce %d scenarios; the maximum is %d", count,
                    MAX_SCENARIOS);
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

static enum exit_code read_options(const struct arguments *a, struct bench *bench)
{
    bench->grad = a->value[OPT_WITH_GRAD] != NULL;
    if (arguments_number(a, OPT_RATE, 0.001, 1e7, 0, &bench->rate) != EXIT_OK ||
        arguments_number(a, OPT_WARM_UP, 0, 3600, 1, &bench->warm_up) != EXIT_OK ||
        arguments_number(a, OPT_DURATION, 0.1, 1e6, 5, &bench->duration) != EXIT_OK)
        return EXIT_USAGE;
    for (int i = 0; i < a->repeats; i++)
        if (a->repeated[i].option == OPT_LIMIT &&
            limit_read(&bench->limit[bench->limits++], a->repeated[i].value) != EXIT_OK)
            return EXIT_USAGE;
    return make_matrix(a, bench);
}

/* ---- Scenarios ---- */

/* Sends the request once. Fails unless the body of the response is identical to that of this
   program. Sets the sizes of both bodies in `scenario`. */
static enum exit_code check_response(struct connection *connection, const struct payload *payload,
                                     const struct task *task, struct scenario *scenario)
{
    char length[32];
    struct http_response response;
    struct buffer expected;
    snprintf(length, sizeof length, "%zu", payload->header_length);
    enum exit_code code = payload_expected_response(payload, task, &expected);
    if (code != EXIT_OK)
        return code;
    code = connection_perform(
        connection,
        &(struct http_request){.path = payload->path,
                               .content_type = payload->content_type,
                               .inference_header = payload->header_length > 0 ? length : NULL,
                               .segment = &(struct segment){payload->body.data, payload->body.len},
                               .segments = 1},
        &response);
    if (code == EXIT_OK && response.status != 200)
        code = http_response_fail(connection, &response);
    else if (code == EXIT_OK && (response.body.len != expected.len ||
                                 memcmp(response.body.data, expected.data, expected.len) != 0))
        code = fail(EXIT_FAILED, "%s: the server's response differs from that of this program",
                    task->label);
    scenario->request_bytes = payload->body.len;
    scenario->response_bytes = expected.len;
    buffer_free(&expected);
    http_response_free(&response);
    return code;
}

static enum exit_code prepare(struct task *task, struct sample *sample, const struct bench *bench,
                              const struct scenario *scenario, size_t classes,
                              struct payload *payload)
{
    enum exit_code code = task_set_spec(task, scenario->spec);
    if (code == EXIT_OK)
        code = sample_fill(sample, task, scenario->size, classes);
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
    char label[SCENARIO_LABEL];
    struct sample sample = {.data = {NULL}};
    struct payload payload = {.path = ""};
    struct task *const task = malloc(sizeof *task);
    if (!task)
        return fail_memory();
    task_begin(task, scenario->loss, 1);
    task->label = scenario_label(scenario, label);
    enum exit_code code = prepare(task, &sample, bench, scenario, classes, &payload);
    if (code == EXIT_OK)
        code = check_response(connection, &payload, task, scenario);
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

/* ---- Reports ---- */

static enum exit_code write_report(const struct bench *bench, const char *path,
                                   void (*put)(const struct bench *bench, struct buffer *out))
{
    struct buffer text = {0};
    put(bench, &text);
    if (text.failed) {
        buffer_free(&text);
        return fail_memory();
    }
    const bool to_stdout = strcmp(path, "-") == 0;
    FILE *const file = to_stdout ? stdout : fopen(path, "we");
    bool ok = file && fwrite(text.data, 1, text.len, file) == text.len && fflush(file) == 0;
    int why = errno;
    if (file && !to_stdout && fclose(file) != 0 && ok) {
        why = errno;
        ok = false;
    }
    buffer_free(&text);
    return ok ? EXIT_OK
              : fail(EXIT_FAILED, "cannot write %s: %s", to_stdout ? "to standard output" : path,
                     strerror(why));
}

static enum exit_code report(const struct arguments *a, const struct bench *bench)
{
    const char *const json = a->value[OPT_JSON_FILE], *const html = a->value[OPT_HTML];
    enum exit_code code = EXIT_OK;
    if (!(json && strcmp(json, "-") == 0))
        code = write_report(bench, "-", report_put_table);
    if (json && code == EXIT_OK)
        code = write_report(bench, json, report_put_json);
    if (html && code == EXIT_OK)
        code = write_report(bench, html, report_put_html);
    return code;
}

/* Reports each limit that is not met. */
static enum exit_code check_limits(const struct bench *bench)
{
    static const char *const units[QUANTITY_COUNT] = {
        " ms", " ms", " ms", " ms", " ms", " ms", "", " of all requests", " requests/s"};
    char label[SCENARIO_LABEL];
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < bench->count; i++)
        for (int k = 0; k < bench->limits && bench->scenario[i].ran; k++)
            if (!limit_is_met(&bench->scenario[i], &bench->limit[k]))
                code = fail(EXIT_FAILED, "%s does not meet --limit %s: measured %.4g%s",
                            scenario_label(&bench->scenario[i], label), bench->limit[k].text,
                            scenario_quantity(&bench->scenario[i], bench->limit[k].quantity),
                            units[bench->limit[k].quantity]);
    return code;
}

enum exit_code command_bench(const struct arguments *a)
{
    struct bench bench = {.count = 0};
    struct connection connection = {.curl = NULL};
    long classes;
    enum exit_code code = read_options(a, &bench);
    if (code == EXIT_OK)
        code = arguments_integer(a, OPT_CLASSES, 1, 1000000, 10, &classes);
    if (code == EXIT_OK)
        code = connection_open(&connection, a);
    bench.url = connection.shown;
    for (int i = 0; i < bench.count && code == EXIT_OK && !load_interrupted(); i++)
        code = run_scenario(&bench, &bench.scenario[i], &connection, (size_t)classes);
    if (code == EXIT_OK)
        code = report(a, &bench);
    if (code == EXIT_OK)
        code = check_limits(&bench);
    if (code == EXIT_OK && load_interrupted())
        code = fail(EXIT_FAILED, "interrupted; the results cover only the time until then");
    connection_close(&connection);
    free(bench.scenario);
    free(bench.losses);
    return code;
}
