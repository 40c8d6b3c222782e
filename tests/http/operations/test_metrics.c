/*
 * GET /metrics: values match the requests sent, and Prometheus can read the text.
 *
 * A request is counted after the last byte of its response has been sent. So tests scrape on the
 * same connection, or wait for the count if they use several connections.
 */
#include "loss.h"
#include "suites.h"
#include "support/command.h"
#include "support/server_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE = 256, CLIENTS = 4, EACH = 250, JOBS = 3, SIDE = 1536, PATIENCE_MS = 20000 };

static const char small[] = "{\"input\":[1,2,3],\"target\":[1,2,5]}";
static const char inference[] =
    "{\"inputs\":[{\"name\":\"input\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,2]},"
    "{\"name\":\"target\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,4]}]}";

static void setup(void)
{
    start_server(ARGUMENTS("--log-level=warning", "--threads=2", "--io-threads=2"));
}

/* ---- Requests ---- */

static void scrape(void)
{
    ck_assert_int_eq(ask("GET", "/metrics", NULL, NULL), 200);
}

/* Returns the value of a sample of the last scrape, by its name with labels; -1 if there is none.
 */
static double value(const char *sample)
{
    const size_t len = strlen(sample);
    for (const char *line = response.body; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, sample, len) == 0 && line[len] == ' ')
            return strtod(line + len, NULL);
    }
    return -1;
}

#define expect(sample, expected)                                                                   \
    ck_assert_msg(value(sample) == (expected), "%s is %g", sample, value(sample))

/* Scrapes until a sample has that value. */
static void await(const char *sample, double expected)
{
    for (int ms = 0; scrape(), value(sample) != expected; ms += 10) {
        ck_assert_msg(ms < PATIENCE_MS, "%s is %g, not %g", sample, value(sample), expected);
        wait_ms(10);
    }
}

/* Returns the body of a long evaluation: few numbers that are broadcast to many terms, all of which
   the response contains. The caller frees it. */
static char *long_request(void)
{
    char *const body = malloc(SIDE * 16 + 256);
    ck_assert_ptr_nonnull(body);
    size_t len =
        (size_t)sprintf(body, "{\"reduction\":\"none\",\"log_input\":true,\"input\":[[0.5]");
    for (int i = 1; i < SIDE; i++)
        len += (size_t)sprintf(body + len, ",[0.5]");
    len += (size_t)sprintf(body + len, "],\"target\":[1.5");
    for (int i = 1; i < SIDE; i++)
        len += (size_t)sprintf(body + len, ",1.5");
    sprintf(body + len, "]}");
    return body;
}

/* ---- Counters ---- */

