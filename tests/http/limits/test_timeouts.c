/*
 * Tests the timeouts of headers and idle connections and the minimum rates of bodies and responses.
 * Timeouts are short; the tests check what happens, never how quickly.
 */
#include "suites.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONG_MS = 60000 };

/* Returns true if there is something to read, including the end of the connection. */
static bool is_readable(void)
{
    char byte;
    return recv(client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* Sends a byte periodically, until the server responds or closes, or the time is up. Returns false
   if the time is up. */
static bool drip(const char *text, int period_ms, int for_ms)
{
    for (int waited = 0; waited < for_ms; waited += period_ms) {
        if (is_readable())
            return true;
        send(client.fd, *text ? text : "x", 1, MSG_NOSIGNAL);
        text += *text != '\0';
        wait_ms(period_ms);
    }
    return is_readable();
}

/* ---- Headers and idle connections ---- */

START_TEST(slow_headers_time_out)
{
    START_SERVER("--header-timeout=0.4");
    ck_assert(drip(POST_MSE "X: ", 50, LONG_MS));
    expect_problem_and_end(408, "headers");
    /* The deadline also applies after earlier requests, and to a client that stops within the
     * headers. */
    reconnect();
    expect_evaluated();
    wait_ms(400);
    ck_assert(drip(POST_MSE "X: ", 50, LONG_MS));
    expect_problem_and_end(408, "headers");
    reconnect();
    ck_assert(http_client_send_text(&client, POST_MSE "X-"));
    expect_problem_and_end(408, "headers");
    reconnect();
    expect_evaluated();
}
END_TEST

/* The idle timeout is longer than the timeout of the test. */
START_TEST(pipelined_partial_headers_time_out)
{
    START_SERVER("--header-timeout=0.4", "--idle-timeout=3600");
    ck_assert(http_client_send_text(&client, GET_HEALTH
                                    "GET /he")); /* in the same segment as the previous request */
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    expect_problem_and_end(408, "headers");
    reconnect();
    for (int i = 0; i < 3; i++)
        expect_evaluated();
    ck_assert(http_client_send_text(&client, "P")); /* before the server checks */
    expect_problem_and_end(408, "headers");
}
END_TEST

START_TEST(unix_sockets_have_the_same_timeouts)
{
    char path[64], listen[80];
    snprintf(path, sizeof path, "/tmp/lossd-limits-%d.sock", (int)getpid());
    snprintf(listen, sizeof listen, "--listen=unix:%s", path);
    server_process_start(&server, (const char *const[]){listen, "--header-timeout=0.4",
                                                        "--idle-timeout=3600", NULL});
    ck_assert(http_client_connect_path(&client, path));
    ck_assert(http_client_send_text(&client, "GET"));
    expect_problem_and_end(408, "headers");
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, path));
    ck_assert(http_client_send_text(&client, GET_HEALTH "GET /he"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    expect_problem_and_end(408, "headers");
}
END_TEST

START_TEST(only_idle_connections_are_closed)
{
    START_SERVER("--idle-timeout=0.8");
    for (int i = 0; i < 5; i++) { /* for longer than the timeout */
        expect_evaluated();
        wait_ms(200);
    }
    ck_assert(http_client_closed(&client));
    reconnect();
    ck_assert(http_client_closed(&client)); /* without a request */
    reconnect();
    expect_evaluated();
}
END_TEST

/* ---- Rates ---- */

START_TEST(bodies_below_minimum_rate_are_closed)
{
    START_SERVER("--min-body-rate=1000", "--min-rate-window=0.5");
    ck_assert(http_client_send_text(&client, POST_MSE "Content-Length: 100000\r\n\r\n"));
    ck_assert(drip("{", 10, LONG_MS)); /* 100 bytes per second */
    expect_problem_and_end(408, "body");
    reconnect();
    ck_assert(
        http_client_send_text(&client, POST_MSE "Transfer-Encoding: chunked\r\n\r\n10000\r\n"));
    ck_assert(drip("{", 10, LONG_MS));
    expect_problem_and_end(408, "body");
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " 408 "));
    ck_assert_ptr_nonnull(strstr(log, " reason=body_rate "));
    free(log);
    reconnect();
    expect_evaluated();
}
END_TEST

