/*
 * lossctl doctor: one check after the other, of which each says what it found. What cannot be known
 * is no fault.
 */
#include "cli/progress.h"
#include "cli/wrap.h"
#include "evaluation/example.h"
#include "http/connection.h"
#include "number/number.h"
#include "v1/v1.h"
#include "json/tensor_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum verdict { FINE, WORTH_A_LOOK, WRONG };
static const char *const verdicts[] = {[FINE] = "ok", [WORTH_A_LOOK] = "note", [WRONG] = "FAIL"};
enum { NAME_WIDTH = 10, PROBES = 100 };

struct doctor {
    struct connection connection;
    bool json;
    struct buffer text; /* owned: the answer in JSON */
    int checks, wrong;
};

__attribute__((format(printf, 4, 5))) static void
report(struct doctor *d, const char *name, enum verdict verdict, const char *format, ...)
{
    char detail[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    d->wrong += verdict == WRONG;
    if (!d->json) {
        progress_end();
        const int width = printf("%-4s  %-*s  ", verdicts[verdict], NAME_WIDTH, name);
        print_wrapped(stdout, detail, width, width);
        fflush(stdout);
        return;
    }
    buffer_printf(&d->text,
                  "%s{\"name\":\"%s\",\"verdict\":\"%s\",\"detail\":", d->checks++ ? "," : "", name,
                  verdict == WRONG ? "fail" : verdicts[verdict]);
    json_append_string(&d->text, detail);
    buffer_text(&d->text, "}");
}

/* GET of a path that may answer anything; EXIT_UNREACHABLE where nothing answers. */
static enum exit_code get(struct doctor *d, const char *path, struct response *response)
{
    return connection_ask(&d->connection, &(struct request){.path = path}, response);
}

static json_t *parse(const struct response *response)
{
    return response->status == 200 ? json_loadb(response->body.data, response->body.len, 0, NULL)
                                   : NULL;
}

/* ---- the checks ---- */

static enum exit_code check_reachable(struct doctor *d)
{
    struct response response;
    const enum exit_code code = get(d, "/healthz", &response);
    if (code != EXIT_OK)
        return code;
    report(d, "reachable", response.status == 200 ? FINE : WRONG, "%s answers %d after %.1f ms",
           d->connection.shown, response.status, response.ms);
    response_free(&response);
    return EXIT_OK;
}

static enum exit_code check_ready(struct doctor *d)
{
    struct response response;
    const enum exit_code code = get(d, "/readyz", &response);
    if (code != EXIT_OK)
        return code;
    if (response.status == 200)
        report(d, "ready", FINE, "it takes work");
    else
        report(d, "ready", WRONG, "it takes no work: GET /readyz answers %d", response.status);
    response_free(&response);
    return EXIT_OK;
}

/* Asking for what only those may see who are let in. */
static enum exit_code check_version(struct doctor *d)
{
    struct response response;
    enum exit_code code = get(d, "/v2", &response);
    if (code != EXIT_OK)
        return code;
    json_t *const tree = parse(&response);
    const char *const version = json_string_value(json_object_get(tree, "version"));
    const char *const name = json_string_value(json_object_get(tree, "name"));
    if (response.status == 401 || response.status == 403)
        code = response_refused(&d->connection, &response);
    else if (!version || !name)
        report(d, "version", WRONG, "GET /v2 answers %d, and not what lossd would",
               response.status);
    else
        report(d, "version", strcmp(version, LOSS_VERSION) == 0 ? FINE : WORTH_A_LOOK, "%s %s%s",
               name, version,
               strcmp(version, LOSS_VERSION) == 0 ? ", as this program"
                                                  : "; this program is of " LOSS_VERSION);
    json_decref(tree);
    response_free(&response);
    return code;
}

/* Names that the one has and the other has not, in a list. */
static void add_name(char *list, size_t size, const char *name)
{
    const size_t len = strlen(list);
    snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

static enum exit_code check_table(struct doctor *d)
{
    char missing[512] = "", foreign[512] = "";
    struct response response;
    const enum exit_code code = get(d, "/v1/losses", &response);
    if (code != EXIT_OK)
        return code;
    json_t *const tree = parse(&response), *const losses = json_object_get(tree, "losses"), *loss;
    size_t i, known = 0;
    json_array_foreach(losses, i, loss)
    {
        const char *const name = json_string_value(json_object_get(loss, "name"));
        if (name && loss_find(name))
            known++;
        else
            add_name(foreign, sizeof foreign, name ? name : "?");
    }
    for (i = 0; i < loss_count() && known < loss_count(); i++) {
        bool there = false;
        size_t k;
        json_array_foreach(losses, k, loss)
        {
            const char *const name = json_string_value(json_object_get(loss, "name"));
            there |= name && strcmp(name, loss_at(i)->name) == 0;
        }
        if (!there)
            add_name(missing, sizeof missing, loss_at(i)->name);
    }
    if (!losses)
        report(d, "losses", WRONG, "GET /v1/losses answers %d, and no table", response.status);
    else if (*missing || *foreign)
        report(d, "losses", WORTH_A_LOOK, "%zu%s%s%s%s", json_array_size(losses),
               *missing ? "; it does not have " : "", missing,
               *foreign ? "; this program does not have " : "", foreign);
    else
        report(d, "losses", FINE, "%zu, as in this program", json_array_size(losses));
    json_decref(tree);
    response_free(&response);
    return EXIT_OK;
}

/* The value of a metric without labels at the beginning of a line; false if there is none. */
static bool metric(const char *text, const char *name, double *value)
{
    const size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += len)
        if ((at == text || at[-1] == '\n') && at[len] == ' ')
            return number_read_f64(at + len + 1, value) != NULL;
    return false;
}

static enum exit_code check_machine(struct doctor *d)
{
    static const char info[] = "\nlossd_build_info{";
    struct response response;
    double threads = 0, queue = 0;
    const enum exit_code code = get(d, "/metrics", &response);
    if (code != EXIT_OK)
        return code;
    const char *const found = response.status == 200 ? strstr(response.body.data, info) : NULL;
    if (found) {
        const char *const labels = found + strlen(info);
        report(d, "build", FINE, "%.*s", (int)strcspn(labels, "}"), labels);
    }
    if (found && metric(response.body.data, "lossd_compute_threads", &threads))
        report(d, "threads", FINE, "%.0f compute", threads);
    if (found && metric(response.body.data, "lossd_queue_limit", &queue))
        report(d, "queue", FINE, "%.0f requests may wait", queue);
    if (!found)
        report(d, "build", WORTH_A_LOOK,
               "GET /metrics answers %d, so that what it computes on is not known",
               response.status);
    response_free(&response);
    return EXIT_OK;
}

/* A limit as its option takes it: large numbers, which are of bytes, in MiB or GiB. */
static void add_limit(char *list, size_t size, const char *name, const json_t *value)
{
    const double number = json_number_value(value), unit = number >= 0x1p30   ? 0x1p30
                                                           : number >= 0x1p20 ? 0x1p20
                                                                              : 1;
    char one[128];
    snprintf(one, sizeof one, "%s %.*g%s", name, unit > 1 ? 4 : 15, number / unit,
             unit > 0x1p20 ? "G"
             : unit > 1    ? "M"
                           : "");
    for (char *at = one; *at; at++)
        *at = *at == '_' ? '-' : *at;
    add_name(list, size, one);
}

static enum exit_code check_limits(struct doctor *d)
{
    char list[2000] = "";
    struct response response;
    const char *key;
    json_t *value;
    const enum exit_code code = get(d, "/v1/limits", &response);
    if (code != EXIT_OK)
        return code;
    json_t *const tree = parse(&response);
    json_object_foreach(tree, key, value) add_limit(list, sizeof list, key, value);
    if (*list)
        report(d, "limits", FINE, "%s", list);
    else
        report(d, "limits", WORTH_A_LOOK, "GET /v1/limits answers %d, so that they are not known",
               response.status);
    json_decref(tree);
    response_free(&response);
    return EXIT_OK;
}

/* ---- requests ---- */

static enum exit_code post(struct doctor *d, const struct loss_descriptor *loss, const char *body,
                           struct response *response)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/losses/%s", loss->name);
    return connection_ask(&d->connection,
                          &(struct request){.path = path,
                                            .content_type = "application/json",
                                            .segment = &(struct segment){body, strlen(body)},
                                            .segments = 1},
                          response);
}