START_TEST(metrics_count_requests_by_route_loss_protocol_and_status)
{
    scrape();
    expect("lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"200\"}", 0);
    expect("lossd_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}", 0);
    ck_assert_int_eq(ask("POST", "/v1/losses/mse", NULL, small), 200);
    ck_assert_int_eq(ask("POST", "/v1/losses/MSELoss", NULL, small), 200);
    ck_assert_int_eq(ask("POST", "/v2/models/mse/infer", NULL, inference), 200);
    ck_assert_int_eq(ask("POST", "/v2/models/mse/versions/1/infer", NULL, inference), 200);
    ck_assert_int_eq(
        ask("POST", "/v1/losses/mse", NULL, "{\"input\":[1,2,3],\"target\":[[1,2],[3,4]]}"), 422);
    ck_assert_int_eq(ask("POST", "/v1/losses/huber", NULL, "{"), 400);
    ck_assert_int_eq(ask("POST", "/v1/losses/hubert", NULL, small), 404);
    ck_assert_int_eq(ask("GET", "/v1/losses/mse", NULL, NULL), 200);
    ck_assert_int_eq(ask("GET", "/nowhere", NULL, NULL), 404);
    ck_assert_int_eq(ask("DELETE", "/v1/losses/mse", NULL, NULL), 405);
    ck_assert(http_client_ask(&client, "OPTIONS", "*", NULL, NULL, 0, &response));
    ck_assert_int_eq(ask("POST", "/v1/evaluate", NULL,
                         "{\"losses\":[\"mse\",\"l1\"],\"input\":[1,2,3],\"target\":[1,2,5]}"),
                     200);
    scrape();
    expect("lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"200\"}", 2);
    expect("lossd_evaluations_total{loss=\"several\",protocol=\"v1\",status=\"200\"}", 1);
    expect("lossd_elements_total{loss=\"several\"}", 6);
    expect("lossd_phase_duration_seconds_count{phase=\"compute\"}", 5);
    expect("lossd_evaluations_total{loss=\"mse\",protocol=\"v2\",status=\"200\"}", 2);
    expect("lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"422\"}", 1);
    expect("lossd_evaluations_total{loss=\"huber\",protocol=\"v1\",status=\"400\"}", 1);
    expect("lossd_evaluations_total{loss=\"huber\",protocol=\"v1\",status=\"200\"}", 0);
    expect("lossd_http_requests_total{method=\"POST\",route=\"/v1/losses/{loss}\",status=\"200\"}",
           2);
    expect("lossd_http_requests_total{method=\"POST\",route=\"/v1/losses/{loss}\",status=\"404\"}",
           1);
    expect("lossd_http_requests_total{method=\"POST\",route=\"/v2/models/{loss}/"
           "infer\",status=\"200\"}",
           1);
    expect("lossd_http_requests_total{method=\"GET\",route=\"/v1/losses/{loss}\",status=\"200\"}",
           1);
    expect("lossd_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}", 1);
    expect("lossd_http_requests_total{method=\"other\",route=\"other\",status=\"404\"}", 1);
    expect("lossd_http_requests_total{method=\"other\",route=\"other\",status=\"405\"}", 1);
    expect("lossd_http_requests_total{method=\"other\",route=\"other\",status=\"204\"}", 1);
    ck_assert_ptr_null(strstr(response.body, "hubert"));
}
END_TEST

START_TEST(metrics_count_bytes_elements_and_phases)
{
    char *const large = long_request();
    scrape();
    const double sent = (double)response.body_len;
    ask("POST", "/v1/losses/mse", NULL, small);
    const double answered = (double)response.body_len;
    scrape();
    expect("lossd_request_body_bytes_total", strlen(small));
    expect("lossd_response_body_bytes_total", sent + answered);
    expect("lossd_elements_total{loss=\"mse\"}", 3);
    expect("lossd_phase_duration_seconds_count{phase=\"receive\"}", 1);
    expect("lossd_phase_duration_seconds_count{phase=\"queue\"}",
           0); /* the I/O thread computed the request */
    expect("lossd_phase_duration_seconds_count{phase=\"compute\"}", 1);
    expect("lossd_evaluation_duration_seconds_count{protocol=\"v1\"}", 1);
    expect("lossd_executor_busy_seconds_total", 0);
    ask("POST", "/v1/losses/poisson_nll", NULL, large);
    ck_assert_int_eq(response.status, 200);
    scrape();
    expect("lossd_request_body_bytes_total", strlen(small) + strlen(large));
    expect("lossd_elements_total{loss=\"poisson_nll\"}", SIDE * SIDE);
    static const char *const phases[] = {"receive", "queue", "decode", "compute", "encode", "send"};
    for (int i = 0; i < 6; i++) {
        char sample[SAMPLE];
        snprintf(sample, sizeof sample, "lossd_phase_duration_seconds_count{phase=\"%s\"}",
                 phases[i]);
        expect(sample, i == 1 ? 1 : 2);
        snprintf(sample, sizeof sample,
                 "lossd_loss_seconds_total{loss=\"poisson_nll\",phase=\"%s\"}", phases[i]);
        ck_assert_msg(value(sample) > 0, "%s", sample);
    }
    const double computed =
        value("lossd_loss_seconds_total{loss=\"poisson_nll\",phase=\"compute\"}");
    ck_assert(value("lossd_executor_busy_seconds_total") >= computed);
    ck_assert(value("lossd_phase_duration_seconds_sum{phase=\"compute\"}") >= computed);
    ck_assert(value("lossd_evaluation_duration_seconds_sum{protocol=\"v1\"}") > computed);
    free(large);
}
END_TEST

