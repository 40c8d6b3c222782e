/*
 * Tests that a stalled part does not stop the rest of the server: a log or stdout that is not read,
 * a full disk, a file that is reloaded, busy threads.
 */
#include "memory/buffer.h"
#include "suites.h"
#include "support/fault_library.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 5000, /* long enough for everything that is not stalled, even on a busy machine */
    LONG_PATH = 1000,   /* bytes of a path, which make log lines long */
    MANY_LINES = 2500,  /* long lines: more than the buffer of the log */
    FILE_LIMIT = 16 * 1024, /* the maximum size of a limited log file, in bytes */
};

static struct server_process server;
static struct http_client client;
static struct http_response response;
static int pipe_ends[2] = {-1, -1}; /* of the log or stdout of the server */

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
    for (int i = 0; i < 2; i++) {
        if (pipe_ends[i] >= 0)
            close(pipe_ends[i]);
        pipe_ends[i] = -1;
    }
}

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int ask(const char *method, const char *path, const char *body)
{
    ck_assert(
        http_client_ask(&client, method, path, NULL, body, body ? strlen(body) : 0, &response));
    return response.status;
}

static void expect_quick(const char *path)
{
    const int64_t began = now_ms();
    ck_assert_int_eq(ask("GET", path, NULL), 200);
    ck_assert_msg(now_ms() - began < PATIENCE_MS, "%s took %d ms", path, (int)(now_ms() - began));
}

/* Returns the value of a metric without labels. */
static double metric(const char *name)
{
    char line[128];
    ck_assert_int_eq(ask("GET", "/metrics", NULL), 200);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *const found = strstr(response.body, line);
    ck_assert_msg(found != NULL, "no metric %s", name);
    return strtod(found + strlen(line), NULL);
}

/* ---- Pipe without a reader ---- */

