/* What is computed where: an I/O thread does what takes some hundred microseconds, the executor the
 * rest. */
#include "memory/buffer.h"
#include "suites.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <stdlib.h>
#include <string.h>

static struct server_process server;
static struct http_client client;
static struct http_response response;

static void setup(void)
{
    server_process_start(
        &server, (const char *const[]){"--threads=2", "--io-threads=1", "--max-memory=200M", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    ck_assert_int_eq(server_process_stop(&server), 0);
    server_process_free(&server);
}

/* ---- bodies ---- */

/* Appends a list of n times the same number. */
static void append_list(struct buffer *out, const char *number, size_t n)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < n; i++) {
        buffer_text(out, i > 0 ? "," : "");
        buffer_text(out, number);
    }
    buffer_text(out, "]");
}

/* Appends "name": a tensor of that shape, all of one number. */
static void append_tensor(struct buffer *out, const char *name, const char *shape, size_t n,
                          const char *number)
{
    buffer_printf(out, "%s\"%s\": {\"shape\": [%s], \"data\": ", out->len > 1 ? "," : "", name,
                  shape);
    append_list(out, number, n);
    buffer_text(out, "}");
}

static void pair(struct buffer *out, const char *shape, size_t n, const char *other_shape,
                 size_t others, const char *number)
{
    append_tensor(out, "input", shape, n, number);
    append_tensor(out, "target", other_shape, others, number);
}

static void small(struct buffer *out)
{
    pair(out, "100", 100, "100", 100, "1");
}

static void many(struct buffer *out)
{
    pair(out, "6000", 6000, "6000", 6000, "1");
}

static void column_of_ctc(struct buffer *out)
{
    append_tensor(out, "log_probs", "15500, 1, 1", 15500, "0");
    append_tensor(out, "targets", "1000", 1000, "0");
    append_tensor(out, "input_lengths", "1", 1, "15500");
    append_tensor(out, "target_lengths", "1", 1, "1000");
}

static void row_of_labels(struct buffer *out)
{
    append_tensor(out, "input", "1, 15000", 15000, "0");
    append_tensor(out, "target", "1, 15000", 15000, "1");
}

static void vectors(struct buffer *out)
{
    append_tensor(out, "query", "250, 50", 12500, "1");
    append_tensor(out, "key", "250, 50", 12500, "1");
}

static void gradient(struct buffer *out)
{
    many(out);
    buffer_text(out, ",\"grad\": true");
}

static void broadcast(struct buffer *out)
{
    pair(out, "100, 1", 100, "100", 100, "1");
    buffer_text(out, ",\"reduction\": \"none\"");
}

static void several(struct buffer *out)
{
    pair(out, "500", 500, "500", 500, "1");
    buffer_text(out, ",\"grad\": true, \"losses\": ");
    append_list(out, "\"mse\"", 32);
}

static const struct {
    const char *path;
    void (*body)(struct buffer *out);
    bool waits; /* it is left to the executor */
} requests[] = {
    {"/v1/losses/mse", small, false},
    {"/v1/losses/mse", many, false},
    {"/v1/losses/ctc", column_of_ctc, true},
    {"/v1/losses/multilabel_margin", row_of_labels, true},
    {"/v1/losses/info_nce", vectors, true},
    {"/v1/losses/tweedie", many, true},
    {"/v1/losses/log_cosh", many, true},
    {"/v1/losses/mse", gradient, true},  /* text is written */
    {"/v1/losses/mse", broadcast, true}, /* much of it, for few bytes */
    {"/v1/evaluate", several, true},
};
enum { REQUESTS = sizeof requests / sizeof requests[0] };

/* ---- tests ---- */

/* How many evaluations have waited for the executor. */
static int waited(void)
{
    static const char sample[] = "lossd_phase_seconds_count{phase=\"queue\"} ";
    ck_assert(http_client_ask(&client, "GET", "/metrics", NULL, NULL, 0, &response));
    ck_assert_int_eq(response.status, 200);
    const char *const line = strstr(response.body, sample);
    ck_assert_ptr_nonnull(line);
    return (int)strtol(line + strlen(sample), NULL, 10);
}

START_TEST(inline_is_only_what_takes_no_time)
{
    struct buffer body = {0};
    buffer_text(&body, "{");
    requests[_i].body(&body);
    buffer_text(&body, "}");
    ck_assert(!body.failed && body.len < 64 * 1024);
    const int before = waited();
    ck_assert(
        http_client_ask(&client, "POST", requests[_i].path, NULL, body.data, body.len, &response));
    ck_assert_msg(response.status == 200, "%.500s", response.body);
    ck_assert_int_eq(waited() - before, requests[_i].waits);
    buffer_free(&body);
}
END_TEST

/* An ordinary batch with concatenated targets: each thread's lattice was sized by all labels
 * together, which is 250 MB here. */
START_TEST(inline_memory_of_concatenated_targets_is_that_of_a_sequence)
{
    struct buffer body = {0};
    buffer_text(&body, "{");
    append_tensor(&body, "log_probs", "1000, 256, 30", 1000 * 256 * 30, "-3");
    append_tensor(&body, "targets", "15360", 15360, "1");
    buffer_text(&body, ",\"input_lengths\": ");
    append_list(&body, "1000", 256);
    buffer_text(&body, ",\"target_lengths\": ");
    append_list(&body, "60", 256);
    buffer_text(&body, "}");
    ck_assert(!body.failed);
    ck_assert(
        http_client_ask(&client, "POST", "/v1/losses/ctc", NULL, body.data, body.len, &response));
    ck_assert_msg(response.status == 200, "%.500s", response.body);
    buffer_free(&body);
}
END_TEST

Suite *inline_suite(void)
{
    Suite *suite = suite_create("inline");
    TCase *tcase = tcase_create("inline_requests");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, inline_is_only_what_takes_no_time, 0, REQUESTS);
    tcase_add_test(tcase, inline_memory_of_concatenated_targets_is_that_of_a_sequence);
    suite_add_tcase(suite, tcase);
    return suite;
}
