/* Tests the memory limit: which requests are admitted, wait, or are rejected. */
#include "memory_limit.h"
#include "suites.h"
#include "support/body.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized = true; /* sanitizers use additional memory */
#else
static const bool sanitized = false;
#endif

/* ---- Waiting ---- */

static void expect_retry(void)
{
    ck_assert_msg(response.status == 503, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "memory"));
    ck_assert_ptr_nonnull(strstr(response.head, "Retry-After: "));
}

START_TEST(memory_wait_leaves_body_unread)
{
    struct http_client second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_waiter(&second, LARGE, "Expect: 100-continue\r\n", 1);
    /* Small requests are still served. */
    struct http_client small;
    ck_assert(http_client_connect(&small, "127.0.0.1", server.port));
    ck_assert(
        http_client_ask(&small, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&small);
    char byte;
    /* 100 Continue is not sent either. */
    ck_assert_int_lt(recv(second.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 0);
    ck_assert(http_client_send(&client, body + HELD, LARGE - HELD));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 100);
    ck_assert(http_client_send(&second, body, LARGE));
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    free(body);
    metric_wait(METRIC_RESERVED, 0);
}
END_TEST

START_TEST(released_memory_goes_to_waiting_requests)
{
    struct http_client second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_waiter(&second, LARGE, "", 1);
    http_client_close(&client);
    ck_assert(http_client_send(&second, body, LARGE));
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    free(body);
}
END_TEST

START_TEST(memory_wait_times_out)
{
    struct http_client second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=0.3", "--max-memory-waiters=1");
    hold(&client, body);
    for (int i = 0; i < 3; i++) {
        connect_and_announce(&second, LARGE, i == 0 ? "Expect: 100-continue\r\n" : "");
        if (i == 1)
            http_client_send(&second, body, LARGE); /* as much as the server reads */
        else if (i == 2)
            ck_assert(http_client_send(&second, body, 1000));
        do
            ck_assert(http_client_read(&second, &response, false));
        while (response.status == 100);
        expect_retry();
        http_client_close(&second);
    }
    ck_assert(metric_value("lossd_rejections_total{reason=\"memory\"}") >= 3);
    free(body);
}
END_TEST

START_TEST(memory_has_a_bounded_queue)
{
    struct http_client first, second;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60", "--max-memory-waiters=1");
    hold(&client, body);
    free(body);
    connect_waiter(&first, LARGE, "", 1);
    connect_and_announce(&second, LARGE, "");
    ck_assert(http_client_send(&second, mse_body, 10));
    ck_assert(http_client_read(&second, &response, false));
    expect_retry();
    http_client_close(&second);
    http_client_close(&first);
}
END_TEST

/* A request that would fit waits for an earlier one that needs more. */
START_TEST(memory_goes_to_waiting_requests_in_order)
{
    struct http_client second, third;
    char *body = padded_body(mse_body, LARGE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_waiter(&second, LARGE, "Expect: 100-continue\r\n", 1);
    connect_waiter(&third, 2 * MIB, "Expect: 100-continue\r\n", 2);
    http_client_close(&client);
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 100);
    ck_assert(http_client_read(&third, &response, false));
    ck_assert_int_eq(response.status, 100);
    http_client_close(&second);
    http_client_close(&third);
    free(body);
    metric_wait(METRIC_RESERVED, 0);
}
END_TEST

struct upload {
    struct http_client client;
    pthread_t thread;
    const char *body;
    int status;
};

static void *upload(void *argument)
{
    struct upload *const upload = argument;
    struct http_response answer = {.status = 0};
    if (http_client_send(&upload->client, upload->body, MIDDLE) &&
        http_client_read(&upload->client, &answer, false))
        upload->status = answer.status;
    http_response_free(&answer);
    return NULL;
}

/* Admitted requests wait within their bodies for longer than --memory-wait-timeout, which applies
 * only before admission. */
START_TEST(memory_suffices_for_all_admitted_requests)
{
    enum { OTHERS = 3 };
    static struct upload others[OTHERS];
    char *body = padded_body(mse_body, MIDDLE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=0.1", "--slow-client-memory-timeout=60");
    announce(&client, MIDDLE, "");
    ck_assert(http_client_send(&client, body, MIDDLE / 2));
    metric_wait_at_least(METRIC_USED, MIDDLE / 2);
    for (int i = 0; i < OTHERS; i++) {
        others[i] = (struct upload){.body = body};
        connect_and_announce(&others[i].client, MIDDLE, "");
        ck_assert_int_eq(pthread_create(&others[i].thread, NULL, upload, &others[i]), 0);
        metric_wait_at_least(METRIC_USED, MIDDLE / 2 + MIB);
    }
    metric_wait_at_least(METRIC_WAITING, 1);
    wait_ms(600);
    ck_assert(metric_value(METRIC_WAITING) >= 1);
    ck_assert(http_client_send(&client, body + MIDDLE / 2, MIDDLE - MIDDLE / 2));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    for (int i = 0; i < OTHERS; i++) {
        pthread_join(others[i].thread, NULL);
        http_client_close(&others[i].client);
        ck_assert_msg(others[i].status == 200 || others[i].status == 503 || others[i].status == 0,
                      "%d", others[i].status);
    }
    ck_assert_int_eq(others[0].status, 200);
    free(body);
    metric_wait(METRIC_RESERVED, 0);
    ck_assert(metric_value(METRIC_USED) == 0);
}
END_TEST

/* ---- Reserved memory ---- */

/* From a bug report: 32 connections that declare 1 GB each and send slowly. */
START_TEST(memory_is_not_reserved_for_declared_lengths)
{
    enum { CLAIMING = 32, SENT = 100 * 1000, ASKED = 20 * MIB };
    static const char *const memories[] = {"--max-memory=2G", "--max-memory=8G"};
    struct http_client claiming[CLAIMING];
    char *body = padded_body(mse_body, ASKED);
    for (size_t m = 0; m < 2; m++) {
        START_SERVER(memories[m], "--max-body=1G", "--max-connections=100",
                     "--memory-wait-timeout=2");
        const size_t idle = server_process_memory(&server, "VmRSS:");
        for (int i = 0; i < CLAIMING; i++) {
            connect_and_announce(&claiming[i], 1000000000, "");
            ck_assert(http_client_send(&claiming[i], body, SENT));
        }
        metric_wait_at_least(METRIC_USED, (double)CLAIMING * SENT);
        ck_assert(metric_value(METRIC_RESERVED) < CLAIMING * 4.0 * SENT);
        const size_t held = server_process_memory(&server, "VmRSS:");
        ck_assert_msg(sanitized || held < idle + 16 * MIB, "%zu bytes are resident, %zu were", held,
                      idle);
        for (int i = 0; i < 2; i++) { /* others get all the memory that they need */
            ck_assert(http_client_ask(&client, "POST", mse_path, NULL, body, ASKED, &response));
            ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
        }
        for (int i = 0; i < CLAIMING; i++) {
            ck_assert(http_client_send(&claiming[i], body, 1000));
            http_client_close(&claiming[i]);
        }
        metric_wait(METRIC_RESERVED, 0);
        end_server();
    }
    free(body);
}
END_TEST

/* Small requests also reserve only what has been received. */
START_TEST(memory_is_not_reserved_for_small_declared_lengths)
{
    enum { CLAIMING = 80, DECLARED = 480 * 1000 };
    struct http_client claiming[CLAIMING];
    char *body = padded_body(mse_body, MIDDLE);
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=2");
    for (int i = 0; i < CLAIMING; i++) {
        connect_and_announce(&claiming[i], DECLARED, "");
        ck_assert(http_client_send(&claiming[i], body, 100));
    }
    metric_wait("lossd_http_requests_in_flight", CLAIMING + 1);
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, body, MIDDLE, &response));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    for (int i = 0; i < CLAIMING; i++)
        http_client_close(&claiming[i]);
    free(body);
    metric_wait(METRIC_RESERVED, 0);
}
END_TEST

