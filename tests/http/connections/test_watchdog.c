/*
 * Tests that the server can be observed while its threads are stuck or busy: probes are answered,
 * and the watchdog reports threads that make no progress.
 */
#include "full_pipe.h"
#include "memory/buffer.h"
#include "suites.h"
#include "support/body.h"
#include "support/fault_library.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 5000,   /* long enough for everything that is not stuck, on a busy machine */
    CROWD = 24,           /* connections, of which the server accepts 20 at a time */
    QUERIES = 7000,       /* rows of info_nce, which take more than a second */
    MANY_QUERIES = 40000, /* rows of info_nce, which take longer than the test */
    BODY = 50 << 20, /* bytes: most of --max-memory=64M, an eighth of which is for small requests */
    STALL_MS = 20000,      /* the maximum wait of a stalled call */
    PROBES = 25,           /* in all */
    PROBE_MS = 100,        /* the maximum of half of the probes, on a busy machine */
    PROBE_WORST_MS = 1500, /* the maximum of the slowest probe */
};

static struct http_client crowd[CROWD];
static struct faults *faults;
static int admin_port;

/* Returns the value of a metric. Asks on the connection of the client to the admin port: threads
   that accept connections may be stuck. */
static double metric(const char *line)
{
    return metric_value_on(&client, line);
}

/* Sends a request that the executor computes for some time. */
static void occupy_executor(struct http_client *with, int queries)
{
    struct buffer body = {.data = NULL};
    char head[160];
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_text(&body, tensor == 0 ? "{\"query\":[[1,2]" : "],\"key\":[[2,1]");
        for (int i = 1; i < queries; i++)
            buffer_printf(&body, ",[%d,%d]", i % 7, i % 5);
    }
    buffer_text(&body, "],\"grad\":true}");
    ck_assert(!body.failed);
    snprintf(head, sizeof head,
             "POST /v1/losses/info_nce HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
             body.len);
    ck_assert(http_client_send_text(with, head) && http_client_send(with, body.data, body.len));
    buffer_free(&body);
}

/* Sends a request without its end, so that the server reserves memory for it. */
static void occupy_memory(struct http_client *with)
{
    char *const body = padded_body("", BODY);
    announce(with, BODY, "");
    ck_assert(http_client_send(with, body, BODY - 1));
    free(body);
}

static void end_crowd(void)
{
    if (faults)
        atomic_store(&faults->stall_ms, 0);
    for (int i = 0; i < CROWD; i++)
        http_client_close(&crowd[i]);
    kill_server();
    full_pipe_close();
    fault_library_end();
    faults = NULL;
}

/* ---- Probes ---- */

/* Makes every I/O thread wait within a request. */
static void occupy_threads(int threads)
{
    strcpy(faults->stall_thread, "MHD-worker");
    atomic_store(&faults->stall_ms, STALL_MS);
    atomic_store(&faults->stall_kinds, FAULT_MEMORY | FAULT_RECEIVE);
    const int64_t began = now_ms();
    for (int i = 2; i < CROWD; i++)
        http_client_send_text(&crowd[i], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (atomic_load(&faults->stalls) < (unsigned)threads) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        wait_ms(10);
    }
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Sends a probe on a new connection. Returns its duration in milliseconds. */
static int probe(const char *path)
{
    const int64_t began = now_ms();
    connect_port(admin_port);
    ck_assert_int_eq(ask("GET", path, NULL, NULL), 200);
    return (int)(now_ms() - began);
}

static bool executor_is_busy(void)
{
    return metric(METRIC_BUSY) == 1;
}

/* The condition of the alert LossdMemoryFull. */
static bool memory_is_used_up(void)
{
    return metric(METRIC_RESERVED) > 0.8 * metric(METRIC_BUDGET);
}

static void wait_until(bool (*is_so)(void))
{
    const int64_t began = now_ms();
    while (!is_so()) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        wait_ms(10);
    }
}

/* The executor, the memory, the connections, the I/O threads and the log are all busy. */
START_TEST(probes_are_answered_when_everything_else_is_busy)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/v2/health/live",
                                        "/v2/health/ready"};
    int took[PROBES];
    faults = fault_library_begin();
    full_pipe_make();
    server_process_start_with(&server,
                              (const char *const[]){"--threads=1", "--io-threads=2",
                                                    "--max-connections=20", "--max-memory=64M",
                                                    "--admin-listen=127.0.0.1:0", NULL},
                              full_pipe_as_stderr);
    admin_port = server_admin_port();
    connect_port(admin_port);
    for (int i = 0; i < CROWD; i++)
        connect_client(&crowd[i]);
    occupy_executor(&crowd[1], MANY_QUERIES);
    wait_until(executor_is_busy);
    occupy_memory(&crowd[0]);
    wait_until(memory_is_used_up);
    occupy_threads(2);
    for (int i = 0; i < PROBES; i++)
        took[i] = probe(paths[(size_t)i % (sizeof paths / sizeof *paths)]);
    qsort(took, PROBES, sizeof *took, compare);
    ck_assert_msg(took[PROBES / 2] < PROBE_MS, "half of the probes take at least %d ms",
                  took[PROBES / 2]);
    ck_assert_msg(took[PROBES - 1] < PROBE_WORST_MS, "a probe takes %d ms", took[PROBES - 1]);
    ck_assert_uint_le(atomic_load(&faults->stalls), 2); /* the I/O threads still wait */
    ck_assert_msg(executor_is_busy(), "the executor is no longer busy");
    ck_assert_msg(memory_is_used_up(), "%g of %g bytes are reserved", metric(METRIC_RESERVED),
                  metric(METRIC_BUDGET));
}
END_TEST

