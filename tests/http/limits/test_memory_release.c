/* Tests the memory limit: how the memory of slow clients, and of clients that disconnect, is
   released. */
#include "memory_limit.h"
#include "suites.h"
#include "support/body.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"
#include "util/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- Slow clients ---- */

/* A second client sends a body that fits into memory only after `client` is disconnected. */
static void ask_for_held_memory(size_t len, int status)
{
    struct http_client second;
    struct http_response answer = {.status = 0};
    char *body = padded_body(mse_body, len);
    connect_and_announce(&second, len, "");
    ck_assert(http_client_send(&second, body, len));
    ck_assert(http_client_read(&second, &answer, false));
    ck_assert_msg(answer.status == status, "%s%s", answer.head, answer.body);
    http_client_close(&second);
    http_response_free(&answer);
    free(body);
}

static void expect_cut_for_memory(void)
{
    metric_wait("lossd_rejections_total{reason=\"memory_hold\"}", 1);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " reason=memory_hold "));
    free(log);
}

START_TEST(memory_of_slow_bodies_goes_to_waiting_requests)
{
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    hold(&client, body);
    free(body);
    ask_for_held_memory(LARGE, 200);
    expect_problem_and_end(408, "lacked the memory");
    expect_cut_for_memory();
}
END_TEST

START_TEST(memory_of_slow_chunked_bodies_goes_to_waiting_requests)
{
    char *body = padded_body(mse_body, LARGE), head[128];
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    snprintf(head, sizeof head, POST_MSE "Transfer-Encoding: chunked\r\n\r\n%x\r\n", LARGE + 1000);
    ck_assert(http_client_send_text(&client, head));
    ck_assert(http_client_send(&client, body, LARGE));
    free(body);
    metric_wait_at_least(METRIC_USED, LARGE); /* until the server has read all of it */
    ask_for_held_memory(LARGE, 200);
    expect_problem_and_end(408, "lacked the memory");
    expect_cut_for_memory();
}
END_TEST

START_TEST(memory_of_slowly_read_responses_goes_to_waiting_requests)
{
    START_SERVER("--max-memory=256M", "--max-connections=100", "--memory-wait-timeout=60",
                 "--slow-client-memory-timeout=1");
    ask_for_much();
    ck_assert(read_some(100) > 0);
    ask_for_held_memory(104 * MIB, 200);
    expect_cut_for_memory();
    size_t total = 0;
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0)
        total += (size_t)got;
    /* The buffers of both sockets contain at most this much. */
    ck_assert_msg(total < 18000000, "%zu bytes of the response arrived", total);
}
END_TEST

START_TEST(memory_is_taken_from_as_few_clients_as_needed)
{
    enum { SMALL = 10, BODY = MIB / 2 };
    struct http_client small[SMALL];
    char *body = padded_body(mse_body, BODY), *large = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    for (int i = 0; i < SMALL; i++) { /* they are slower, but use little memory */
        ck_assert(http_client_connect(&small[i], "127.0.0.1", server.port));
        if (i % 2)
            announce(&small[i], BODY, "");
        else
            ck_assert(http_client_send_text(&small[i],
                                            POST_MSE "Transfer-Encoding: chunked\r\n\r\n1\r\n{"));
    }
    hold(&client, large);
    free(large);
    ask_for_held_memory(LARGE, 200);
    expect_problem_and_end(408, "lacked the memory");
    expect_cut_for_memory();
    for (int i = 0; i < SMALL; i++) {
        ck_assert(i % 2 ? http_client_send(&small[i], body, BODY)
                        : http_client_send_text(&small[i], "\r\n1\r\n}\r\n0\r\n\r\n"));
        ck_assert(http_client_read(&small[i], &response, false));
        ck_assert_msg(response.status == (i % 2 ? 200 : 422), "client %d: %s%s", i, response.head,
                      response.body);
        http_client_close(&small[i]);
    }
    free(body);
}
END_TEST

/* Rejected requests need the memory as much as waiting ones. */
START_TEST(memory_of_slow_bodies_is_freed_for_retries)
{
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=0", "--slow-client-memory-timeout=1");
    hold(&client, body);
    free(body);
    wait_ms(500);
    ask_for_held_memory(LARGE, 503);
    expect_problem_and_end(408, "lacked the memory");
    ask_for_held_memory(LARGE, 200);
}
END_TEST

