/*
 * Requests from public bug reports (tests/reports): each is sent to a server, directly or by a
 * client, and the response is compared with the case.
 *
 * Cases of a client whose language is not installed are skipped with a line on stderr. With
 * LOSSD_CLIENTS=all (make check-clients, which installs them) they fail.
 */
#include "suites.h"
#include "support/command.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "json/base64.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { PRINTED = 1 << 16, HEADERS = 4096, EXPANDED = 1 << 20, PAUSE_US = 300 * 1000 };

static struct server_process server;
static json_t *cases;

/* A response of the server, or the output of a client. */
struct answer {
    int status;
    char *head; /* owned; "" for a client */
    char *body; /* owned */
    size_t len;
    double seconds;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Decodes base64 text. The caller frees the bytes. */
static char *bytes_of(const char *text, size_t *len)
{
    const size_t digits = strlen(text), padding = digits > 0 ? strlen(strchrnul(text, '=')) : 0;
    *len = digits / 4 * 3 - padding;
    char *const bytes = malloc(*len + 1);
    ck_assert(bytes && !base64_decode(text, text + digits, bytes, *len));
    bytes[*len] = '\0';
    return bytes;
}

/* ---- Requests ---- */

/* Takes ownership of the head and body that the client has read. */
static void take_response(struct answer *answer, struct http_response *response)
{
    answer->status = response->status;
    answer->head = response->head;
    answer->body = response->body;
    answer->len = response->body_len;
    *response = (struct http_response){0};
}

static void ask(const json_t *request, struct http_client *client, struct answer *answer)
{
    char headers[HEADERS] = "";
    const char *name, *const method = text_of(request, "method");
    json_t *value;
    size_t len = 0;
    char *const body =
        text_of(request, "base64") ? bytes_of(text_of(request, "base64"), &len) : NULL;
    const char *const text = text_of(request, "body");
    struct http_response response = {0};
    json_object_foreach(json_object_get(request, "headers"), name, value)
    {
        const size_t used = strlen(headers);
        snprintf(headers + used, sizeof headers - used, "%s: %s\r\n", name,
                 json_string_value(value));
    }
    if (text)
        len = strlen(text);
    ck_assert(http_client_ask(client, method, text_of(request, "path"), headers, body ? body : text,
                              len, &response));
    take_response(answer, &response);
    free(body);
}

/* Sends the bytes of a whole connection, with "@HOST@" replaced by the server's address, and with a
   pause after `pause` bytes. Skips interim responses. */
static void ask_raw(const json_t *request, struct http_client *client, struct answer *answer)
{
    size_t len, pause = (size_t)json_integer_value(json_object_get(request, "pause"));
    char *const raw = bytes_of(text_of(request, "raw"), &len), *host = strstr(raw, "@HOST@");
    char *const whole = malloc(len + 64);
    ck_assert_ptr_nonnull(whole);
    if (host) {
        len = (size_t)sprintf(whole, "%.*s127.0.0.1:%d%s", (int)(host - raw), raw, server.port,
                              host + strlen("@HOST@"));
    } else {
        memcpy(whole, raw, len);
    }
    struct http_response response = {0};
    pause = pause < len ? pause : len;
    ck_assert(http_client_send(client, whole, pause));
    if (pause > 0)
        usleep(PAUSE_US);
    ck_assert(http_client_send(client, whole + pause, len - pause));
    do
        ck_assert(http_client_read(client, &response, false));
    while (response.status < 200);
    take_response(answer, &response);
    free(whole);
    free(raw);
}

/* Runs the code of a client. Its result is the last line of JSON that it prints. */
static void run_client(const char *client, const char *code, struct answer *answer)
{
    static const char *const commands[][2] = {
        {"python", "/usr/bin/python3 -B -W ignore -c \"$CODE\""},
        {"js", "node --input-type=module -e \"$CODE\""},
        {"sh", "bash -c \"$CODE\""},
    };
    char *const printed = malloc(PRINTED), url[64];
    const char *command = NULL;
    ck_assert_ptr_nonnull(printed);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i][0], client) == 0)
            command = commands[i][1];
    ck_assert_msg(command != NULL, "unknown client '%s'; expected python, js or sh", client);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", server.port);
    setenv("LOSSD_URL", url, 1);
    setenv("CODE", code, 1);
    const int status =
        command_run(printed, PRINTED,
                    "here=$PWD; lossd=$(realpath ${LOSSD:-build/lossd}); "
                    "LOSSD=$lossd LOSSCTL=$(dirname $lossd)/lossctl "
                    "PYTHONPATH=$here/clients/python/src LOSSD_JS=$here/clients/js/index.js "
                    "%s 2>&1 </dev/null",
                    command);
    if (status != 0)
        fprintf(stderr, "%s\n", printed);
    char *line = NULL;
    for (char *at = printed; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        line = *at == '{' ? at : line;
    *answer = (struct answer){
        .status = status == 0 ? 200 : 500, .head = strdup(""), .body = strdup(line ? line : "")};
    answer->len = strcspn(answer->body, "\n");
    free(printed);
}