/* ---- Watchdog ---- */

/* Starts a server whose threads can be stalled, and connects to its admin port. */
static void start_watched(const char *timeout, const char *more)
{
    faults = fault_library_begin();
    server_process_start(&server,
                         (const char *const[]){"--threads=1", "--io-threads=2",
                                               "--admin-listen=127.0.0.1:0", timeout, more, NULL});
    admin_port = server_admin_port();
    connect_port(admin_port);
    connect_client(&crowd[0]);
}

/* Makes threads whose name begins with `thread` wait when they allocate memory. */
static void stall(const char *thread)
{
    strcpy(faults->stall_thread, thread);
    atomic_store(&faults->stall_ms, STALL_MS);
    atomic_store(&faults->stall_kinds, FAULT_MEMORY);
}

static void stop_stalling(void)
{
    atomic_store(&faults->stall_kinds, 0);
    atomic_store(&faults->stall_ms, 0);
}

/* Sends a request whose thread stalls: allocations of that thread wait from before the last byte of
   the body on. Returns when the thread waits. */
static void send_stalled(const char *thread, int len)
{
    char *const body = padded_body("{\"input\":[1],\"target\":[2]", (size_t)len);
    body[len - 1] = '}';
    announce(&crowd[0], (unsigned)len, "X-Request-Id: the-one\r\n");
    ck_assert(http_client_send(&crowd[0], body, (size_t)len - 1));
    wait_ms(200); /* until the server has read them */
    stall(thread);
    ck_assert(http_client_send(&crowd[0], body + len - 1, 1));
    free(body);
    const int64_t began = now_ms();
    while (atomic_load(&faults->stalls) == 0) {
        ck_assert_msg(now_ms() - began < PATIENCE_MS, "no thread %s allocates memory", thread);
        wait_ms(10);
    }
}

static const struct {
    const char *name; /* thread to stall */
    int len; /* length of the body, in bytes, for which this thread evaluates the request */
    const char *metric, *log;
} stuck[] = {
    {"MHD-worker", 60000, "lossd_watchdog_stalls_total{thread=\"io\"}",
     "thread io has made no progress for "},
    {"lossd", 200000, "lossd_watchdog_stalls_total{thread=\"executor\"}",
     "thread executor has made no progress for "},
};

START_TEST(watchdog_reports_where_a_thread_is_stuck)
{
    start_watched("--watchdog-timeout=0.3", NULL);
    ck_assert_double_eq(metric(stuck[_i].metric), 0);
    send_stalled(stuck[_i].name, stuck[_i].len);
    server_process_expect_log(&server, stuck[_i].log);
    ck_assert_double_eq(metric(stuck[_i].metric), 1);
    wait_ms(700);
    ck_assert_double_eq(metric(stuck[_i].metric), 1); /* reported once */
    stop_stalling();
    server_process_expect_log(&server, " continues after ");
    ck_assert(http_client_read(&crowd[0], &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *const log = server_process_log(&server), *const line = strstr(log, stuck[_i].log);
    ck_assert_msg(line && strstr(line, ", request the-one, /v1/losses/mse\n"), "%s", log);
    free(log);
}
END_TEST

START_TEST(watchdog_ends_the_server_if_configured)
{
    start_watched("--watchdog-timeout=0.3", "--watchdog-exit=on");
    send_stalled("lossd", 200000);
    ck_assert_int_eq(server_process_wait(&server), 1);
    server_process_expect_log(&server, "exiting, because --watchdog-exit is on");
}
END_TEST

START_TEST(watchdog_ignores_long_jobs_that_make_progress)
{
    start_watched("--watchdog-timeout=0.5", "--watchdog-exit=on");
    const int64_t began = now_ms();
    occupy_executor(&crowd[0], 2 * QUERIES);
    ck_assert(http_client_read(&crowd[0], &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert_int_gt(now_ms() - began, 1000); /* twice the timeout */
    ck_assert_double_eq(metric(stuck[1].metric), 0);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* The whole process is stopped for longer than the timeout; no thread is stuck. */
START_TEST(watchdog_ignores_time_while_the_process_is_stopped)
{
    start_watched("--watchdog-timeout=0.5", "--watchdog-exit=on");
    occupy_executor(&crowd[0], QUERIES);
    wait_ms(300);
    kill(server.pid, SIGSTOP);
    wait_ms(2000);
    kill(server.pid, SIGCONT);
    ck_assert(http_client_read(&crowd[0], &response, false));
    ck_assert_double_eq(metric(stuck[1].metric), 0);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

Suite *watchdog_suite(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *const probes = suite_add_case(suite, "probes", 60, NULL, end_crowd);
    tcase_add_test(probes, probes_are_answered_when_everything_else_is_busy);
    TCase *const watchdog = suite_add_case(suite, "watchdog", 60, NULL, end_crowd);
    tcase_set_tags(watchdog, TAG_SLOW);
    tcase_add_loop_test(watchdog, watchdog_reports_where_a_thread_is_stuck, 0,
                        sizeof stuck / sizeof *stuck);
    CASE_ADD(watchdog, watchdog_ends_the_server_if_configured,
             watchdog_ignores_long_jobs_that_make_progress,
             watchdog_ignores_time_while_the_process_is_stopped);
    return suite;
}
