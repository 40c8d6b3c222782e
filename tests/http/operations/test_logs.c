/*
 * The access log, and the ids that connect it with other logs.
 */
#include "suites.h"
#include "support/server_fixture.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char mse[] = "{\"input\":[1,2,31337],\"target\":[1,2,5]}";
static const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static char *log_text; /* the whole log, after the server has exited */

static void start(const char *option, const char *more)
{
    server_process_start(&server, (const char *const[]){"--threads=2", option, more, NULL});
    connect_client(&client);
}

static void start_json(void)
{
    start("--log-format=json", NULL);
}

static void end(void)
{
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    log_text = server_process_log(&server);
}

static void teardown(void)
{
    kill_server();
    free(log_text);
    log_text = NULL;
}

/* Returns the line of the request with an id as JSON. Fails unless there is exactly one. */
static json_t *line_of(const char *id)
{
    json_t *found = NULL;
    for (char *line = log_text, *next; *line; line = next) {
        next = line + strcspn(line, "\n") + 1;
        json_t *const tree = json_loadb(line, (size_t)(next - line), 0, NULL);
        ck_assert_msg(json_is_object(tree), "not a JSON object in a line: %.*s", (int)(next - line),
                      line);
        const char *const other = json_string_value(json_object_get(tree, "id"));
        if (other && strcmp(other, id) == 0) {
            ck_assert_msg(!found, "%s has two lines", id);
            found = json_incref(tree);
        }
        json_decref(tree);
    }
    ck_assert_msg(found != NULL, "%s has no line in %s", id, log_text);
    return found;
}

/* Checks the names and the order of all fields of a line, and frees it. */
static void expect_fields(json_t *line, const char *expected)
{
    char names[512] = "";
    const char *name;
    json_t *value;
    json_object_foreach(line, name, value) strcat(strcat(names, *names ? " " : ""), name);
    ck_assert_str_eq(names, expected);
    json_decref(line);
}

