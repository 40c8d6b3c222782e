/* Tests the limits on the sizes of requests: URL, headers, body, nesting. */
#include "suites.h"
#include "support/body.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BODY = 2000 };

static void setup_limited(void)
{
    start_server(ARGUMENTS("--max-body=2000", "--threads=2", "--io-threads=1"));
}

/* ---- URL and headers ---- */

/* Sends a GET on a new connection, with a target of `target` bytes and, besides Host, `count`
 * headers with `bytes` bytes of names and values. */
static void ask_sized(size_t target, size_t bytes, size_t count)
{
    char *text = calloc(1, target + bytes + 16 * count + 256), *to = text;
    ck_assert_ptr_nonnull(text);
    to = stpcpy(to, "GET /v1/losses?");
    memset(to, 'q', target - strlen("/v1/losses?"));
    to = stpcpy(to + target - strlen("/v1/losses?"), " HTTP/1.1\r\nHost: localhost\r\n");
    for (size_t i = 0; i < count; i++) {
        const size_t len = i + 1 < count ? 2 : bytes - 2 * (count - 1);
        *to++ = 'X';
        to = stpcpy(to, ": ");
        memset(to, 'v', len - 1);
        to = stpcpy(to + len - 1, "\r\n");
    }
    stpcpy(to, "\r\n");
    reconnect();
    ck_assert(http_client_send_text(&client, text));
    ck_assert(http_client_read(&client, &response, false));
    free(text);
}

START_TEST(headers_and_targets_have_maximum_sizes)
{
    enum { HOST = sizeof "Host" + sizeof "localhost" - 2 };
    START_SERVER("--max-url=3000", "--max-header-bytes=5000", "--max-header-count=20");
    for (int more = -1; more <= 1; more++) {
        ask_sized((size_t)(3000 + more), 100, 2);
        expect_response(more <= 0 ? 200 : 414, more <= 0 ? "losses" : "--max-url");
        ask_sized(20, (size_t)(5000 - HOST + more), 5);
        expect_response(more <= 0 ? 200 : 431, more <= 0 ? "losses" : "--max-header-bytes");
        ask_sized(20, 100, (size_t)(19 + more));
        expect_response(more <= 0 ? 200 : 431, more <= 0 ? "losses" : "--max-header-count");
    }
    ck_assert(metric_value("lossd_rejections_total{reason=\"url_size\"}") == 1);
    ck_assert(metric_value("lossd_rejections_total{reason=\"header_size\"}") == 2);
}
END_TEST

START_TEST(default_header_and_target_sizes_are_accepted)
{
    START_SERVER("--threads=1");
    ask_sized(8192, 16384 - 13, 99);
    expect_response(200, "losses");
    ask_sized(8193, 16384 - 13, 99);
    expect_response(414, "--max-url");
    ask_sized(8192, 16384 - 12, 99);
    expect_response(431, "--max-header-bytes");
}
END_TEST

/* Sends a GET with `item` repeated `count` times in its query or a header. Returns the status. */
static int ask_many(const char *before, const char *item, size_t count, const char *after)
{
    char *const text = malloc(strlen(before) + count * strlen(item) + strlen(after) + 1),
                *to = stpcpy(text, before);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < count; i++)
        to = stpcpy(to, item);
    stpcpy(to, after);
    reconnect();
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "%zu times %s: no response", count,
                  item);
    free(text);
    return response.status;
}

/* libmicrohttpd allocates memory of the connection for each parameter and cookie. If that runs out,
 * it sends no response, or two. */
START_TEST(many_parameters_and_cookies_get_one_response)
{
    static const char end[] = " HTTP/1.1\r\nHost: localhost\r\n\r\n",
                      cookies[] = "GET /v1/losses HTTP/1.1\r\nHost: localhost\r\nCookie: ";
    START_SERVER("--threads=1");
    ck_assert_int_eq(ask_many("GET /v1/losses?a", "&a", 63, end), 200);
    expect_response(200, "losses");
    ck_assert_int_eq(ask_many("GET /v1/losses?a", "&a", 64, end), 400);
    expect_response(400, "64 parameters");
    ck_assert_int_eq(ask_many("GET /v1/losses?", "&", 4000, end), 400);
    ck_assert_int_eq(ask_many("GET /v1/losses&", "&", 4000, end), 404);
    ck_assert_int_eq(ask_many(cookies, "a=1; ", 3200, "\r\n\r\n"), 200);
    ck_assert_int_eq(ask_many(cookies, "a=1; ", 3300, "\r\n\r\n"), 431);
    expect_response(431, "--max-header-bytes");
}
END_TEST