START_TEST(long_bodies_above_minimum_rate_are_accepted)
{
    enum { LEN = 20000, PIECE = 1000 };
    static char body[LEN];
    char head[128];
    START_SERVER("--min-body-rate=1000", "--min-rate-window=0.5");
    memset(body, ' ', LEN);
    memcpy(body, mse_body, strlen(mse_body));
    snprintf(head, sizeof head, POST_MSE "Content-Length: %d\r\n\r\n", LEN);
    ck_assert(http_client_send_text(&client, head));
    for (int at = 0; at < LEN; at += PIECE) { /* for 1.2 seconds: two rate windows */
        ck_assert(http_client_send(&client, body + at, PIECE));
        wait_ms(60);
    }
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(unread_responses_are_closed)
{
    START_SERVER("--min-response-rate=1000", "--min-rate-window=0.5");
    ask_for_much();
    ck_assert(read_some(100) > 0);
    metric_wait("lossd_rejections_total{reason=\"answer_rate\"}", 1);
    size_t total = 0;
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0)
        total += (size_t)got;
    /* The buffers of both sockets contain at most this much. */
    ck_assert_msg(total < 18000000, "%zu bytes of the response arrived", total);
    reconnect();
    expect_evaluated();
}
END_TEST

START_TEST(slowly_read_responses_are_completed)
{
    START_SERVER("--min-response-rate=100k", "--min-rate-window=0.5");
    ask_for_much();
    size_t total = 0;
    for (int i = 0; i < 25; i++) { /* 2 MB per second for two rate windows */
        const ssize_t got = read_some(100000);
        ck_assert_int_gt(got, 0);
        total += (size_t)got;
        wait_ms(50);
    }
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0 && total < 20000000)
        total += (size_t)got;
    ck_assert_msg(total >= 20000000, "%zu bytes of the response arrived", total);
}
END_TEST

/* ---- Many slow clients ---- */

START_TEST(slow_clients_do_not_delay_others)
{
    enum { SLOW = 300 };
    static struct http_client slow[SLOW];
    START_SERVER("--header-timeout=60");
    for (int i = 0; i < SLOW; i++) {
        ck_assert(http_client_connect(&slow[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&slow[i], i % 2 ? POST_MSE "Content-Length: 1000\r\n\r\n{"
                                                        : POST_MSE "X-"));
    }
    for (int i = 0; i < 20; i++)
        expect_evaluated();
    for (int i = 0; i < SLOW; i++)
        http_client_close(&slow[i]);
}
END_TEST

/* Connects a client that is rejected while it sends, and does not close. Without a lingering close
 * the connection would be reset before the client reads the response. */
static void refuse_and_linger(struct http_client *other)
{
    ck_assert(http_client_connect(other, "127.0.0.1", server.port));
    announce(other, 100000000, "");
    ck_assert(http_client_read(other, &response, false));
    ck_assert_int_eq(response.status, 413);
}

START_TEST(rejections_arrive_while_many_connections_linger)
{
    enum { BEFORE = 300, OTHERS = 310, PIECE = 1 << 16, PIECES = 32 };
    static struct http_client others[OTHERS];
    static char piece[PIECE];
    START_SERVER("--max-body=1M");
    for (int i = 0; i < BEFORE; i++)
        refuse_and_linger(&others[i]);
    announce(&client, 100000000, "");
    while (!is_readable())
        wait_ms(1);
    for (int i = BEFORE; i < OTHERS; i++)
        refuse_and_linger(&others[i]);
    for (int i = 0; i < PIECES; i++) {
        ck_assert_msg(http_client_send(&client, piece, PIECE),
                      "the connection was reset after %d pieces", i);
        wait_ms(10);
    }
    expect_problem_and_end(413, "--max-body");
    for (int i = 0; i < OTHERS; i++)
        http_client_close(&others[i]);
}
END_TEST

/* ---- Suite ---- */

Suite *timeouts_suite(void)
{
    Suite *suite = suite_create("timeouts");
    TCase *const slow = suite_add_case(suite, "timeouts", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, slow_headers_time_out, pipelined_partial_headers_time_out,
             unix_sockets_have_the_same_timeouts, only_idle_connections_are_closed,
             bodies_below_minimum_rate_are_closed, long_bodies_above_minimum_rate_are_accepted,
             unread_responses_are_closed, slowly_read_responses_are_completed,
             slow_clients_do_not_delay_others, rejections_arrive_while_many_connections_linger);
    return suite;
}