/* Sends the rest of a body of LARGE bytes within `ms` milliseconds. */
static void send_slowly(const char *body, int ms)
{
    enum { PIECES = LARGE / HELD };
    for (size_t at = HELD; at < LARGE; at += HELD) {
        wait_ms(ms / PIECES);
        ck_assert(http_client_send(&client, body + at, HELD));
    }
}

START_TEST(memory_of_slow_bodies_is_kept_without_waiters)
{
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--slow-client-memory-timeout=0.5");
    hold(&client, body);
    send_slowly(body, 1200);
    free(body);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(memory_of_fast_bodies_is_kept)
{
    struct http_client second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60",
                 "--slow-client-memory-timeout=8"); /* first checked after a second */
    hold(&client, body);
    connect_waiter(&second, LARGE, "", 1);
    send_slowly(body, 1500);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(http_client_send(&second, body, LARGE));
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    free(body);
}
END_TEST

/* ---- Disconnected clients ---- */

/* Waits for a value, at most three seconds. The server needs at most one, a busy machine longer. */
static void expect_soon(const char *line, double value)
{
    const int64_t began = clock_ms();
    metric_wait(line, value);
    ck_assert_msg(clock_ms() - began < 3000, "%s was not %g for %d ms", line, value,
                  (int)(clock_ms() - began));
}

START_TEST(memory_of_reset_connections_is_released)
{
    struct http_client before, second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60");
    hold(&client, body);
    /* A client that waits for admission. */
    connect_waiter(&second, LARGE, "", 1);
    http_client_reset(&second);
    expect_soon(METRIC_WAITING, 0);
    ck_assert(metric_value("lossd_rejections_total{reason=\"gone\"}") >= 1);
    connect_waiter(&second, LARGE, "", 1);
    http_client_close(&second);
    expect_soon(METRIC_WAITING, 0);
    /* A client that sends its body. */
    http_client_reset(&client);
    expect_soon(METRIC_RESERVED, 0);
    /* A client that waits for memory within its body. */
    ck_assert(http_client_connect(&before, "127.0.0.1", server.port));
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    announce(&before, MIDDLE, "");
    ck_assert(http_client_send(&before, body, MIDDLE - MIB));
    metric_wait_at_least(METRIC_USED, MIDDLE - MIB);
    announce(&second, MIDDLE, "");
    send_until_waiting(&second, body, MIDDLE);
    http_client_reset(&second);
    expect_soon(METRIC_WAITING, 0);
    /* A client that closes its connection while it waits within its body. */
    connect_and_announce(&second, MIDDLE, "");
    send_until_waiting(&second, body, MIDDLE);
    http_client_close(&second);
    expect_soon(METRIC_WAITING, 0);
    http_client_reset(&before);
    expect_soon(METRIC_RESERVED, 0);
    ck_assert(metric_value(METRIC_USED) == 0);
    free(body);
}
END_TEST

/* Sends as much of a body as the kernel buffers without a reader. */
static void stuff(struct http_client *by)
{
    static const char bytes[64 * 1024];
    while (send(by->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
}

/* Clients close their connections before they send their body, and within it. */
START_TEST(memory_of_closed_connections_is_released)
{
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=300");
    hold(&client, body);
    for (int i = 0; i < 2; i++) {
        struct http_client second;
        connect_waiter(&second, LARGE, "", 1);
        if (i == 1)
            stuff(&second);
        http_client_close(&second);
        metric_wait(METRIC_WAITING, 0);
        metric_wait("lossd_rejections_total{reason=\"gone\"}", i + 1);
    }
    free(body);
}
END_TEST

/* ---- Suite ---- */

Suite *memory_release_suite(void)
{
    Suite *suite = suite_create("memory_release");
    TCase *const slow = suite_add_case(suite, "memory_release", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, memory_of_slow_bodies_goes_to_waiting_requests,
             memory_of_slow_chunked_bodies_goes_to_waiting_requests,
             memory_of_slowly_read_responses_goes_to_waiting_requests,
             memory_is_taken_from_as_few_clients_as_needed,
             memory_of_slow_bodies_is_freed_for_retries,
             memory_of_slow_bodies_is_kept_without_waiters, memory_of_fast_bodies_is_kept,
             memory_of_reset_connections_is_released, memory_of_closed_connections_is_released);
    return suite;
}