/* Makes a full pipe. */
static void make_full_pipe(void)
{
    char filling[4096];
    memset(filling, '\n', sizeof filling);
    ck_assert_int_eq(pipe2(pipe_ends, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, O_NONBLOCK), 0);
    while (write(pipe_ends[1], filling, sizeof filling) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(fcntl(pipe_ends[1], F_SETFL, 0), 0);
}

static void log_to_pipe(void)
{
    dup2(pipe_ends[1], STDERR_FILENO);
}

static void announce_to_pipe(void)
{
    dup2(pipe_ends[1], STDOUT_FILENO);
}

static const char *const plain[] = {"--threads=2", "--access-log=all", NULL};

static void start_with_stalled_log(void)
{
    make_full_pipe();
    server_process_start_with(&server, plain, log_to_pipe);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

/* Makes the server log more than it buffers. The paths begin with the numbers 0, 1, ... */
static void log_much(void)
{
    char path[LONG_PATH + 2];
    for (int i = 0; i < MANY_LINES; i++) {
        const int len = snprintf(path, sizeof path, "/%06d", i);
        memset(path + len, 'x', sizeof path - 1 - (size_t)len);
        path[LONG_PATH + 1] = '\0';
        ck_assert_int_eq(ask("GET", path, NULL), 404);
    }
}

/* Returns the number of lines of log_much in a log. They must be consecutive and start with the
 * first. */
static int count_numbered(const char *log)
{
    static const char before[] = " GET /0";
    int count = 0;
    for (const char *at = log; (at = strstr(at, before)); at += sizeof before - 1) {
        const long number = strtol(at + sizeof before - 2, NULL, 10);
        ck_assert_msg(number == count, "line %ld follows %d lines", number, count);
        count++;
    }
    return count;
}

/* Reads the log until it contains a text, within PATIENCE_MS; the caller frees it. */
static char *read_until(const char *wanted)
{
    size_t len = 0, room = 4 << 20;
    char *const text = malloc(room + 1);
    ck_assert_ptr_nonnull(text);
    for (;;) {
        struct pollfd wait = {.fd = pipe_ends[0], .events = POLLIN};
        ck_assert_msg(poll(&wait, 1, PATIENCE_MS) == 1, "\"%s\" is not logged", wanted);
        const ssize_t got = read(pipe_ends[0], text + len, room - len);
        ck_assert_int_gt(got, 0);
        len += (size_t)got;
        text[len] = '\0';
        const size_t last = len > 2 * (size_t)got ? len - 2 * (size_t)got : 0;
        if (strstr(text + last, wanted))
            return text;
    }
}

START_TEST(stalled_log_does_not_delay_requests_or_probes)
{
    start_with_stalled_log();
    expect_quick("/healthz");
    expect_quick("/readyz");
    expect_quick("/metrics");
    ck_assert_int_eq(ask("POST", "/v1/losses/mse", "{\"input\":[1],\"target\":[2]}"), 200);
    ck_assert_double_eq(metric("lossd_log_lines_dropped_total"), 0);
    log_much();
    expect_quick("/healthz");
    ck_assert_double_gt(metric("lossd_log_lines_dropped_total"), 0);
}
END_TEST

START_TEST(stalled_log_reports_the_number_of_dropped_lines)
{
    static const char mark[] = " warning ", words[] = " lines dropped\n";
    start_with_stalled_log();
    log_much();
    const double before = metric("lossd_log_lines_dropped_total");
    char *log = read_until(words);
    const double after = metric("lossd_log_lines_dropped_total");
    const char *const end = strstr(log, words);
    const char *number = end;
    while (number > log && number[-1] != ' ')
        number--;
    ck_assert_int_eq(strncmp(number - strlen(mark), mark, strlen(mark)), 0);
    const double told = strtod(number, NULL);
    ck_assert_msg(told >= before && told <= after, "%g of %g to %g", told, before, after);
    ck_assert_double_ge(count_numbered(log) + told, MANY_LINES);
    for (const char *line = strstr(log, " info "); line;
         line = strstr(line + 1, "\n20")) /* only complete lines */
        ck_assert_msg(strcspn(line + 1, "\n") < LONG_PATH + 400, "%.3000s", line);
    free(log);
    ck_assert_int_eq(ask("GET", "/after", NULL), 404);
    free(read_until(" GET /after 404 "));
}
END_TEST

START_TEST(stalled_log_does_not_prevent_exit)
{
    start_with_stalled_log();
    log_much();
    http_client_close(&client);
    const int64_t began = now_ms();
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_int_lt(now_ms() - began, 2 * PATIENCE_MS);
}
END_TEST

/* An incomplete request makes the server drain for --drain-timeout. */
START_TEST(second_signal_exits_with_a_stalled_log)
{
    start_with_stalled_log();
    ck_assert(http_client_send_text(
        &client,
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"));
    struct http_client other;
    ck_assert(http_client_connect(&other, "127.0.0.1", server.port));
    kill(server.pid, SIGTERM);
    /* Waits until it drains: /readyz returns 503, or the connection is closed if the last 200 came
     * before. */
    while (http_client_ask(&other, "GET", "/readyz", NULL, NULL, 0, &response) &&
           response.status == 200)
        continue;
    http_client_close(&other);
    const int64_t began = now_ms();
    ck_assert_int_eq(server_process_stop(&server), 1);
    ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
}
END_TEST

/* The reading end of this pipe is closed. */
START_TEST(closed_log_does_not_end_the_server)
{
    start_with_stalled_log();
    close(pipe_ends[0]);
    pipe_ends[0] = -1;
    for (int i = 0; i < 20; i++)
        expect_quick("/healthz");
    const int64_t began = now_ms();
    while (metric("lossd_log_lines_dropped_total") == 0)
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* Programs that fail at once, and a server that fails after the thread of its log has started. */
START_TEST(stalled_stderr_does_not_prevent_exit_of_a_failed_start)
{
    static const struct {
        const char *argument;
        int code;
    } failing[] = {
        {"--no-such-option", 2}, {"--token-file=/no/such/file", 1}, {"--new-token=a b", 1}};
    char out[SERVER_TEXT], err[SERVER_TEXT];
    make_full_pipe();
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        const int64_t began = now_ms();
        const char *const arguments[] = {"--listen=127.0.0.1:0", failing[i].argument, NULL};
        ck_assert_int_eq(server_process_run_with(arguments, log_to_pipe, out, err),
                         failing[i].code);
        ck_assert_msg(now_ms() - began < 2 * PATIENCE_MS, "%s: exited after %d ms",
                      failing[i].argument, (int)(now_ms() - began));
    }
}
END_TEST

/* ---- Full log file ---- */

static void limit_file(void)
{
    const struct rlimit limit = {FILE_LIMIT, FILE_LIMIT};
    setrlimit(RLIMIT_FSIZE, &limit);
}

START_TEST(log_file_at_its_limit_does_not_end_the_server)
{
    server_process_start_with(&server, plain, limit_file);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    for (int i = 0; i < 400; i++)
        expect_quick("/healthz");
    const int64_t began = now_ms();
    while (metric("lossd_log_lines_dropped_total") == 0)
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
    /* When there is room again, the log continues with complete lines and reports the number of
     * dropped ones. */
    ck_assert_int_eq(ftruncate(fileno(server.err), 0), 0);
    lseek(fileno(server.err), 0, SEEK_SET);
    ck_assert_int_eq(ask("GET", "/after", NULL), 404);
    server_process_expect_log(&server, " lines dropped\n");
    server_process_expect_log(&server, " GET /after 404 ");
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* ---- Probes ---- */

enum {
    CROWD = 24,           /* connections, of which the server accepts 20 at a time */
    QUERIES = 3000,       /* rows of info_nce, which take more than a second */
    MANY_QUERIES = 16000, /* rows of info_nce, which take longer than the test */
    BODY = 50 << 20,  /* bytes; the limit is 64 MiB, and an eighth is reserved for small requests */
    STALL_MS = 20000, /* the maximum wait of the I/O threads for memory */
    PROBES = 25,      /* in all */
    PROBE_MS = 100,   /* the maximum of most probes, on a busy machine */
    PROBE_WORST_MS = 1500, /* the maximum of the slowest probe */
};

static struct http_client crowd[CROWD];
static struct faults *faults;

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
    buffer_text(&body, "]}");
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
    char head[160], *const body = malloc(BODY);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', BODY);
    snprintf(head, sizeof head,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", BODY);
    ck_assert(http_client_send_text(with, head) && http_client_send(with, body, BODY - 1));
    free(body);
}

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

static void end_crowd(void)
{
    if (faults)
        atomic_store(&faults->stall_ms, 0);
    for (int i = 0; i < CROWD; i++)
        http_client_close(&crowd[i]);
    teardown();
    fault_library_end();
    faults = NULL;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Sends a probe on a new connection. Returns its duration in milliseconds. */
static int probe(int port, const char *path)
{
    const int64_t began = now_ms();
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
    ck_assert_int_eq(ask("GET", path, NULL), 200);
    http_client_close(&client);
    return (int)(now_ms() - began);
}

static bool executor_is_busy(void)
{
    return metric("lossd_executor_busy") == 1;
}

/* The condition of the alert LossdMemoryFull. */
static bool memory_is_used_up(void)
{
    return metric("lossd_memory_reserved_bytes") > 0.8 * metric("lossd_memory_budget_bytes");
}

/* Sends requests to the admin address until a condition is true. */
static void wait_until(int port, bool (*is_so)(void))
{
    const int64_t began = now_ms();
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
    while (!is_so()) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        wait_ms(10);
    }
    http_client_close(&client);
}

/* The executor, the memory, the connections, the I/O threads and the log are all busy. */
START_TEST(probes_are_answered_when_everything_else_is_busy)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/v2/health/live",
                                        "/v2/health/ready"};
    int took[PROBES];
    faults = fault_library_begin();
    make_full_pipe();
    server_process_start_with(&server,
                              (const char *const[]){"--threads=1", "--io-threads=2",
                                                    "--max-connections=20", "--max-memory=64M",
                                                    "--admin-listen=127.0.0.1:0", NULL},
                              log_to_pipe);
    const int port = server_process_port(&server, "for health and metrics on");
    for (int i = 0; i < CROWD; i++)
        ck_assert(http_client_connect(&crowd[i], "127.0.0.1", server.port));
    occupy_executor(&crowd[1], MANY_QUERIES);
    wait_until(port, executor_is_busy);
    occupy_memory(&crowd[0]);
    wait_until(port, memory_is_used_up);
    occupy_threads(2);
    for (int i = 0; i < PROBES; i++)
        took[i] = probe(port, paths[(size_t)i % (sizeof paths / sizeof *paths)]);
    qsort(took, PROBES, sizeof *took, compare);
    ck_assert_msg(took[PROBES / 2] < PROBE_MS, "half of the probes take longer than %d ms",
                  took[PROBES / 2]);
    ck_assert_msg(took[PROBES - 1] < PROBE_WORST_MS, "a probe takes %d ms", took[PROBES - 1]);
    ck_assert_uint_le(atomic_load(&faults->stalls), 2); /* the I/O threads still wait */
    ck_assert(http_client_connect(&client, "127.0.0.1", port));
    ck_assert_msg(executor_is_busy(), "the executor is no longer busy");
    ck_assert_msg(memory_is_used_up(), "%g of %g bytes are reserved",
                  metric("lossd_memory_reserved_bytes"), metric("lossd_memory_budget_bytes"));
}
END_TEST

/* ---- Watchdog ---- */

/* Starts a server whose threads can be stalled, and connects to its admin address. */
static void start_watched(const char *timeout, const char *more)
{
    faults = fault_library_begin();
    server_process_start(&server,
                         (const char *const[]){"--threads=1", "--io-threads=2",
                                               "--admin-listen=127.0.0.1:0", timeout, more, NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1",
                                  server_process_port(&server, "for health and metrics on")));
    ck_assert(http_client_connect(&crowd[0], "127.0.0.1", server.port));
}

/* Makes threads of that name wait when they allocate memory. */
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

/* Sends a request. Sends the last bytes of its body when its thread waits in an allocation. */
static void send_stalled(const char *thread, int len)
{
    char head[200], *const body = malloc((size_t)len);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', (size_t)len);
    memcpy(body, "{\"input\":[1],\"target\":[2]", 25);
    body[len - 1] = '}';
    snprintf(head, sizeof head,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: "
             "the-one\r\nContent-Length: %d\r\n\r\n",
             len);
    ck_assert(http_client_send_text(&crowd[0], head) &&
              http_client_send(&crowd[0], body, (size_t)len - 1));
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
    const char *name;
    int len; /* bytes of a body that such a thread evaluates */
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

/* The job makes progress. */
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

/* ---- stdout ---- */

START_TEST(stalled_stdout_does_not_stop_the_server)
{
    char path[] = "/tmp/lossd-stalls-XXXXXX", listen[128], where[80];
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(where, sizeof where, "%s/socket", path);
    snprintf(listen, sizeof listen, "--listen=unix:%s", where);
    make_full_pipe();
    server_process_start_silently(&server, (const char *const[]){listen, "--threads=1", NULL},
                                  announce_to_pipe);
    const int64_t began = now_ms();
    while (!http_client_connect_path(&client, where)) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        wait_ms(20);
    }
    expect_quick("/healthz");
    server_process_expect_log(&server, "cannot announce on stdout");
    ck_assert_int_eq(server_process_stop(&server), 0);
    rmdir(path);
}
END_TEST

/* ---- Signals ---- */

START_TEST(unrelated_signals_do_not_end_the_server)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ, SIGTTOU};
    server_process_start(&server, plain);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        kill(server.pid, signals[i]);
        expect_quick("/healthz");
    }
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* The reload blocks: the file is a FIFO without a writer. */
START_TEST(stalled_reload_does_not_prevent_serving_or_exit)
{
    static const char line[] =
        "alice:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n";
    char folder[] = "/tmp/lossd-stalls-XXXXXX", path[64], option[96];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tokens", folder);
    snprintf(option, sizeof option, "--token-file=%s", path);
    FILE *const file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(line, file);
    fclose(file);
    server_process_start(&server, (const char *const[]){option, "--watchdog-timeout=0.3", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    for (int i = 0; i < 200; i++) { /* also after repeated requests to reload */
        kill(server.pid, SIGHUP);
        expect_quick("/healthz");
    }
    unlink(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    kill(server.pid, SIGHUP);
    server_process_expect_log(&server, "thread reload has made no progress for ");
    expect_quick("/healthz");
    const int64_t began = now_ms();
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
    unlink(path);
    rmdir(folder);
}
END_TEST

Suite *stalls_suite(void)
{
    Suite *suite = suite_create("stalls");
    TCase *tcase = suite_add_case(suite, "stalls", 60, NULL, teardown);
    TCase *slow = suite_add_case(suite, "stalls_slow", 60, NULL, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(tcase, stalled_log_does_not_delay_requests_or_probes);
    tcase_add_test(tcase, stalled_log_reports_the_number_of_dropped_lines);
    tcase_add_test(slow, stalled_log_does_not_prevent_exit);
    tcase_add_test(tcase, second_signal_exits_with_a_stalled_log);
    tcase_add_test(tcase, closed_log_does_not_end_the_server);
    tcase_add_test(slow, stalled_stderr_does_not_prevent_exit_of_a_failed_start);
    tcase_add_test(tcase, log_file_at_its_limit_does_not_end_the_server);
    tcase_add_test(slow, stalled_stdout_does_not_stop_the_server);
    tcase_add_test(slow, stalled_reload_does_not_prevent_serving_or_exit);
    tcase_add_test(tcase, unrelated_signals_do_not_end_the_server);
    TCase *const probes = suite_add_case(suite, "probes", 60, NULL, end_crowd);
    tcase_add_test(probes, probes_are_answered_when_everything_else_is_busy);
    TCase *const watchdog = suite_add_case(suite, "watchdog", 60, NULL, end_crowd);
    tcase_set_tags(watchdog, TAG_SLOW);
    tcase_add_loop_test(watchdog, watchdog_reports_where_a_thread_is_stuck, 0,
                        sizeof stuck / sizeof *stuck);
    tcase_add_test(watchdog, watchdog_ends_the_server_if_configured);
    tcase_add_test(watchdog, watchdog_ignores_long_jobs_that_make_progress);
    tcase_add_test(watchdog, watchdog_ignores_time_while_the_process_is_stopped);
    return suite;
}
