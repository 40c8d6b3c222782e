/* lossctl doctor: checks a server. Each check reports its finding. Information that the server does
   not give is not a failure. */
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

enum verdict { VERDICT_OK, VERDICT_NOTE, VERDICT_FAIL };
static const char *const verdicts[] = {
    [VERDICT_OK] = "ok", [VERDICT_NOTE] = "note", [VERDICT_FAIL] = "FAIL"};
enum { NAME_WIDTH = 10, PROBES = 100 };

struct doctor {
    struct connection connection;
    bool json;
    struct buffer text; /* owned: JSON output */
    int checks, failures;
};

__attribute__((format(printf, 4, 5))) static void
report(struct doctor *d, const char *name, enum verdict verdict, const char *format, ...)
{
    char detail[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    d->failures += verdict == VERDICT_FAIL;
    if (!d->json) {
        progress_end();
        const int width = printf("%-4s  %-*s  ", verdicts[verdict], NAME_WIDTH, name);
        wrap_print(stdout, detail, width, width);
        fflush(stdout);
        return;
    }
    buffer_printf(&d->text,
                  "%s{\"name\":\"%s\",\"verdict\":\"%s\",\"detail\":", d->checks++ ? "," : "", name,
                  verdict == VERDICT_FAIL ? "fail" : verdicts[verdict]);
    json_append_string(&d->text, detail);
    buffer_text(&d->text, "}");
}

/* Gets a path. Succeeds for any status. */
static enum exit_code get(struct doctor *d, const char *path, struct http_response *response)
{
    return connection_perform(&d->connection, &(struct http_request){.path = path}, response);
}

static json_t *parse(const struct http_response *response)
{
    return response->status == 200 ? json_loadb(response->body.data, response->body.len, 0, NULL)
                                   : NULL;
}

/* ---- Checks ---- */

static enum exit_code check_reachable(struct doctor *d)
{
    struct http_response response;
    const enum exit_code code = get(d, "/healthz", &response);
    if (code != EXIT_OK)
        return code;
    report(d, "reachable", response.status == 200 ? VERDICT_OK : VERDICT_FAIL,
           "%s returned status %d after %.1f ms", d->connection.shown, response.status,
           response.ms);
    http_response_free(&response);
    return EXIT_OK;
}

static enum exit_code check_ready(struct doctor *d)
{
    struct http_response response;
    const enum exit_code code = get(d, "/readyz", &response);
    if (code != EXIT_OK)
        return code;
    if (response.status == 200)
        report(d, "ready", VERDICT_OK, "accepts requests");
    else
        report(d, "ready", VERDICT_FAIL, "does not accept requests: GET /readyz returns %d",
               response.status);
    http_response_free(&response);
    return EXIT_OK;
}

/* This is the first check that needs a token, if the server requires one. Without it, fails with
   EXIT_REFUSED. */
static enum exit_code check_version(struct doctor *d)
{
    struct http_response response;
    enum exit_code code = get(d, "/v2", &response);
    if (code != EXIT_OK)
        return code;
    json_t *const tree = parse(&response);
    const char *const version = json_string_value(json_object_get(tree, "version"));
    const char *const name = json_string_value(json_object_get(tree, "name"));
    if (response.status == 401 || response.status == 403)
        code = http_response_fail(&d->connection, &response);
    else if (!version || !name)
        report(d, "version", VERDICT_FAIL,
               "GET /v2 returns %d with an unexpected body; is this lossd?", response.status);
    else
        report(d, "version", strcmp(version, LOSS_VERSION) == 0 ? VERDICT_OK : VERDICT_NOTE,
               "%s %s%s", name, version,
               strcmp(version, LOSS_VERSION) == 0 ? ", same as this program"
                                                  : "; this program is " LOSS_VERSION);
    json_decref(tree);
    http_response_free(&response);
    return code;
}

/* Appends a name to a list separated by commas. */
static void add_name(char *list, size_t size, const char *name)
{
    const size_t len = strlen(list);
    snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

static enum exit_code check_table(struct doctor *d)
{
    char missing[512] = "", unknown[512] = "";
    struct http_response response;
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
            add_name(unknown, sizeof unknown, name ? name : "?");
    }
    for (i = 0; i < loss_count() && known < loss_count(); i++) {
        bool found = false;
        size_t k;
        json_array_foreach(losses, k, loss)
        {
            const char *const name = json_string_value(json_object_get(loss, "name"));
            found |= name && strcmp(name, loss_at(i)->name) == 0;
        }
        if (!found)
            add_name(missing, sizeof missing, loss_at(i)->name);
    }
    if (!losses)
        report(d, "losses", VERDICT_FAIL, "GET /v1/losses returns %d without a list of losses",
               response.status);
    else if (*missing || *unknown)
        report(d, "losses", VERDICT_NOTE, "%zu%s%s%s%s", json_array_size(losses),
               *missing ? "; missing on the server: " : "", missing,
               *unknown ? "; unknown to this program: " : "", unknown);
    else
        report(d, "losses", VERDICT_OK, "%zu, same as this program", json_array_size(losses));
    json_decref(tree);
    http_response_free(&response);
    return EXIT_OK;
}

/* Finds the value of a metric without labels. Returns false if there is none. */
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
    struct http_response response;
    double threads = 0, queue = 0;
    const enum exit_code code = get(d, "/metrics", &response);
    if (code != EXIT_OK)
        return code;
    const char *const found = response.status == 200 ? strstr(response.body.data, info) : NULL;
    if (found) {
        const char *const labels = found + strlen(info);
        report(d, "build", VERDICT_OK, "%.*s", (int)strcspn(labels, "}"), labels);
    }
    if (found && metric(response.body.data, "lossd_compute_threads", &threads))
        report(d, "threads", VERDICT_OK, "%.0f compute threads", threads);
    if (found && metric(response.body.data, "lossd_queue_limit", &queue))
        report(d, "queue", VERDICT_OK, "up to %.0f requests", queue);
    if (!found)
        report(d, "build", VERDICT_NOTE, "unknown: GET /metrics returns %d", response.status);
    http_response_free(&response);
    return EXIT_OK;
}