static const char *text(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static int64_t number(const json_t *line, const char *name)
{
    const json_t *const value = json_object_get(line, name);
    ck_assert_msg(json_is_integer(value), "%s is not an integer", name);
    return json_integer_value(value);
}

static double duration(const json_t *line, const char *name)
{
    const json_t *const value = json_object_get(line, name);
    ck_assert_msg(json_is_real(value), "%s is not a duration", name);
    return json_real_value(value);
}

/* ---- One line per request ---- */

START_TEST(log_has_a_line_for_an_evaluation)
{
    char headers[256];
    start_json();
    snprintf(headers, sizeof headers, "X-Request-Id: one\r\nTraceparent: %s\r\n", trace);
    ck_assert_int_eq(ask("POST", "/v1/losses/MSELoss", headers, mse), 200);
    const int64_t answered = (int64_t)response.body_len;
    end();
    json_t *const line = line_of("one");
    ck_assert_str_eq(text(line, "level"), "info");
    ck_assert_str_eq(text(line, "method"), "POST");
    ck_assert_str_eq(text(line, "path"), "/v1/losses/MSELoss");
    ck_assert_str_eq(text(line, "loss"), "mse");
    ck_assert_str_eq(text(line, "protocol"), "v1");
    ck_assert_str_eq(text(line, "address"), "127.0.0.1");
    ck_assert_str_eq(text(line, "traceparent"), trace);
    ck_assert_int_eq(number(line, "status"), 200);
    ck_assert_int_eq(number(line, "bytes_in"), (int64_t)strlen(mse));
    ck_assert_int_eq(number(line, "bytes_out"), answered);
    ck_assert_int_eq(number(line, "elements"), 3);
    const double parts = duration(line, "receive_ms") + duration(line, "decode_ms") +
                         duration(line, "compute_ms") + duration(line, "encode_ms") +
                         duration(line, "send_ms");
    ck_assert(parts > 0 && parts < duration(line, "duration_ms") + 0.005); /* each is rounded */
    expect_fields(line, "ts level id method path status bytes_in bytes_out duration_ms loss "
                        "protocol elements receive_ms "
                        "decode_ms compute_ms encode_ms send_ms address traceparent");
    ck_assert_ptr_null(strstr(log_text, "31337"));
}
END_TEST

START_TEST(log_has_the_reason_of_a_rejection)
{
    start("--log-format=json", "--max-body=100");
    ck_assert_int_eq(ask("GET", "/healthz", "X-Request-Id: health\r\n", NULL), 200);
    ck_assert_int_eq(
        ask("POST", "/v2/models/mse/infer", "X-Request-Id: mistake\r\n", "{\"inputs\":7}"), 400);
    ck_assert_int_eq(ask_raw("POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
                             "101\r\nX-Request-Id: large\r\n"
                             "Expect: 100-continue\r\n\r\n"),
                     413);
    end();
    expect_fields(line_of("health"),
                  "ts level id method path status bytes_in bytes_out duration_ms address");
    json_t *line = line_of("mistake");
    ck_assert_str_eq(text(line, "protocol"), "v2");
    expect_fields(line, "ts level id method path status bytes_in bytes_out duration_ms loss "
                        "protocol elements receive_ms send_ms "
                        "address");
    line = line_of("large");
    ck_assert_str_eq(text(line, "reason"), "body_size");
    ck_assert_int_eq(number(line, "status"), 413);
    json_decref(line);
}
END_TEST

START_TEST(log_has_waiting_times)
{
    start_json();
    size_t len = 0;
    char *const body = malloc(400000);
    ck_assert_ptr_nonnull(body);
    for (int tensor = 0; tensor < 2; tensor++) {
        len += (size_t)sprintf(body + len, "%s:[0", tensor == 0 ? "{\"input\"" : "],\"target\"");
        for (int i = 1; i < 50000; i++)
            len += (size_t)sprintf(body + len, ",1");
    }
    sprintf(body + len, "]}");
    ck_assert_int_eq(ask("POST", "/v1/losses/l1", "X-Request-Id: large\r\n", body), 200);
    free(body);
    end();
    json_t *const line = line_of("large");
    ck_assert(duration(line, "queue_ms") >= 0);
    ck_assert_int_eq(number(line, "elements"), 50000);
    json_decref(line);
}
END_TEST

START_TEST(log_in_text_has_the_same_fields)
{
    start("--log-format=text", NULL);
    ck_assert_int_eq(ask("POST", "/v1/losses/mse", "X-Request-Id: one\r\n", mse), 200);
    end();
    const char *const line = strstr(log_text, " info POST /v1/losses/mse 200 id=one bytes_in=");
    ck_assert_msg(line != NULL, "%s", log_text);
    static const char *const parts[] = {" duration_ms=", " loss=mse",    " protocol=v1",
                                        " elements=3",   " compute_ms=", " address=127.0.0.1\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(line, parts[i]) != NULL, "\"%s\" is not in %s", parts[i], line);
}
END_TEST

/* For any input of a client, every line is a JSON object, and the client cannot insert lines. */
START_TEST(log_cannot_be_forged)
{
    char request[2600];
    start_json();
    ask_raw(
        "GET /\",\"status\":200}\\ HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: quotes\r\n\r\n");
    http_client_close(&client);
    connect_client(&client);
    ask_raw("GET /\x1b[31m\x7f HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: control\r\n\r\n");
    http_client_close(&client);
    connect_client(&client);
    ask("GET", "/a%0a{%22id%22:%22forged%22}", "X-Request-Id: encoded\r\n", NULL);
    ask("GET", "/healthz", "X-Request-Id: a\"b\r\ntraceparent: 00-\"\r\n", NULL);
    ask("GET", "/healthz?secret=31337", "X-Request-Id: query\r\n", NULL);
    const int head = sprintf(request, "GET /");
    memset(request + head, 0x80, 2000);
    sprintf(request + head + 2000, " HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: long\r\n\r\n");
    ask_raw(request);
    end();
    json_decref(line_of("quotes"));
    json_decref(line_of("encoded"));
    json_t *line = line_of("control");
    ck_assert_str_eq(text(line, "path"), "/\x1b[31m\x7f");
    json_decref(line);
    ck_assert_ptr_nonnull(strstr(
        log_text, "/\\u001b[31m\\u007f")); /* escaped, because a terminal would interpret them */
    line = line_of("query");
    ck_assert_str_eq(text(line, "path"), "/healthz");
    json_decref(line);
    line = line_of("long");
    ck_assert_uint_lt(strlen(text(line, "path")), 1100);
    ck_assert_ptr_nonnull(text(line, "address")); /* not truncated */
    json_decref(line);
    ck_assert_ptr_null(strstr(log_text, "\"id\":\"forged\""));
    ck_assert_ptr_null(strstr(log_text, "31337"));
}
END_TEST

/* ---- Selection of requests ---- */

static const struct {
    const char *option;
    bool probe, work, failed, failed_probe;
} selections[] = {
    {"--access-log=all", true, true, true, true},
    {"--access-log=work", false, true, true, true},
    {"--access-log=failed", false, false, true, true},
    {"--access-log=none", false, false, false, false},
};

START_TEST(log_has_only_the_selected_requests)
{
    start("--log-format=text", selections[_i].option);
    ask("GET", "/readyz", "X-Request-Id: probe-1\r\n", NULL);
    ask("GET", "/metrics", "X-Request-Id: probe-2\r\n", NULL);
    ask("POST", "/v1/losses/mse", "X-Request-Id: work\r\n", mse);
    ask("POST", "/v1/losses/mse", "X-Request-Id: failed-1\r\n", "{");
    ask("GET", "/readyz", "X-Request-Id: failed-2\r\nAccept-Encoding: br, identity;q=0\r\n", NULL);
    ck_assert_int_eq(response.status, 406);
    end();
    ck_assert_int_eq(strstr(log_text, "id=probe-1 ") != NULL, selections[_i].probe);
    ck_assert_int_eq(strstr(log_text, "id=probe-2 ") != NULL, selections[_i].probe);
    ck_assert_int_eq(strstr(log_text, "id=work ") != NULL, selections[_i].work);
    ck_assert_int_eq(strstr(log_text, "id=failed-1 ") != NULL, selections[_i].failed);
    ck_assert_int_eq(strstr(log_text, "id=failed-2 ") != NULL, selections[_i].failed_probe);
    ck_assert_ptr_nonnull(
        strstr(log_text, "SIGTERM")); /* lines about the server itself are always logged */
}
END_TEST

START_TEST(log_warns_about_deprecated_options)
{
    char config[] = "/tmp/lossd-config-XXXXXX";
    char wanted[128];
    const int fd = mkstemp(config);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dprintf(fd, "\nmemory-queue = 9\n"), 18);
    close(fd);
    setenv("LOSSD_CONFIG", config, 1);
    setenv("LOSSD_BODY_RATE", "1k", 1);
    start("--log-format=text", "--max-expanded=1M");
    unsetenv("LOSSD_CONFIG");
    unsetenv("LOSSD_BODY_RATE");
    end();
    unlink(config);
    ck_assert_ptr_nonnull(
        strstr(log_text, "warning --max-expanded is deprecated; use --max-decompressed-body\n"));
    ck_assert_ptr_nonnull(
        strstr(log_text, "warning LOSSD_BODY_RATE is deprecated; use LOSSD_MIN_BODY_RATE\n"));
    snprintf(wanted, sizeof wanted,
             "warning %s, line 2: memory-queue is deprecated; use max-memory-waiters\n", config);
    ck_assert_ptr_nonnull(strstr(log_text, wanted));
}
END_TEST