/* Pipelined bytes use the memory in which libmicrohttpd records the headers of the first request.
 */
START_TEST(many_headers_are_accepted_in_a_pipeline)
{
    enum { HEADERS = 998, REQUESTS = 30 };
    char *const text = malloc(REQUESTS * (HEADERS * 4 + 64)), *to = text;
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < REQUESTS; i++) {
        to = stpcpy(to, GET_HEALTH);
        to -= 2;
        for (int k = 0; k < HEADERS; k++)
            to = stpcpy(to, "a:\r\n");
        to = stpcpy(to, "\r\n");
    }
    START_SERVER("--max-header-count=1000");
    ck_assert(http_client_send_text(&client, text));
    free(text);
    for (int i = 0; i < REQUESTS; i++) {
        ck_assert_msg(http_client_read(&client, &response, false), "request %d: no response", i);
        ck_assert_msg(response.status == 200, "request %d: %s", i, response.head);
    }
}
END_TEST

/* ---- JSON ---- */

/* Sends an mse request whose input is a number in `depth` nested arrays. */
static void ask_nested(int depth)
{
    char body[512], *to = stpcpy(body, "{\"input\": ");
    memset(to, '[', (size_t)depth);
    to = stpcpy(to + depth, "1");
    memset(to, ']', (size_t)depth);
    to = stpcpy(to + depth, ", \"target\": 1}");
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, body, (size_t)(to - body), &response));
}

START_TEST(json_has_a_maximum_depth)
{
    START_SERVER("--max-json-depth=5");
    for (int depth = 4; depth <= 6; depth++) {
        ask_nested(depth);
        expect_response(depth <= 5 ? 200 : 400,
                        depth <= 5 ? "loss" : "arrays are nested more than 5 deep");
    }
    /* and in a value that is not a tensor */
    static const char *const bodies[] = {
        "{\"inputs\": [], \"parameters\": {\"headers\": [[[[[1]]]]]}}",
        "{\"inputs\": [], \"parameters\": {\"headers\": [[[[[[1]]]]]]}}",
    };
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_ask(&client, "POST", "/v2/models/mse/infer", NULL, bodies[i],
                                  strlen(bodies[i]), &response));
        expect_response(400, i ? "arrays and objects are nested more than 5 deep" : "input");
    }
}
END_TEST

/* ---- Body: the server accepts MAX_BODY bytes ---- */

START_TEST(limit_accepts_max_body_and_rejects_one_byte_more)
{
    for (size_t len = MAX_BODY - 1; len <= MAX_BODY + 1; len++) {
        char *body = padded_body(mse_body, len);
        ask("POST", mse_path, NULL, body);
        if (len <= MAX_BODY)
            expect_loss();
        else
            expect_problem(413, "2000 bytes");
        free(body);
    }
    ck_assert_ptr_nonnull(strstr(response.body, "--max-body"));
    expect_usable();
}
END_TEST

START_TEST(limit_applies_to_chunked_bodies)
{
    for (size_t len = MAX_BODY - 1; len <= MAX_BODY + 1; len++) {
        char *body = padded_body(mse_body, len);
        ck_assert(http_client_send_text(&client, chunked_head));
        ck_assert(send_chunks(&client, body, len, 100));
        ask_raw("0\r\n\r\n");
        if (len <= MAX_BODY)
            expect_loss();
        else
            expect_problem(413, "2000 bytes");
        free(body);
    }
    expect_usable();
}
END_TEST

START_TEST(limit_stops_an_endless_chunked_body)
{
    char *body = padded_body(mse_body, 100000);
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(&client, body, 100000, 1000));
    ck_assert(http_client_read(&client, &response, false));
    expect_problem(413, "2000 bytes");
    expect_closed();
    free(body);
}
END_TEST