/* ---- Comparison ---- */

/* Reads a number, which may be nonfinite. Returns false if it is not a number. */
static bool number_of(const json_t *value, double *number)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    if (json_is_number(value))
        *number = json_number_value(value);
    for (size_t i = 0; json_is_string(value) && i < sizeof words / sizeof *words; i++)
        if (strcmp(json_string_value(value), words[i].word) == 0) {
            *number = words[i].value;
            return true;
        }
    return json_is_number(value);
}

struct tolerance {
    double relative, absolute;
};

static bool is_close(const json_t *got, const json_t *want, const struct tolerance *tolerance)
{
    double x, y;
    if (json_is_array(want)) {
        bool close = json_is_array(got) && json_array_size(got) == json_array_size(want);
        for (size_t i = 0; close && i < json_array_size(want); i++)
            close = is_close(json_array_get(got, i), json_array_get(want, i), tolerance);
        return close;
    }
    if (!number_of(want, &y))
        return json_equal(got, want);
    if (!number_of(got, &x))
        return false;
    if (!isfinite(y))
        return isnan(y) ? isnan(x) : x == y;
    return fabs(x - y) <= fmax(tolerance->relative * fabs(y), tolerance->absolute);
}

/* Returns the value at a JSON Pointer without escapes; NULL if there is none. */
static const json_t *follow(const json_t *at, const char *pointer)
{
    char name[128];
    while (at && *pointer == '/') {
        pointer++;
        const size_t len = strcspn(pointer, "/");
        snprintf(name, sizeof name, "%.*s", (int)len, pointer);
        at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10))
                               : json_object_get(at, name);
        pointer += len;
    }
    return at;
}

static void expect_at(const char *id, const json_t *document, const char *pointer,
                      const json_t *want, const struct tolerance *tolerance)
{
    const json_t *const got = follow(document, pointer);
    char *const text = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL, *const wanted = json_dumps(
                                                                          want, JSON_ENCODE_ANY);
    ck_assert_msg(got && is_close(got, want, tolerance), "%s: %s is %.200s, not %.200s", id,
                  pointer, text ? text : "missing", wanted);
    free(text);
    free(wanted);
}

/* Checks the members of an object, each below a path. */
static void expect_members(const char *id, const json_t *document, const char *path,
                           const json_t *members, const struct tolerance *tolerance)
{
    const char *name;
    json_t *value;
    char pointer[256];
    json_object_foreach((json_t *)(uintptr_t)members, name, value)
    {
        snprintf(pointer, sizeof pointer, "%s%s", path, name);
        expect_at(id, document, pointer, value, tolerance);
    }
}

/* Returns the JSON of a response, decompressed if necessary, without the binary tensors after it.
 */
static json_t *json_of(const char *id, const struct answer *answer)
{
    struct http_response response = {.head = answer->head};
    char value[64];
    json_error_t why;
    size_t len = answer->len;
    if (http_response_header(&response, "Inference-Header-Content-Length", value, sizeof value))
        len = strtoul(value, NULL, 10);
    if (!http_response_header(&response, "Content-Encoding", value, sizeof value)) {
        json_t *const tree = json_loadb(answer->body, len, 0, &why);
        ck_assert_msg(tree != NULL, "%s: not JSON: %s: %.200s", id, why.text, answer->body);
        return tree;
    }
    char *const expanded = malloc(EXPANDED);
    z_stream stream = {.next_in = (Bytef *)answer->body,
                       .avail_in = (uInt)answer->len,
                       .next_out = (Bytef *)expanded,
                       .avail_out = EXPANDED};
    ck_assert_int_eq(inflateInit2(&stream, 15 + 32), Z_OK); /* gzip or zlib */
    ck_assert_int_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
    json_t *const tree = json_loadb(expanded, stream.total_out, 0, &why);
    inflateEnd(&stream);
    free(expanded);
    ck_assert_msg(tree != NULL, "%s: not JSON: %s", id, why.text);
    return tree;
}

static void expect_headers(const char *id, const struct answer *answer, const json_t *headers)
{
    const char *name;
    json_t *value;
    char found[256];
    const struct http_response response = {.head = answer->head};
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        const char *const got = http_response_header(&response, name, found, sizeof found);
        ck_assert_msg(got && strcmp(got, json_string_value(value)) == 0, "%s: %s is %s, not %s", id,
                      name, got ? got : "missing", json_string_value(value));
    }
}