/* Appends a limit in the syntax of its option: large numbers, which are bytes, in MiB or GiB. */
static void add_limit(char *list, size_t size, const char *name, const json_t *value)
{
    const double number = json_number_value(value);
    char one[128];
    if (number >= 0x1p30)
        snprintf(one, sizeof one, "%s %.4gG", name, number / 0x1p30);
    else if (number >= 0x1p20)
        snprintf(one, sizeof one, "%s %.4gM", name, number / 0x1p20);
    else
        snprintf(one, sizeof one, "%s %.15g", name, number);
    for (char *at = one; *at; at++)
        *at = *at == '_' ? '-' : *at;
    add_name(list, size, one);
}

static enum exit_code check_limits(struct doctor *d)
{
    char list[2000] = "";
    struct http_response response;
    const char *key;
    json_t *value;
    const enum exit_code code = get(d, "/v1/limits", &response);
    if (code != EXIT_OK)
        return code;
    json_t *const tree = parse(&response);
    json_object_foreach(tree, key, value) add_limit(list, sizeof list, key, value);
    if (*list)
        report(d, "limits", VERDICT_OK, "%s", list);
    else
        report(d, "limits", VERDICT_NOTE, "unknown: GET /v1/limits returns %d", response.status);
    json_decref(tree);
    http_response_free(&response);
    return EXIT_OK;
}

/* ---- Evaluations ---- */

static enum exit_code post(struct doctor *d, const struct loss_descriptor *loss, const char *body,
                           struct http_response *response)
{
    char path[128];
    snprintf(path, sizeof path, "/v1/losses/%s", loss->name);
    return connection_perform(
        &d->connection,
        &(struct http_request){.path = path,
                               .content_type = "application/json",
                               .segment = &(struct segment){body, strlen(body)},
                               .segments = 1},
        response);
}

/* Returns the example of a loss as a request body, which the caller frees. Returns NULL if memory
   runs out. */
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
        struct http_response response;
        code = post(d, loss_at(0), body, &response);
        ms[i] = response.ms;
        if (code == EXIT_OK && response.status != 200)
            code = http_response_fail(&d->connection, &response);
        http_response_free(&response);
    }
    free(body);
    if (code != EXIT_OK)
        return code;
    qsort(ms, PROBES, sizeof *ms, by_size);
    report(d, "latency", VERDICT_OK, "median %.2f ms, maximum %.2f ms of %d small requests",
           ms[PROBES / 2], ms[PROBES - 1], PROBES);
    return EXIT_OK;
}

/* Compares the server's response to the example of a loss with that of this program, byte by byte.
   Sets *same, and reports a difference. */
static enum exit_code check_loss(struct doctor *d, const struct loss_descriptor *loss, bool *same)
{
    struct http_response remote = {.status = 0};
    struct response local = {.status = 0};
    char *const body = example_body(loss);
    enum exit_code code = body ? post(d, loss, body, &remote) : fail_memory();
    if (code == EXIT_OK)
        handler_serve(&v1_evaluate,
                      &(struct request_view){.loss = loss->name, .body = body, .len = strlen(body)},
                      1, &local);
    *same = code == EXIT_OK && remote.status == 200 && local.status == 200 &&
            remote.body.len == local.body.len &&
            memcmp(remote.body.data, local.body.data, local.body.len) == 0;
    if (code == EXIT_OK && !*same)
        report(d, "self-test", VERDICT_FAIL, "%s: the server returns %d %.*s, this program %d %.*s",
               loss->name, remote.status, (int)remote.body.len, remote.body.data, local.status,
               (int)local.body.len, local.body.data);
    response_free(&local);
    http_response_free(&remote);
    free(body);
    return code;
}

static enum exit_code check_losses(struct doctor *d)
{
    size_t equal = 0;
    progress_begin("evaluating every loss");
    for (size_t i = 0; i < loss_count(); i++) {
        bool same;
        const enum exit_code code = check_loss(d, loss_at(i), &same);
        if (code != EXIT_OK)
            return code;
        equal += same;
    }
    if (equal == loss_count())
        report(d, "self-test", VERDICT_OK,
               "the examples of all %zu losses, with gradients, give bit-identical results in this "
               "program",
               equal);
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
               d.failures ? "false" : "true");
    buffer_free(&d.text);
    connection_close(&d.connection);
    return code == EXIT_OK && d.failures > 0 ? EXIT_FAILED : code;
}
