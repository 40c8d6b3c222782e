/* Tests where requests are computed: an I/O thread computes those that take at most a few hundred
 * microseconds, the executor the others. */
#include "memory/buffer.h"
#include "suites.h"
#include "support/server_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void setup(void)
{
    START_SERVER("--max-memory=200M");
}

/* ---- Bodies ---- */

/* Appends a list of n equal numbers. */
static void append_list(struct buffer *out, const char *number, size_t n)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < n; i++) {
        buffer_text(out, i > 0 ? "," : "");
        buffer_text(out, number);
    }
    buffer_text(out, "]");
}

/* Appends "name" and a tensor of that shape with equal elements. */
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
    bool waits; /* the executor computes it */
} requests[] = {
    {"/v1/losses/mse", small, false},
    {"/v1/losses/mse", many, false},
    {"/v1/losses/ctc", column_of_ctc, true},
    {"/v1/losses/multilabel_margin", row_of_labels, true},
    {"/v1/losses/info_nce", vectors, true},
    {"/v1/losses/tweedie", many, false},
    {"/v1/losses/log_cosh", many, false},
    {"/v1/losses/mse", gradient, true},  /* the response has much text */
    {"/v1/losses/mse", broadcast, true}, /* a short request, whose response also has much text */
    {"/v1/evaluate", several, true},
};
enum { REQUESTS = sizeof requests / sizeof requests[0] };

/* ---- Tests ---- */

/* Returns the number of evaluations that were queued for the executor. */
static int waited(void)
{
    static const char sample[] = "lossd_phase_duration_seconds_count{phase=\"queue\"} ";
    ck_assert(http_client_ask(&client, "GET", "/metrics", NULL, NULL, 0, &response));
    ck_assert_int_eq(response.status, 200);
    const char *const line = strstr(response.body, sample);
    ck_assert_ptr_nonnull(line);
    return (int)strtol(line + strlen(sample), NULL, 10);
}

START_TEST(inline_computes_only_small_requests)
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

/* An ordinary batch with concatenated targets. If the lattice of each thread were sized for the
 * labels of all sequences, it would take 250 MB, more than --max-memory. */
START_TEST(inline_memory_of_concatenated_targets_is_sized_per_sequence)
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

/* ---- Probes during expensive requests ---- */

enum {
    SENDERS = 8,           /* connections that send expensive requests without pauses */
    PROBES = 20,           /* of each address, with a pause between them */
    PROBE_PAUSE_MS = 25,   /* so that requests are at different stages */
    PROBE_MS = 250,        /* the maximum of half of the probes, on a busy machine */
    PROBE_WORST_MS = 1500, /* the maximum of the slowest probe */
};

/* Indexes of requests[]: the largest that an I/O thread computes, and long rows for the executor.
 */
static const size_t expensive[] = {1, 2, 3};

static atomic_bool enough;

struct sender {
    pthread_t thread;
    const char *path;
    const struct buffer *body;
    int answers; /* -1 if one is not 200 or is missing */
};

/* Sends the request repeatedly, at least twice. */
static void *send_all(void *argument)
{
    struct sender *const sender = argument;
    struct http_client with;
    struct http_response answer = {.status = 0};
    bool right = http_client_connect(&with, "127.0.0.1", server.port);
    while (right && (sender->answers < 2 || !atomic_load(&enough))) {
        right = http_client_ask(&with, "POST", sender->path, NULL, sender->body->data,
                                sender->body->len, &answer) &&
                answer.status == 200;
        sender->answers++;
    }
    if (!right)
        sender->answers = -1;
    http_client_close(&with);
    http_response_free(&answer);
    return NULL;
}

/* Sends a probe on a new connection. Returns its duration in milliseconds. */
static int probe(int port)
{
    const int64_t began = now_ms();
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
    ck_assert(http_client_ask(&client, "GET", "/healthz", NULL, NULL, 0, &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&client);
    return (int)(now_ms() - began);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void expect_quick(int took[], const char *where)
{
    qsort(took, PROBES, sizeof *took, compare);
    ck_assert_msg(took[PROBES / 2] < PROBE_MS, "%s: half of the probes take at least %d ms", where,
                  took[PROBES / 2]);
    ck_assert_msg(took[PROBES - 1] < PROBE_WORST_MS, "%s: a probe takes %d ms", where,
                  took[PROBES - 1]);
}

static void setup_with_admin(void)
{
    server_process_start(&server, (const char *const[]){"--threads=2", "--io-threads=1",
                                                        "--admin-listen=127.0.0.1:0", NULL});
    client.fd = -1;
}

/* One I/O thread serves the main address. If it computed long rows, probes would wait for those of
 * all connections. */
START_TEST(inline_requests_do_not_delay_probes)
{
    const size_t which = expensive[_i];
    struct buffer body = {0};
    struct sender senders[SENDERS];
    int main_took[PROBES], admin_took[PROBES];
    const int admin = server_admin_port();
    buffer_text(&body, "{");
    requests[which].body(&body);
    buffer_text(&body, "}");
    ck_assert(!body.failed);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.path = requests[which].path, .body = &body};
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    for (int i = 0; i < PROBES; i++) {
        wait_ms(PROBE_PAUSE_MS);
        main_took[i] = probe(server.port);
        admin_took[i] = probe(admin);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        ck_assert_int_ge(senders[i].answers, 2);
    }
    expect_quick(main_took, "the main address");
    expect_quick(admin_took, "the admin address");
    buffer_free(&body);
}
END_TEST

Suite *inline_suite(void)
{
    Suite *suite = suite_create("inline");
    TCase *tcase = tcase_create("inline_requests");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, end_server);
    tcase_add_loop_test(tcase, inline_computes_only_small_requests, 0, REQUESTS);
    tcase_add_test(tcase, inline_memory_of_concatenated_targets_is_sized_per_sequence);
    suite_add_tcase(suite, tcase);
    TCase *probes = tcase_create("inline_probes");
    tcase_set_timeout(probes, 120);
    tcase_add_checked_fixture(probes, setup_with_admin, end_server);
    tcase_add_loop_test(probes, inline_requests_do_not_delay_probes, 0,
                        sizeof expensive / sizeof *expensive);
    suite_add_tcase(suite, probes);
    return suite;
}