START_TEST(metrics_count_rejections_by_reason)
{
    ck_assert(http_client_send_text(
        &client,
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 413);
    http_client_close(&client);
    connect_client(&client);
    ck_assert(
        http_client_send_text(&client, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 400);
    http_client_close(&client);
    connect_client(&client);
    await("lossd_http_requests_total{method=\"other\",route=\"other\",status=\"400\"}", 1);
    await("lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"413\"}", 1);
    expect("lossd_rejections_total{reason=\"body_size\"}", 1);
    expect("lossd_rejections_total{reason=\"malformed\"}", 1);
    expect("lossd_rejections_total{reason=\"queue\"}", 0);
}
END_TEST

START_TEST(metrics_count_a_client_that_leaves)
{
    struct http_client other = {.fd = -1};
    char *const body = long_request(), head[SAMPLE];
    ck_assert(http_client_connect(&other, "127.0.0.1", server.port));
    snprintf(
        head, sizeof head,
        "POST /v1/losses/poisson_nll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
        strlen(body));
    ck_assert(http_client_send_text(&other, head));
    ck_assert(http_client_send(&other, body, strlen(body) - 1));
    http_client_close(&other);
    await("lossd_evaluations_total{loss=\"poisson_nll\",protocol=\"v1\",status=\"499\"}", 1);
    expect("lossd_evaluations_total{loss=\"poisson_nll\",protocol=\"v1\",status=\"200\"}", 0);
    free(body);
}
END_TEST

START_TEST(metrics_describe_the_server_and_its_process)
{
    struct http_client other = {.fd = -1};
    size_t len;
    char *const limits = server_process_file(&server, "limits", &len);
    const time_t now = time(NULL);
    ck_assert(http_client_connect(&other, "127.0.0.1", server.port));
    await("lossd_connections", 2);
    expect("lossd_connections_accepted_total", 2);
    expect("lossd_http_requests_in_flight", 1);
    expect("lossd_compute_threads", 2);
    expect("lossd_io_threads", 2);
    expect("lossd_queue_jobs", 0);
    expect("lossd_executor_busy", 0);
    expect("lossd_draining", 0);
    ck_assert(value("process_open_fds") >= 5 && value("process_open_fds") < 64);
    ck_assert(value("process_max_fds") == strtod(strstr(limits, "Max open files") + 14, NULL));
    ck_assert(value("process_threads") >= 5);
    ck_assert(value("process_cpu_seconds_total") > 0);
    ck_assert(value("process_resident_memory_bytes") > 1e6);
    ck_assert(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
    ck_assert(value("process_start_time_seconds") > (double)now - 60 &&
              value("process_start_time_seconds") < (double)now + 2);
    ck_assert_ptr_nonnull(strstr(response.body, "lossd_build_info{version=\"" LOSS_VERSION "\""));
    ck_assert_ptr_nonnull(strstr(response.body, ",isa=\""));
    http_client_close(&other);
    await("lossd_connections", 1);
    free(limits);
}
END_TEST

/* ---- Load ---- */

static void *keep_asking(void *failed)
{
    struct http_client asking = {.fd = -1};
    struct http_response answer = {.status = 0};
    bool sound = http_client_connect(&asking, "127.0.0.1", server.port);
    for (int i = 0; sound && i < EACH; i++)
        sound = http_client_ask(&asking, "POST", "/v1/losses/mse", NULL, small, strlen(small),
                                &answer) &&
                answer.status == 200;
    *(bool *)failed = !sound;
    http_response_free(&answer);
    http_client_close(&asking);
    return NULL;
}

START_TEST(metrics_are_exact_and_monotonic_under_load)
{
    static const char sample[] =
        "lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"200\"}";
    pthread_t thread[CLIENTS];
    bool failed[CLIENTS];
    double last = 0;
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, keep_asking, &failed[i]), 0);
    for (int i = 0; i < 50; i++) {
        scrape();
        ck_assert(value(sample) >= last);
        last = value(sample);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(thread[i], NULL);
        ck_assert(!failed[i]);
    }
    await(sample, CLIENTS * EACH);
    expect("lossd_phase_duration_seconds_count{phase=\"send\"}", CLIENTS * EACH);
    expect("lossd_elements_total{loss=\"mse\"}", CLIENTS * EACH * 3);
    expect("lossd_request_body_bytes_total", CLIENTS * EACH * (double)strlen(small));
}
END_TEST

START_TEST(metrics_do_not_wait_for_evaluations)
{
    struct http_client busy[JOBS];
    struct http_response answer = {.status = 0};
    char *const body = long_request(), head[SAMPLE];
    snprintf(
        head, sizeof head,
        "POST /v1/losses/poisson_nll HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
        strlen(body));
    for (int i = 0; i < JOBS; i++) {
        busy[i].fd = -1;
        ck_assert(http_client_connect(&busy[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&busy[i], head) &&
                  http_client_send(&busy[i], body, strlen(body)));
    }
    for (scrape(); value("lossd_queue_jobs") < 1 || value("lossd_executor_busy") < 1; scrape())
        ck_assert(
            value("lossd_evaluations_total{loss=\"poisson_nll\",protocol=\"v1\",status=\"200\"}") <
            1);
    /* The executor compresses long responses; this one must be compressed without it. */
    ck_assert(http_client_ask(&client, "GET", "/metrics", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    ck_assert(http_response_header(&response, "Content-Encoding", head, sizeof head));
    scrape();
    ck_assert(
        value("lossd_evaluations_total{loss=\"poisson_nll\",protocol=\"v1\",status=\"200\"}") <
        JOBS);
    for (int i = 0; i < JOBS; i++) {
        ck_assert(http_client_read(&busy[i], &answer, false));
        ck_assert_int_eq(answer.status, 200);
        http_client_close(&busy[i]);
    }
    await("lossd_evaluations_total{loss=\"poisson_nll\",protocol=\"v1\",status=\"200\"}", JOBS);
    expect("lossd_queue_jobs", 0);
    http_response_free(&answer);
    free(body);
}
END_TEST

/* ---- Text format ---- */

/* Each line is a comment or a sample of the current family. */
START_TEST(metrics_are_valid_prometheus_text)
{
    char family[SAMPLE] = "", type[16] = "", text[SAMPLE];
    int families = 0;
    ask("POST", "/v1/losses/mse", NULL, small);
    scrape();
    ck_assert(http_response_header(&response, "Content-Type", text, sizeof text));
    ck_assert_str_eq(text, "text/plain; version=0.0.4; charset=utf-8");
    ck_assert_int_eq(response.body[response.body_len - 1], '\n');
    for (char *line = response.body, *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        next[-1] = '\0';
        if (sscanf(line, "# HELP %255s", family) == 1) {
            families++;
            continue;
        }
        if (sscanf(line, "# TYPE %255s %15s", text, type) == 2) {
            ck_assert_str_eq(text, family);
            continue;
        }
        char *end = line + strcspn(line, "{ "), *const rest =
                                                    *end == '{' ? strstr(end, "} ") + 2 : end + 1;
        ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s is in the family %s", line,
                      family);
        const char *const suffix = line + strlen(family);
        ck_assert_msg(suffix == end || strcmp(type, "histogram") == 0, "%s is not a sample of %s",
                      line, family);
        strtod(rest, &end);
        ck_assert_msg(end > rest && *end == '\0', "%s is not a number", rest);
        ck_assert_msg(strncmp(family, "lossd_", 6) == 0 || strncmp(family, "process_", 8) == 0,
                      "%s", family);
    }
    ck_assert_int_ge(families, 20);
}
END_TEST

START_TEST(metrics_histograms_are_cumulative)
{
    double last = 0, bound = 0;
    for (int i = 0; i < 5; i++)
        ask("POST", "/v1/losses/mse", NULL, small);
    scrape();
    static const char name[] = "lossd_evaluation_duration_seconds_bucket{protocol=\"v1\",le=\"";
    int buckets = 0;
    for (const char *at = response.body; (at = strstr(at, name)); buckets++) {
        char *end;
        const double next = strtod(at += strlen(name), &end);
        ck_assert(next > bound);
        bound = next;
        const double count = strtod(end + 2, NULL); /* after "} */
        ck_assert(count >= last);
        last = count;
    }
    ck_assert_int_eq(buckets, 23); /* the last is +Inf */
    ck_assert(last == 5);
    expect("lossd_evaluation_duration_seconds_count{protocol=\"v1\"}", 5);
}
END_TEST

static const struct {
    const char *old_name, *name, *sample; /* a sample of the family, without its name */
} renamed[] = {
    {"lossd_evaluation_seconds", "lossd_evaluation_duration_seconds", "_count{protocol=\"v1\"}"},
    {"lossd_phase_seconds", "lossd_phase_duration_seconds", "_count{phase=\"compute\"}"},
    {"lossd_rejected_total", "lossd_rejections_total", "{reason=\"malformed\"}"},
    {"lossd_requests_active", "lossd_http_requests_in_flight", ""},
    {"lossd_memory_kept_bytes", "lossd_memory_cached_bytes", ""},
    {"lossd_memory_waiting", "lossd_memory_waiters", ""},
    {"lossd_accepted_connections_total", "lossd_connections_accepted_total", ""},
    {"lossd_log_dropped_lines_total", "lossd_log_lines_dropped_total", ""},
};

START_TEST(metrics_export_deprecated_names_with_the_same_value)
{
    char text[SAMPLE];
    ask("POST", "/v1/losses/mse", NULL, small);
    scrape();
    snprintf(text, sizeof text, "\n# HELP %s Deprecated: use %s.\n", renamed[_i].old_name,
             renamed[_i].name);
    ck_assert_msg(strstr(response.body, text) != NULL, "no line \"%s\"", text);
    snprintf(text, sizeof text, "%s%s", renamed[_i].name, renamed[_i].sample);
    const double expected = value(text);
    ck_assert_msg(expected >= 0, "there is no sample %s", text);
    snprintf(text, sizeof text, "%s%s", renamed[_i].old_name, renamed[_i].sample);
    expect(text, expected);
}
END_TEST

START_TEST(metrics_pass_promtool)
{
    char file[] = "/tmp/lossd-metrics-XXXXXX";
    ask("POST", "/v1/losses/mse", NULL, small);
    ask("GET", "/nowhere", NULL, NULL);
    scrape();
    const int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, response.body, response.body_len), (ssize_t)response.body_len);
    close(fd);
    char printed[4096];
    const int status =
        command_run(printed, sizeof printed, "promtool check metrics <%s 2>&1", file);
    unlink(file);
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

Suite *metrics_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tcase = tcase_create("metrics");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, end_server);
    tcase_add_test(tcase, metrics_count_requests_by_route_loss_protocol_and_status);
    tcase_add_test(tcase, metrics_count_bytes_elements_and_phases);
    tcase_add_test(tcase, metrics_count_rejections_by_reason);
    tcase_add_test(tcase, metrics_count_a_client_that_leaves);
    tcase_add_test(tcase, metrics_describe_the_server_and_its_process);
    tcase_add_test(tcase, metrics_are_exact_and_monotonic_under_load);
    tcase_add_test(tcase, metrics_do_not_wait_for_evaluations);
    tcase_add_test(tcase, metrics_are_valid_prometheus_text);
    tcase_add_test(tcase, metrics_histograms_are_cumulative);
    tcase_add_loop_test(tcase, metrics_export_deprecated_names_with_the_same_value, 0,
                        sizeof renamed / sizeof *renamed);
    if (command_succeeds("command -v promtool"))
        tcase_add_test(tcase, metrics_pass_promtool);
    else
        fprintf(stderr, "metrics: promtool tests are skipped: prometheus is not installed\n");
    suite_add_tcase(suite, tcase);
    return suite;
}