START_TEST(limit_is_reported_before_the_body)
{
    ask_raw(POST_MSE "Content-Length: 2001\r\nExpect: 100-continue\r\n\r\n");
    expect_problem(413, "2000 bytes");
    expect_closed();
    reconnect();
    ask_raw(POST_MSE "Content-Length: 9999999999999\r\n\r\n");
    expect_problem(413, "2000 bytes");
    expect_closed();
}
END_TEST

START_TEST(limit_is_reported_to_a_client_that_continues_to_send)
{
    /* Like Python's http.client: sends all of the body before reading a response. */
    enum { LEN = 50000000 };
    char head[128], *body = padded_body(mse_body, LEN);
    snprintf(head, sizeof head, POST_MSE "Content-Length: %d\r\n\r\n", LEN);
    for (int i = 0; i < 5; i++) {
        ck_assert(http_client_send_text(&client, head));
        ck_assert(http_client_send(&client, body, LEN));
        ck_assert(http_client_read(&client, &response, false));
        expect_problem(413, "2000 bytes");
        expect_closed();
        reconnect();
    }
    free(body);
}
END_TEST

START_TEST(sizes_above_32_bits_are_exact)
{
    static const struct {
        const char *limit;
        unsigned long long bytes;
    } sizes[] = {{"--max-body=2147483647", 2147483647},
                 {"--max-body=2G", 2147483648},
                 {"--max-body=4294967295", 4294967295},
                 {"--max-body=4G", 4294967296}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        START_SERVER(sizes[i].limit, "--max-memory=20G", "--max-connections=100");
        for (int more = -1; more <= 1; more++) {
            reconnect();
            announce(&client, sizes[i].bytes + (unsigned long long)(long long)more,
                     "Expect: 100-continue\r\n");
            ck_assert(http_client_read(&client, &response, false));
            ck_assert_msg(response.status == (more <= 0 ? 100 : 413), "%s %+d: %s", sizes[i].limit,
                          more, response.head);
        }
        char expected[64];
        snprintf(expected, sizeof expected, "larger than %llu bytes", sizes[i].bytes);
        ck_assert_ptr_nonnull(strstr(response.body, expected));
        if (i + 1 < sizeof sizes / sizeof sizes[0])
            end_server();
    }
}
END_TEST

/* ---- GET /v1/limits ---- */

START_TEST(limits_are_reported)
{
    START_SERVER("--max-body=12345", "--idle-timeout=1.5", "--request-rate=7",
                 "--max-connections=99", "--max-work=5G", "--compute-timeout=2.5");
    ck_assert(http_client_ask(&client, "GET", "/v1/limits", NULL, NULL, 0, &response));
    expect_response(200, "\"max_body\":12345,\"max_expanded\":12345,");
    expect_response(200, "\"idle_timeout\":1.5,");
    expect_response(200, "\"request_rate\":7,");
    expect_response(200, "\"max_work\":5000000000,\"compute_timeout\":2.5,");
    expect_response(200, "\"max_connections\":99,");
}
END_TEST

/* ---- Suite ---- */

Suite *request_limits_suite(void)
{
    Suite *suite = suite_create("request_limits");
    TCase *const sizes = suite_add_case(suite, "request_limits", 300, NULL, end_server);
    CASE_ADD(sizes, headers_and_targets_have_maximum_sizes,
             default_header_and_target_sizes_are_accepted,
             many_parameters_and_cookies_get_one_response, many_headers_are_accepted_in_a_pipeline,
             json_has_a_maximum_depth, limits_are_reported);
    TCase *const body = suite_add_case(suite, "body_limits", 120, setup_limited, end_server);
    CASE_ADD(body, limit_accepts_max_body_and_rejects_one_byte_more,
             limit_applies_to_chunked_bodies, limit_stops_an_endless_chunked_body,
             limit_is_reported_before_the_body,
             limit_is_reported_to_a_client_that_continues_to_send);
    TCase *const slow = suite_add_case(suite, "request_limits_slow", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, sizes_above_32_bits_are_exact);
    return suite;
}