/* ---- Trace context ---- */

static const struct {
    const char *headers;
    const char *echoed; /* NULL: ignored */
} traces[] = {
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", trace},
    {"TRACEPARENT: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n",
     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
    {"traceparent: cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what.comes\r\n",
     "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what.comes"},
    {"", NULL},
    {"traceparent:\r\n", NULL},
    {"traceparent: 00\r\n", NULL},
    {"traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", NULL},
    {"traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n", NULL},
    {"traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\r\n", NULL},
    {"traceparent: cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more\r\n", NULL},
    {"traceparent: cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-\"\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01\r\n", NULL},
    {"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
     "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
     NULL},
};

START_TEST(log_and_response_have_a_valid_traceparent)
{
    char echoed[256];
    start_json();
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        char headers[512];
        snprintf(headers, sizeof headers, "X-Request-Id: trace-%zu\r\n%s", i, traces[i].headers);
        ck_assert_int_eq(ask("POST", "/v1/losses/mse", headers, i % 2 == 0 ? mse : "{"),
                         i % 2 == 0 ? 200 : 400);
        const char *const found =
            http_response_header(&response, "traceparent", echoed, sizeof echoed);
        ck_assert_msg((found != NULL) == (traces[i].echoed != NULL), "%s", traces[i].headers);
        if (found)
            ck_assert_str_eq(found, traces[i].echoed);
    }
    end();
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        char id[32];
        snprintf(id, sizeof id, "trace-%zu", i);
        json_t *const line = line_of(id);
        ck_assert_pstr_eq(text(line, "traceparent"), traces[i].echoed);
        json_decref(line);
    }
}
END_TEST

Suite *logs_suite(void)
{
    Suite *suite = suite_create("logs");
    TCase *tcase = suite_add_case(suite, "logs", 60, NULL, teardown);
    CASE_ADD(tcase, log_has_a_line_for_an_evaluation, log_has_the_reason_of_a_rejection,
             log_has_waiting_times, log_in_text_has_the_same_fields, log_cannot_be_forged,
             log_warns_about_deprecated_options, log_and_response_have_a_valid_traceparent);
    tcase_add_loop_test(tcase, log_has_only_the_selected_requests, 0,
                        sizeof selections / sizeof *selections);
    return suite;
}