/* ---- Total ---- */

START_TEST(memory_above_total_is_413)
{
    START_SERVER(MEMORY_OPTIONS, "--max-body=1G");
    announce(&client, 70 * MIB, "");
    expect_problem_and_end(413, "--max-memory");
    /* Sizes that are not known in advance: a chunked body, a response. */
    reconnect();
    char *body = padded_body(mse_body, 80 * MIB), head[64];
    ck_assert(http_client_send_text(&client, POST_MSE "Transfer-Encoding: chunked\r\n\r\n"));
    snprintf(head, sizeof head, "%x\r\n", 80 * MIB);
    ck_assert(http_client_send_text(&client, head));
    http_client_send(&client, body, 80 * MIB);
    http_client_send_text(&client, "\r\n0\r\n\r\n");
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 413, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "--max-memory"));
    free(body);
    reconnect();
    ask_for_much();
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 413, "%s%.1000s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "--max-memory"));
    reconnect();
    expect_evaluated();
    metric_wait(METRIC_RESERVED, 0);
}
END_TEST

struct flood {
    pthread_t thread;
    int status;
};

/* Sends a large request. Stores the status of its response, 0 if there is none. */
static void *ask_large(void *argument)
{
    struct flood *const flood = argument;
    enum { NUMBERS = 1000000 };
    struct http_client mine;
    struct http_response answer = {.status = 0};
    char *body = malloc(10 * NUMBERS + 100), *to = body;
    to = stpcpy(to, "{\"grad\": true, \"input\": [");
    for (int i = 0; i < NUMBERS; i++)
        to = stpcpy(to, i ? ",0.5" : "0.5");
    to = stpcpy(to, "], \"target\": [");
    for (int i = 0; i < NUMBERS; i++)
        to = stpcpy(to, i ? ",0.25" : "0.25");
    to = stpcpy(to, "]}");
    if (http_client_connect(&mine, "127.0.0.1", server.port)) {
        http_client_ask(&mine, "POST", mse_path, NULL, body, (size_t)(to - body), &answer);
        flood->status = answer.status;
    }
    http_response_free(&answer);
    http_client_close(&mine);
    free(body);
    return NULL;
}

