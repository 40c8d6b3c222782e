/* Tests the limits on computation: deadlines, work, the queue and its order. */
#include "suites.h"
#include "support/body.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- Deadlines ---- */

static const char late[] = "lossd_rejections_total{reason=\"compute_time\"}";

START_TEST(computation_has_a_deadline)
{
    char value[64];
    START_SERVER("--compute-timeout=0.3");
    ask_for_minutes(&client);
    ck_assert(http_client_read(&client, &response, false));
    expect_response(503, "not ready within 0.3 seconds, the limit that --compute-timeout sets");
    /* A retry would time out too. */
    ck_assert_ptr_null(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert(metric_value(late) == 1);
    expect_evaluated(); /* on the same connection */
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " reason=compute_time"));
    free(log);
}
END_TEST

START_TEST(deadline_includes_the_queue)
{
    char value[64];
    struct http_client second;
    START_SERVER("--threads=1");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    ask_for_rows(&second, ROWS_MOMENT, "X-Request-Timeout: 0.4\r\n");
    ck_assert(http_client_read(&second, &response, false));
    expect_response(503, "not ready within 0.4 seconds, the limit that X-Request-Timeout sets");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert_int_ge(atoi(value), 1);
    ck_assert(metric_value(METRIC_BUSY) == 1); /* the other one runs */
    http_client_close(&second);
    http_client_reset(&client);
    metric_wait(METRIC_BUSY, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* The memory suffices for the body, but not for the computation, which needs as much again. */
START_TEST(deadline_includes_the_memory_wait)
{
    struct http_client second;
    char value[64];
    START_SERVER("--max-memory=128M", "--max-connections=100", "--threads=1");
    ask_for_minutes(&client);
    /* The executor is busy before the request has reserved memory for gradients and scratch. */
    metric_wait_at_least(METRIC_RESERVED, 8.0 * ROWS_MINUTE * ROWS_COLUMNS * sizeof(float));
    const double max = metric_value("lossd_memory_budget_bytes") / 8 * 7;
    const size_t len = (size_t)((max - metric_value(METRIC_RESERVED)) * 0.7);
    char *body = padded_body(mse_body, len);
    connect_and_announce(&second, len, "X-Request-Timeout: 1\r\n");
    ck_assert(http_client_send(&second, body, len));
    ck_assert(http_client_read(&second, &response, false));
    expect_response(
        503, "within 1 seconds, the limit that X-Request-Timeout sets; the request waited for ");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert(metric_value(METRIC_BUSY) == 1);
    ck_assert(metric_value(late) == 1);
    ck_assert(
        http_client_ask(&second, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    http_client_reset(&client);
    free(body);
    metric_wait(METRIC_BUSY, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(clients_can_only_lower_the_deadline)
{
    START_SERVER("--compute-timeout=0.3");
    ask_for_rows(&client, ROWS_MINUTE, "X-Request-Timeout: 60\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_response(503, "within 0.3 seconds, the limit that --compute-timeout sets");
    ask_for_rows(&client, ROWS_MINUTE, "X-Request-Timeout: 0.2\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_response(503, "within 0.2 seconds, the limit that X-Request-Timeout sets");
}
END_TEST

START_TEST(deadline_can_be_disabled)
{
    START_SERVER("--compute-timeout=0");
    ask_for_rows(&client, ROWS_MOMENT, "");
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ask_for_rows(&client, ROWS_MINUTE, "X-Request-Timeout: 0.2\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_response(503, "X-Request-Timeout");
}
END_TEST

START_TEST(timeout_header_is_parsed_strictly)
{
    static const char *const wrong[] = {"0",          "0.000", "-1",  "+1",  "1s",
                                        "1.2345",     "abc",   "",    "1e3", "86400.001",
                                        "9999999999", "\xff",  "1, 2"};
    char headers[128];
    START_SERVER("--threads=1");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(headers, sizeof headers, "X-Request-Timeout: %s\r\n", wrong[i]);
        ck_assert(http_client_ask(&client, "POST", mse_path, headers, mse_body, strlen(mse_body),
                                  &response));
        expect_response(400, "X-Request-Timeout is '");
        expect_response(400, "expected a number of seconds from 0.001 to 86400 with at most three "
                             "decimals, such as 2.5");
    }
    ck_assert(http_client_ask(&client, "POST", mse_path,
                              "X-Request-Timeout: 1\r\nx-request-timeout: 2\r\n", mse_body,
                              strlen(mse_body), &response));
    expect_response(400, "2 X-Request-Timeout headers");
    ck_assert(http_client_ask(&client, "POST", mse_path, "X-Request-Timeout: 86400\r\n", mse_body,
                              strlen(mse_body), &response));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* ---- Work ---- */

/* The first request contains an invalid class, which decoding would report. */
START_TEST(work_is_rejected_before_decoding)
{
    static const char one[] = "{\"input\": [[1, 2], [3, 4]], \"target\": [0, 7]}";
    static const char several[] =
        "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"losses\": "
        "[{\"loss\": \"mse\"}, {\"loss\": \"l1\"}, {\"loss\": \"huber\"}]}";
    static const char inference[] = "{\"inputs\": [{\"name\": \"input\", \"shape\": [3], "
                                    "\"datatype\": \"FP32\", \"data\": [1, 2, "
                                    "3]}, {\"name\": \"target\", \"shape\": [3], \"datatype\": "
                                    "\"FP32\", \"data\": [1, 2, 3]}]}";
    START_SERVER("--max-work=1");
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/cross_entropy", NULL, one, strlen(one),
                              &response));
    expect_response(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    expect_response(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(http_client_ask(&client, "POST", "/v2/models/mse/infer", NULL, inference,
                              strlen(inference), &response));
    expect_response(413, " units of work; max_work of GET /v1/limits is 1");
    ask_for_minutes(&client);
    ck_assert(http_client_read(&client, &response, false));
    expect_response(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(metric_value("lossd_rejections_total{reason=\"work\"}") == 4);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " reason=work"));
    free(log);
}
END_TEST

static unsigned long long work_of_answer(void)
{
    const char *const at = strstr(response.body, "this request takes ");
    ck_assert_msg(at != NULL, "%s", response.body);
    return strtoull(at + strlen("this request takes "), NULL, 10);
}

START_TEST(work_of_several_losses_is_summed)
{
    static const char several[] =
        "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"losses\": "
        "[{\"loss\": \"mse\"}, {\"loss\": \"mse\"}, {\"loss\": \"mse\"}]}";
    char max[64];
    START_SERVER("--max-work=1");
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, mse_body, strlen(mse_body), &response));
    const unsigned long long each = work_of_answer();
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    ck_assert_uint_eq(work_of_answer(), 3 * each);
    end_server();
    snprintf(max, sizeof max, "--max-work=%llu", 3 * each);
    START_SERVER(max);
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* ---- Queue ---- */

/* Returns the number of these clients with a response. */
static int count_answered(const struct http_client clients[], int count)
{
    int answered = 0;
    for (int i = 0; i < count; i++) {
        char byte;
        answered += recv(clients[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }
    return answered;
}

START_TEST(jobs_alternate_between_clients)
{
    enum { CONNECTIONS = 16, ROWS = 700 };
    struct http_client many[CONNECTIONS], other;
    START_SERVER("--threads=1", "--compute-timeout=0");
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_rows(&many[i], ROWS, "");
    }
    connect_from_elsewhere(&other);
    ask_for_rows(&other, ROWS / 2, "");
    while (metric_value("lossd_queue_clients") < 2 && count_answered(&other, 1) == 0)
        wait_ms(1);
    const int before = count_answered(many, CONNECTIONS);
    ck_assert_int_lt(before, CONNECTIONS - 4);
    ck_assert(http_client_read(&other, &response, false));
    const int after = count_answered(many, CONNECTIONS);
    ck_assert_int_eq(response.status, 200);
    ck_assert_msg(after - before <= 2, "%d jobs of the other client ran before", after - before);
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_read(&many[i], &response, false));
        ck_assert_int_eq(response.status, 200);
        http_client_close(&many[i]);
    }
    http_client_close(&other);
}
END_TEST

START_TEST(the_queue_has_room_for_every_client)
{
    struct http_client many[3], other;
    char value[64];
    START_SERVER("--threads=1", "--max-queue=2", "--compute-timeout=0");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_minutes(&many[i]);
        metric_wait(METRIC_QUEUED, i + 1);
    }
    ck_assert(metric_value("lossd_queue_clients") == 1);
    connect_from_elsewhere(&other);
    ask_for_rows(&other, ROWS_MOMENT, "");
    metric_wait("lossd_queue_clients", 2);
    ck_assert(metric_value(METRIC_QUEUED) == 2);
    ck_assert(http_client_read(&many[1], &response, false));
    expect_response(
        503, "too many requests are waiting to be computed; the limit that --max-queue sets");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    for (int i = 0; i < 2; i++)
        http_client_reset(&many[i]);
    http_client_reset(&client);
    ck_assert(http_client_read(&other, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&other);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(compute_queue_has_a_maximum_length)
{
    struct http_client second, third;
    START_SERVER("--max-queue=1");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    ask_for_minutes(&second);
    metric_wait(METRIC_QUEUED, 1);
    ck_assert(http_client_connect(&third, "127.0.0.1", server.port));
    ask_for_minutes(&third);
    ck_assert(http_client_read(&third, &response, false));
    expect_response(
        503, "too many requests are waiting to be computed; the limit that --max-queue sets");
    http_client_close(&third);
    http_client_reset(&second);
    http_client_reset(&client);
    metric_wait(METRIC_BUSY, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(compression_does_not_wait_for_computations)
{
    struct http_client reader;
    char value[64];
    START_SERVER("--threads=1", "--compute-timeout=0");
    ck_assert(http_client_connect(&reader, "127.0.0.1", server.port));
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_ask(&reader, "GET", "/openapi.json", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    expect_response(200, "\"openapi\"");
    ck_assert(metric_value(METRIC_BUSY) == 1);
    http_client_reset(&client);
    metric_wait(METRIC_BUSY, 0);
    ck_assert(http_client_ask(&reader, "GET", "/openapi.json", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Encoding", value, sizeof value));
    http_client_close(&reader);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* ---- Suite ---- */

Suite *compute_limits_suite(void)
{
    Suite *suite = suite_create("compute_limits");
    TCase *const queue = suite_add_case(suite, "compute_limits", 300, NULL, end_server);
    CASE_ADD(queue, compute_queue_has_a_maximum_length);
    TCase *const slow = suite_add_case(suite, "compute_limits_slow", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, computation_has_a_deadline, deadline_includes_the_queue,
             deadline_includes_the_memory_wait, clients_can_only_lower_the_deadline,
             deadline_can_be_disabled, timeout_header_is_parsed_strictly,
             work_is_rejected_before_decoding, work_of_several_losses_is_summed,
             jobs_alternate_between_clients, the_queue_has_room_for_every_client,
             compression_does_not_wait_for_computations);
    return suite;
}