static void expect_answer(const char *id, const struct answer *answer, const json_t *expect)
{
    const json_t *const relative = json_object_get(expect, "tolerance"),
                        *const absolute = json_object_get(expect, "absolute"),
                        *const seconds = json_object_get(expect, "seconds"),
                        *const loss = json_object_get(expect, "loss");
    const struct tolerance tolerance = {relative ? json_number_value(relative) : 1e-6,
                                        absolute ? json_number_value(absolute) : 1e-12};
    const json_t *const status = json_object_get(expect, "status");
    const int wanted = status ? (int)json_integer_value(status) : 200;
    ck_assert_msg(answer->status == wanted, "%s: status %d, not %d: %.300s", id, answer->status,
                  wanted, answer->body);
    expect_headers(id, answer, json_object_get(expect, "headers"));
    if (loss || json_object_get(expect, "json") || json_object_get(expect, "grads")) {
        json_t *const document = json_of(id, answer);
        if (loss)
            expect_at(id, document, "/loss", loss, &tolerance);
        expect_members(id, document, "", json_object_get(expect, "json"), &tolerance);
        expect_members(id, document, "/grad/", json_object_get(expect, "grads"), &tolerance);
        expect_members(id, document, "/hess/", json_object_get(expect, "hess"), &tolerance);
        json_decref(document);
    }
    const char *const text = text_of(expect, "contains");
    ck_assert_msg(!text || memmem(answer->body, answer->len, text, strlen(text)),
                  "%s: the body lacks '%s'", id, text);
    ck_assert_msg(!seconds || answer->seconds <= json_number_value(seconds), "%s: took %.2f s", id,
                  answer->seconds);
}

/* ---- Cases ---- */

static void setup(void)
{
    server_process_start(&server, server_process_defaults);
}

static void teardown(void)
{
    server_process_end(&server);
}

START_TEST(report_gets_the_expected_response)
{
    const json_t *const test = json_array_get(cases, (size_t)_i), *const request = json_object_get(
                                                                      test, "request");
    struct http_client client;
    struct answer answer = {0};
    const double start = now();
    if (text_of(request, "client")) {
        run_client(text_of(request, "client"), text_of(request, "code"), &answer);
    } else {
        ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
        (text_of(request, "raw") ? ask_raw : ask)(request, &client, &answer);
        http_client_close(&client);
    }
    answer.seconds = now() - start;
    expect_answer(text_of(test, "id"), &answer, json_object_get(test, "expect"));
    free(answer.head);
    free(answer.body);
}
END_TEST

/* Returns true if everything that the code of a client needs is installed. Otherwise prints what is
   missing. */
static bool can_run(const json_t *test)
{
    static const struct {
        const char *client, *word; /* that the code contains */
        const char *here, *package;
    } needs[] = {
        {"python", "", "/usr/bin/python3 -c 'import numpy'", "python3-numpy"},
        {"python", "import torch", "/usr/bin/python3 -c 'import torch'", "python3-torch"},
        {"python", "sklearn", "/usr/bin/python3 -c 'import sklearn'", "python3-sklearn"},
        {"js", "", "command -v node", "nodejs"},
        {"sh", "", "test -x $(dirname ${LOSSD:-build/lossd})/lossctl",
         "libcurl4-openssl-dev to build lossctl"},
    };
    const json_t *const request = json_object_get(test, "request");
    const char *const client = text_of(request, "client"), *const which = getenv("LOSSD_CLIENTS");
    if (!client || (which && strcmp(which, "all") == 0))
        return true;
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        if (strcmp(needs[i].client, client) != 0 ||
            !strstr(text_of(request, "code"), needs[i].word))
            continue;
        if (!command_succeeds_cached(needs[i].here)) {
            fprintf(stderr, "reports: %s is skipped: %s is not installed\n", text_of(test, "id"),
                    needs[i].package);
            return false;
        }
    }
    return true;
}

Suite *reports_suite(void)
{
    Suite *suite = suite_create("reports");
    TCase *tcase = tcase_create("reports");
    char *line = NULL;
    size_t room = 0;
    FILE *const file = fopen("tests/reports/cases.jsonl", "r");
    cases = json_array();
    while (file && getline(&line, &room, file) > 0)
        json_array_append_new(cases, json_loads(line, JSON_REJECT_DUPLICATES, NULL));
    free(line);
    if (file)
        fclose(file);
    if (json_array_size(cases) == 0) {
        fprintf(stderr, "reports: tests/reports/cases.jsonl has no cases\n");
        abort();
    }
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < json_array_size(cases); i++)
        if (can_run(json_array_get(cases, i)))
            tcase_add_loop_test(tcase, report_gets_the_expected_response, (int)i, (int)i + 1);
    suite_add_tcase(suite, tcase);
    return suite;
}
