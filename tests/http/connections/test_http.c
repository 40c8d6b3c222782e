/* Tests HTTP through the socket: routes, rejected requests, bodies, many clients. Other suites test
   the results of losses. */
#include "suites.h"
#include "support/body.h"
#include "support/server_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LARGE_NUMBERS = 40000 };

static void setup(void)
{
    start_server(ARGUMENTS("--threads", "2", "--io-threads", "2"));
}

/* ---- Routes ---- */

static const struct {
    const char *method, *path, *body;
    int status;
    const char *type, *says;
} answers[] = {
    {"GET", "/", NULL, 200, "text/plain; charset=utf-8", "curl -s http://localhost/v1/losses/mse"},
    {"GET", "/healthz", NULL, 200, "text/plain; charset=utf-8", "ok"},
    {"GET", "/readyz", NULL, 200, "text/plain; charset=utf-8", "ready"},
    {"GET", "/v1/losses", NULL, 200, "application/json", "losses"},
    {"GET", "/v1/losses/mse", NULL, 200, "application/json", "mse"},
    {"GET", "/v1/losses/%6Ds%65", NULL, 200, "application/json", "mse"},
    {"GET", "http://localhost/v1/losses/mse", NULL, 200, "application/json", "mse"},
    {"POST", "/v1/losses/mse", mse_body, 200, "application/json", "\"loss\""},
    {"GET", "/healthy", NULL, 404, "application/problem+json", "did you mean '/healthz'?"},
    {"GET", "/v1/losses/", NULL, 404, "application/problem+json", "did you mean '/v1/losses'?"},
    {"POST", "/v1/loss/mse", mse_body, 404, "application/problem+json",
     "did you mean '/v1/losses/mse'?"},
    {"GET", "/completely/else/where", NULL, 404, "application/problem+json",
     "GET / lists the paths"},
    {"GET", "/v1/losses/mse/more", NULL, 404, "application/problem+json", "/v1/losses/mse/more"},
    {"POST", "/v1/losses/nope", mse_body, 404, "application/problem+json", "nope"},
    {"GET", "/v1/losses/nope", NULL, 404, "application/problem+json", "nope"},
    {"GET", "/v1/losses/mse%2fx", NULL, 400, "application/problem+json", "encoded slash"},
    {"GET", "/v1/losses/mse%00x", NULL, 400, "application/problem+json", "control character"},
    {"GET", "/v1/losses/mse%0d%0aX-Evil:1", NULL, 400, "application/problem+json",
     "control character"},
    {"GET", "/v1/losses/mse%7f", NULL, 400, "application/problem+json", "control character"},
    {"GET", "/v1/losses/mse%", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/mse%4", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/mse%zz", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/%c3%a9", NULL, 404, "application/problem+json", "no such path"},
    {"GET", "healthz", NULL, 400, "application/problem+json", "path"},
    {"PUT", "/healthz", NULL, 405, "application/problem+json", "PUT"},
    {"POST", "/v1/losses", mse_body, 405, "application/problem+json", "POST"},
    {"DELETE", "/v1/losses/mse", NULL, 405, "application/problem+json", "DELETE"},
    {"BREW", "/", NULL, 405, "application/problem+json", "BREW"},
};

START_TEST(answers_and_keeps_the_connection)
{
    ask(answers[_i].method, answers[_i].path, NULL, answers[_i].body);
    ck_assert_msg(response.status == answers[_i].status, "%s %s: %s%s", answers[_i].method,
                  answers[_i].path, response.head, response.body);
    expect_header("Content-Type", answers[_i].type);
    expect_header("X-Content-Type-Options", "nosniff");
    ck_assert_msg(strstr(response.body, answers[_i].says) != NULL, "\"%s\" is not in %s",
                  answers[_i].says, response.body);
    ck_assert(!has_header("X-Evil"));
    ck_assert(has_header("X-Request-Id"));
    ck_assert(has_header("Server-Timing"));
    expect_usable();
}
END_TEST

START_TEST(lists_allowed_methods)
{
    ask("PUT", "/healthz", NULL, "some body");
    ck_assert_int_eq(response.status, 405);
    expect_header("Allow", "GET, HEAD, OPTIONS");
    ask("PATCH", mse_path, NULL, NULL);
    ck_assert_int_eq(response.status, 405);
    expect_header("Allow", "GET, HEAD, POST, OPTIONS");
    expect_usable();
}
END_TEST

START_TEST(answers_options)
{
    ask("OPTIONS", mse_path, NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    expect_header("Allow", "GET, HEAD, POST, OPTIONS");
    ask("OPTIONS", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    expect_header("Allow", "GET, HEAD, OPTIONS");
    ask("OPTIONS", "*", NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    ask("OPTIONS", "/nowhere", NULL, NULL);
    ck_assert_int_eq(response.status, 404);
}
END_TEST

START_TEST(answers_head_as_get_without_the_body)
{
    static const char *const paths[] = {"/",          "/healthz",       "/readyz",
                                        "/v1/losses", "/v1/losses/mse", "/nowhere"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char length[32], same[32], type[64];
        ask("GET", paths[i], NULL, NULL);
        int status = response.status;
        ck_assert(http_response_header(&response, "Content-Length", length, sizeof length));
        ck_assert(http_response_header(&response, "Content-Type", type, sizeof type));
        ask("HEAD", paths[i], NULL, NULL);
        ck_assert_int_eq(response.status, status);
        expect_header("Content-Type", type);
        /* The length can depend on the request, but must be present. */
        ck_assert(http_response_header(&response, "Content-Length", same, sizeof same));
        if (status == 200)
            ck_assert_str_eq(length, same);
    }
    expect_usable();
}
END_TEST

START_TEST(echoes_a_valid_request_id)
{
    char first[160], second[160], longest[200];
    ask("GET", "/healthz", "X-Request-Id: aZ09._-\r\n", NULL);
    expect_header("X-Request-Id", "aZ09._-");
    snprintf(longest, sizeof longest, "X-Request-Id: %0128d\r\n", 7);
    ask("GET", "/healthz", longest, NULL);
    ck_assert_uint_eq(strlen(http_response_header(&response, "X-Request-Id", first, sizeof first)),
                      128);
    ask("GET", "/healthz", "X-Request-Id: not a token\r\n", NULL);
    ck_assert(http_response_header(&response, "X-Request-Id", first, sizeof first));
    ck_assert_ptr_null(strchr(first, ' '));
    snprintf(longest, sizeof longest, "X-Request-Id: %0129d\r\n", 7);
    ask("GET", "/healthz", longest, NULL);
    ck_assert(http_response_header(&response, "X-Request-Id", second, sizeof second));
    ck_assert_uint_lt(strlen(second), 128);
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(reports_the_duration_of_phases)
{
    char timing[256];
    double decode, compute, encode;
    ask("POST", mse_path, NULL, mse_body);
    expect_loss();
    ck_assert(http_response_header(&response, "Server-Timing", timing, sizeof timing));
    ck_assert_int_eq(sscanf(timing, "decode;dur=%lf, compute;dur=%lf, encode;dur=%lf", &decode,
                            &compute, &encode),
                     3);
    ck_assert(decode >= 0 && compute >= 0 && encode >= 0);
}
END_TEST

/* ---- Rejected requests ---- */

static const struct {
    const char *text;
    int status;
    const char *says;
} smuggled[] = {
    {POST_MSE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET_HEALTH, 400,
     "both Content-Length and Transfer-Encoding"},
    {POST_MSE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" GET_HEALTH, 400,
     "both Content-Length and Transfer-Encoding"},
    {POST_MSE "Content-Length: 0\r\nContent-Length: 35\r\n\r\n" GET_HEALTH, 400,
     "more than one Content-Length"},
    {POST_MSE "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400,
     "more than one Content-Length"},
    {POST_MSE "Content-Length : 2\r\n\r\n{}" GET_HEALTH, 400, "header name"},
    {POST_MSE "Content-Length\t: 2\r\n\r\n{}" GET_HEALTH, 400, "header name"},
    {POST_MSE "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" GET_HEALTH, 400, "header name"},
    {POST_MSE "X(Y: 1\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400, "header name"},
    {POST_MSE "X\x01Y: 1\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400, "header name"},
    {POST_MSE "X: a\x02\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400, "header value"},
    {POST_MSE "X: a\rb\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400, "bare CR"},
    {POST_MSE "Host: y\r\nContent-Length: 2\r\n\r\n{}" GET_HEALTH, 400, "more than one Host"},
    {POST_MSE
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET_HEALTH,
     400, "more than one Transfer-Encoding"},
    {POST_MSE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" GET_HEALTH, 501,
     "Transfer-Encoding"},
    {POST_MSE "Transfer-Encoding: identity\r\n\r\n" GET_HEALTH, 501, "Transfer-Encoding"},
    {POST_MSE "Transfer-Encoding: chunked, identity\r\n\r\n" GET_HEALTH, 501, "Transfer-Encoding"},
    {POST_MSE "Transfer-Encoding:\r\n\r\n" GET_HEALTH, 501, "Transfer-Encoding"},
    {"POST /v1/losses/mse HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET_HEALTH, 400,
     "HTTP/1.0"},
    {"GET /healthz HTTP/1.1\r\n\r\n" GET_HEALTH, 400, "no Host"},
    {"G@T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" GET_HEALTH, 400, "method"},
    {"GET /healthz?a=\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n" GET_HEALTH, 400, "query"},
};

START_TEST(rejects_smuggling_and_closes)
{
    ask_raw(smuggled[_i].text);
    expect_problem(smuggled[_i].status, smuggled[_i].says);
    ck_assert(has_header("X-Request-Id"));
    expect_closed();
}
END_TEST

/* Requests that libmicrohttpd by itself would reject in HTML. */
static const char *const malformed[] = {
    POST_MSE "Content-Length: +5\r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: -1\r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: 5x\r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: 1, 2\r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: 0x5\r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: \r\n\r\n{}" GET_HEALTH,
    POST_MSE "Content-Length: 99999999999999999999999\r\n\r\n{}" GET_HEALTH,
    POST_MSE "no colon in this\r\n\r\n" GET_HEALTH,
    POST_MSE "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" GET_HEALTH,
    POST_MSE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n" GET_HEALTH,
    "\x16\x03\x01\x02\x01\r\n\r\n" GET_HEALTH,
};

START_TEST(closes_on_malformed_requests)
{
    ck_assert(http_client_send_text(&client, malformed[_i]));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 400 || response.status == 413, "%s", response.head);
    expect_problem(response.status, "");
    expect_closed();
    reconnect();
    expect_usable();
}
END_TEST

START_TEST(requires_a_length)
{
    ask_raw(POST_MSE "\r\n");
    expect_problem(411, "Content-Length");
    reconnect();
    ask("POST", mse_path, NULL, "");
    ck_assert_int_eq(response.status, 400); /* the length is valid, but an empty body is not JSON */
    expect_usable();
}
END_TEST

START_TEST(rejects_types_and_encodings_before_the_body)
{
    ask("POST", mse_path, "Content-Encoding: br\r\n", mse_body);
    expect_problem(415, "Content-Encoding");
    ask("POST", mse_path, "Content-Encoding: identity\r\n", mse_body);
    expect_loss();
    ask("POST", mse_path, "Content-Type: image/png\r\n", mse_body);
    ck_assert_int_eq(response.status, 415);
    expect_usable();
    /* These are answered before the body is sent. */
    ask_raw(POST_MSE "Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n");
    ck_assert_int_eq(response.status, 415);
    expect_closed();
    reconnect();
    ask_raw(
        "POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    ck_assert_int_eq(response.status, 404);
    expect_closed();
    reconnect();
    ask_raw("POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: "
            "100-continue\r\n\r\n");
    ck_assert_int_eq(response.status, 404);
    expect_closed();
}
END_TEST

START_TEST(answers_http10)
{
    ask_raw("GET /healthz HTTP/1.0\r\n\r\n");
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(response.body, "ok\n");
    ck_assert(http_client_closed(&client));
}
END_TEST

/* ---- Bodies ---- */

START_TEST(accepts_chunked_bodies)
{
    for (size_t piece = 1; piece < 64; piece = piece * 2 + 1) {
        ck_assert(http_client_send_text(&client, chunked_head));
        ck_assert(send_chunks(&client, mse_body, strlen(mse_body), piece));
        ask_raw("0\r\n\r\n");
        expect_loss();
    }
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(&client, mse_body, strlen(mse_body), 7));
    ask_raw("0;last=yes\r\nX-Trailer: 1\r\n\r\n");
    expect_loss();
    expect_usable();
}
END_TEST

START_TEST(computes_large_bodies_with_all_threads)
{
    char *body = large_body(LARGE_NUMBERS, "");
    size_t len = strlen(body);
    ask("POST", mse_path, NULL, body);
    expect_loss();
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(&client, body, len, 10000));
    ask_raw("0\r\n\r\n");
    expect_loss();
    expect_usable();
    free(body);
}
END_TEST

START_TEST(sends_100_continue_if_expected)
{
    struct http_client upload;
    begin_upload(&upload, strlen(mse_body));
    ck_assert(http_client_send_text(&upload, mse_body));
    ck_assert(http_client_read(&upload, &response, false));
    expect_loss();
    http_client_close(&upload);
}
END_TEST

START_TEST(answers_pipelined_requests_in_order)
{
    ck_assert(http_client_send_text(
        &client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p1\r\n\r\n"
                 "POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p2\r\n"
                 "Content-Length: 2\r\n\r\n{}"
                 "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p3\r\n\r\n"));
    static const int statuses[] = {200, 404, 404};
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i + 1);
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_int_eq(response.status, statuses[i]);
        expect_header("X-Request-Id", id);
    }
}
END_TEST

/* ---- Many and disconnecting clients ---- */

START_TEST(survives_disconnecting_clients)
{
    char *body = large_body(LARGE_NUMBERS, ", \"grad\": true"), head[128];
    size_t len = strlen(body);
    snprintf(head, sizeof head, POST_MSE "Content-Length: %zu\r\n\r\n", len);
    /* During the headers, the body, the computation and the response. */
    size_t sent[] = {0, 1, len / 2, len - 1, len, len, len, len};
    for (size_t i = 0; i < 4 * sizeof sent / sizeof sent[0]; i++) {
        size_t part = sent[i % (sizeof sent / sizeof sent[0])];
        ck_assert(http_client_send(&client, head, part == 0 ? 20 : strlen(head)));
        ck_assert(http_client_send(&client, body, part));
        if (i % 2 == 0) {
            /* with a reset instead of an orderly close */
            const struct linger hard = {.l_onoff = 1};
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        reconnect();
    }
    ask("POST", mse_path, NULL, body);
    expect_loss();
    expect_usable();
    free(body);
}
END_TEST

START_TEST(answers_half_closed_connections)
{
    char *large = large_body(LARGE_NUMBERS, "");
    const char *const bodies[] = {mse_body, large};
    for (int i = 0; i < 2; i++) {
        char head[128];
        snprintf(head, sizeof head, POST_MSE "Content-Length: %zu\r\n\r\n", strlen(bodies[i]));
        ck_assert(http_client_send_text(&client, head));
        ck_assert(http_client_send_text(&client, bodies[i]));
        ck_assert(http_client_shut(&client));
        ck_assert(http_client_read(&client, &response, false));
        expect_loss();
        ck_assert(http_client_closed(&client));
        reconnect();
    }
    free(large);
}
END_TEST

START_TEST(drops_a_truncated_body)
{
    /* The end of the stream arrives in the same segment, where libmicrohttpd by itself does not
       detect it. */
    for (int i = 0; i < 3; i++) {
        ck_assert(
            http_client_send_text(&client, POST_MSE "Content-Length: 1000\r\n\r\n{\"input\""));
        ck_assert(http_client_shut(&client));
        ck_assert(http_client_closed(&client));
        reconnect();
    }
    expect_usable();
}
END_TEST

enum { CLIENTS = 32, ROUNDS = 8 };

struct worker {
    pthread_t thread;
    int number;
    const char *large;
    bool right;
};

/* A client: sends small and large evaluations and errors on one connection, and checks each
 * response. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct http_client mine;
    struct http_response answer = {.status = 0};
    worker->right = http_client_connect(&mine, "127.0.0.1", server.port);
    for (int i = 0; worker->right && i < ROUNDS; i++) {
        char id[64], found[64];
        bool bad = i % 4 == 3;
        const char *body = i % 2 == 0 ? mse_body : worker->large;
        snprintf(id, sizeof id, "X-Request-Id: w%d.%d\r\n", worker->number, i);
        worker->right = http_client_ask(&mine, "POST", bad ? "/v1/losses/nope" : mse_path, id,
                                        bad ? "{}" : body, bad ? 2 : strlen(body), &answer) &&
                        answer.status == (bad ? 404 : 200) &&
                        http_response_header(&answer, "X-Request-Id", found, sizeof found) &&
                        strncmp(found, id + strlen("X-Request-Id: "), strlen(found)) == 0;
    }
    http_response_free(&answer);
    http_client_close(&mine);
    return NULL;
}

START_TEST(serves_many_clients_at_once)
{
    struct worker workers[CLIENTS];
    char *large = large_body(LARGE_NUMBERS / 2, "");
    for (int i = 0; i < CLIENTS; i++) {
        workers[i] = (struct worker){.number = i, .large = large};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_msg(workers[i].right, "client %d got a wrong response", i);
    free(large);
}
END_TEST

/* ---- Suite ---- */

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

Suite *http_suite(void)
{
    Suite *suite = suite_create("http");
    TCase *const http = suite_add_case(suite, "http", 120, setup, end_server);
    CASE_ADD(http, lists_allowed_methods, answers_options, answers_head_as_get_without_the_body,
             echoes_a_valid_request_id, reports_the_duration_of_phases, requires_a_length,
             rejects_types_and_encodings_before_the_body, answers_http10, accepts_chunked_bodies,
             computes_large_bodies_with_all_threads, sends_100_continue_if_expected,
             answers_pipelined_requests_in_order, survives_disconnecting_clients,
             serves_many_clients_at_once);
    tcase_add_loop_test(http, answers_and_keeps_the_connection, 0, COUNT(answers));
    tcase_add_loop_test(http, rejects_smuggling_and_closes, 0, COUNT(smuggled));
    tcase_add_loop_test(http, closes_on_malformed_requests, 0, COUNT(malformed));
    TCase *const slow = suite_add_case(suite, "http_slow", 120, setup, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, answers_half_closed_connections, drops_a_truncated_body);
    return suite;
}
