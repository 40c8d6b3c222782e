/* Tests SIGINT and SIGTERM: drain delay, active and queued requests, drain timeout. */
#include "suites.h"
#include "support/body.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"
#include "util/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE_NUMBERS = 40000, SOON_MS = 10000 };

/* ---- Active requests ---- */

/* Signals the server and waits until /readyz says that it drains. Uses connections opened before,
 * and closes them. */
static void signal_and_wait(int number)
{
    struct http_client probe[200];
    size_t count = 0;
    for (size_t i = 0; i < 200; i++, count++)
        connect_client(&probe[i]);
    /* The server must have accepted them before the signal. */
    for (size_t i = 0; i < count; i++)
        ck_assert(http_client_ask(&probe[i], "GET", "/healthz", NULL, NULL, 0, &response));
    kill(server.pid, number);
    response.status = 0;
    for (size_t i = 0; i < count && response.status != 503; i++) {
        ck_assert(http_client_ask(&probe[i], "GET", "/readyz", NULL, NULL, 0, &response));
        wait_ms(20);
    }
    ck_assert_int_eq(response.status, 503);
    ck_assert_str_eq(response.body, "draining\n");
    expect_header("Connection", "close");
    for (size_t i = 0; i < count; i++)
        http_client_close(&probe[i]);
}

START_TEST(finishes_active_requests_on_sigterm)
{
    char *body = large_body(LARGE_NUMBERS, ", \"grad\": true");
    size_t len = strlen(body);
    struct http_client upload, idle;
    start_server(ARGUMENTS("--threads=2"));
    connect_client(&idle);
    ck_assert(http_client_ask(&idle, "GET", "/healthz", NULL, NULL, 0, &response));
    expect_usable();
    begin_upload(&upload, len);
    ck_assert(http_client_send(&upload, body, len / 2));

    signal_and_wait(_i);
    struct http_client late;
    ck_assert(!http_client_connect(&late, "127.0.0.1", server.port));
    /* A request on a connection that was open before the signal. */
    ask("POST", mse_path, NULL, mse_body);
    expect_loss();
    expect_closed();

    ck_assert(http_client_send(&upload, body + len / 2, len - len / 2));
    ck_assert(http_client_read(&upload, &response, false));
    expect_loss();
    expect_header("Connection", "close");
    ck_assert(http_client_closed(&upload));
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert(http_client_closed(&idle));
    http_client_close(&upload);
    http_client_close(&idle);
    free(body);
}
END_TEST

START_TEST(exits_at_once_on_a_second_signal)
{
    struct http_client upload;
    start_server(ARGUMENTS("--threads=2"));
    begin_upload(&upload, 100);
    signal_and_wait(SIGTERM);
    ck_assert_int_eq(server_process_stop(&server), 1);
    http_client_close(&upload);
}
END_TEST

START_TEST(exits_with_open_idle_connections)
{
    start_server(NULL);
    expect_usable();
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert(http_client_closed(&client));
}
END_TEST

/* ---- New connections ---- */

START_TEST(serves_during_its_drain_delay)
{
    start_server(ARGUMENTS("--threads=2", "--drain-delay=2"));
    expect_usable();
    kill(server.pid, SIGTERM);
    for (response.status = 0; response.status != 503; reconnect())
        ask("GET", "/readyz", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        ask("POST", mse_path, NULL, mse_body);
        expect_loss();
        expect_closed();
        reconnect(); /* new connections are accepted too */
    }
    ask("GET", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    ck_assert_int_eq(server_process_wait(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "serving for another 2 seconds"));
    free(log);
}
END_TEST

/* Sends each request on a new connection, until the server no longer listens. Sets *failed to true
   if a connection got no response, or another status than 200. */
static void *ask_until_refused(void *failed)
{
    struct http_client asking = {.fd = -1};
    struct http_response answer = {.status = 0};
    bool answered = true;
    while (answered && http_client_connect(&asking, "127.0.0.1", server.port)) {
        answered =
            http_client_ask(&asking, "POST", mse_path, NULL, mse_body, strlen(mse_body), &answer) &&
            answer.status == 200;
        http_client_close(&asking);
    }
    http_response_free(&answer);
    *(bool *)failed = !answered;
    return NULL;
}

START_TEST(answers_all_accepted_connections)
{
    enum { CLIENTS = 8, ROUNDS = 5 };
    pthread_t thread[CLIENTS];
    bool failed[CLIENTS];
    for (int round = 0; round < ROUNDS; round++) {
        server_process_start(&server, ARGUMENTS("--threads=1", "--log-level=error"));
        for (int i = 0; i < CLIENTS; i++)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, ask_until_refused, &failed[i]), 0);
        wait_ms(50);
        ck_assert_int_eq(server_process_stop(&server), 0);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(thread[i], NULL);
        for (int i = 0; i < CLIENTS; i++)
            ck_assert_msg(!failed[i], "a connected client got no response in round %d", round);
        server_process_free(&server);
    }
}
END_TEST

/* ---- Computations ---- */

START_TEST(drain_has_a_timeout)
{
    START_SERVER("--drain-timeout=0.5");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    kill(server.pid, SIGTERM);
    ck_assert(http_client_read(&client, &response, false));
    expect_response(503, "shutting down");
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert(http_client_closed(&client));
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

/* Running and queued jobs of several clients. */
START_TEST(drain_timeout_cancels_queued_jobs)
{
    enum { CONNECTIONS = 4 };
    struct http_client many[CONNECTIONS];
    START_SERVER("--drain-timeout=0.5", "--compute-timeout=0");
    for (int i = 0; i < CONNECTIONS; i++) {
        if (i % 2 == 0)
            ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        else
            connect_from_elsewhere(&many[i]);
        ask_for_minutes(&many[i]);
        metric_wait(METRIC_BUSY, 1);
        metric_wait(METRIC_QUEUED, i);
    }
    const int64_t began = clock_ms();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_read(&many[i], &response, false));
        expect_response(503, "shutting down");
        ck_assert(http_client_closed(&many[i]));
        http_client_close(&many[i]);
    }
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert_int_lt(clock_ms() - began, SOON_MS);
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

/* Running and queued jobs are finished if there is enough time. */
START_TEST(drain_finishes_queued_jobs)
{
    enum { CONNECTIONS = 4 };
    struct http_client many[CONNECTIONS];
    START_SERVER("--threads=1");
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_rows(&many[i], ROWS_MOMENT, "");
    }
    metric_wait(METRIC_BUSY, 1);
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_read(&many[i], &response, false));
        ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
        http_client_close(&many[i]);
    }
    ck_assert_int_eq(server_process_wait(&server), 0);
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

/* ---- Suite ---- */

Suite *shutdown_suite(void)
{
    Suite *suite = suite_create("shutdown");
    TCase *const signals = suite_add_case(suite, "shutdown", 120, NULL, kill_server);
    CASE_ADD(signals, exits_at_once_on_a_second_signal, exits_with_open_idle_connections);
    tcase_add_loop_test(signals, finishes_active_requests_on_sigterm, SIGINT, SIGINT + 1);
    tcase_add_loop_test(signals, finishes_active_requests_on_sigterm, SIGTERM, SIGTERM + 1);
    TCase *const slow = suite_add_case(suite, "shutdown_slow", 120, NULL, kill_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, serves_during_its_drain_delay, answers_all_accepted_connections,
             drain_has_a_timeout, drain_timeout_cancels_queued_jobs, drain_finishes_queued_jobs);
    return suite;
}