START_TEST(memory_is_bounded_for_mixed_large_requests)
{
    enum { CLIENTS = 24, BASE = 48 * MIB };
    static struct flood flood[CLIENTS];
    int answered = 0;
    START_SERVER(MEMORY_OPTIONS, "--memory-wait-timeout=1");
    for (int i = 0; i < CLIENTS;
         i++) /* 9 MB each; with numbers and response about three times as much */
        ck_assert_int_eq(pthread_create(&flood[i].thread, NULL, ask_large, &flood[i]), 0);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(flood[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        answered += flood[i].status == 200;
        ck_assert_msg(flood[i].status == 200 || flood[i].status == 503, "client %d: status %d", i,
                      flood[i].status);
    }
    ck_assert_int_gt(answered, 0);
    const size_t peak = server_process_memory(&server, "VmHWM:");
    ck_assert_msg(sanitized || peak < 64 * MIB + BASE, "%zu bytes were resident", peak);
    metric_wait(METRIC_RESERVED, 0);
}
END_TEST

/* ---- Suite ---- */

Suite *memory_admission_suite(void)
{
    Suite *suite = suite_create("memory_admission");
    TCase *const slow = suite_add_case(suite, "memory_admission", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, memory_wait_leaves_body_unread, released_memory_goes_to_waiting_requests,
             memory_wait_times_out, memory_has_a_bounded_queue,
             memory_goes_to_waiting_requests_in_order, memory_suffices_for_all_admitted_requests,
             memory_is_not_reserved_for_declared_lengths,
             memory_is_not_reserved_for_small_declared_lengths, memory_above_total_is_413,
             memory_is_bounded_for_mixed_large_requests);
    return suite;
}