/* The example of a loss as a body, to be freed; NULL where memory has run out. */
static char *example_body(const struct loss_descriptor *loss)
{
    json_t *const tree = example_request(loss);
    char *const body = tree ? json_dumps(tree, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(tree);
    return body;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum exit_code check_latency(struct doctor *d)
{
    double ms[PROBES];
    char *const body = example_body(loss_at(0));
    enum exit_code code = body ? EXIT_OK : fail_memory();
    for (int i = 0; i < PROBES && code == EXIT_OK; i++) {
        struct response response;
        code = post(d, loss_at(0), body, &response);
        ms[i] = response.ms;
        if (code == EXIT_OK && response.status != 200)
            code = response_refused(&d->connection, &response);
        response_free(&response);
    }
    free(body);
    if (code != EXIT_OK)
        return code;
    qsort(ms, PROBES, sizeof *ms, by_size);
    report(d, "latency", FINE, "a small request takes %.2f ms; of %d the slowest took %.2f ms",
           ms[PROBES / 2], PROBES, ms[PROBES - 1]);
    return EXIT_OK;
}

/* Whether the example of a loss is answered there as it is here, to the byte. Says what is not so.
 */
static enum exit_code check_loss(struct doctor *d, const struct loss_descriptor *loss, bool *same)
{
    struct response there = {.status = 0};
    struct reply here = {.status = 0};
    char *const body = example_body(loss);
    enum exit_code code = body ? post(d, loss, body, &there) : fail_memory();
    if (code == EXIT_OK)
        v1_evaluate(
            &(struct v1_request){
                .loss = loss->name, .body = body, .len = strlen(body), .threads = 1},
            &here);
    *same = code == EXIT_OK && there.status == 200 && here.status == 200 &&
            there.body.len == here.body.len &&
            memcmp(there.body.data, here.body.data, here.body.len) == 0;
    if (code == EXIT_OK && !*same)
        report(d, "self-test", WRONG, "%s: the server answers %d %.*s, and this program %d %.*s",
               loss->name, there.status, (int)there.body.len, there.body.data, here.status,
               (int)here.body.len, here.body.data);
    reply_free(&here);
    response_free(&there);
    free(body);
    return code;
}

static enum exit_code check_losses(struct doctor *d)
{
    size_t right = 0;
    progress_begin("evaluating every loss");
    for (size_t i = 0; i < loss_count(); i++) {
        bool same;
        const enum exit_code code = check_loss(d, loss_at(i), &same);
        if (code != EXIT_OK)
            return code;
        right += same;
    }
    if (right == loss_count())
        report(d, "self-test", FINE,
               "the examples of all %zu losses give the same bits, gradients included, as in this "
               "program",
               right);
    return EXIT_OK;
}

enum exit_code command_doctor(const struct arguments *a)
{
    static enum exit_code (*const checks[])(struct doctor *) = {
        check_reachable, check_ready,  check_version, check_table,
        check_machine,   check_limits, check_latency, check_losses};
    struct doctor d = {.json = a->value[OPT_JSON] != NULL};
    enum exit_code code = connection_open(&d.connection, a);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && code == EXIT_OK; i++)
        code = checks[i](&d);
    if (d.text.failed)
        code = fail_memory();
    else if (d.json && code == EXIT_OK)
        printf("{\"checks\":[%.*s],\"healthy\":%s}\n", (int)d.text.len, d.text.data,
               d.wrong ? "false" : "true");
    buffer_free(&d.text);
    connection_close(&d.connection);
    return code == EXIT_OK && d.wrong > 0 ? EXIT_FAILED : code;
}
