/*
 * Tests that a stalled output or file does not stop the rest of the server: a log or stdout that is
 * not read, a log file at its maximum size, a file that is reloaded.
 */
#include "full_pipe.h"
#include "suites.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DROPPED "lossd_log_lines_dropped_total"

enum {
    PATIENCE_MS = 5000, /* long enough for everything that is not stalled, even on a busy machine */
    LONG_PATH = 1000,   /* bytes of a path, which make log lines long */
    MANY_LINES = 2500,  /* long lines: more than the buffer of the log */
    FILE_LIMIT = 16 * 1024, /* the maximum size of a limited log file, in bytes */
};

static void teardown(void)
{
    kill_server();
    full_pipe_close();
}

/* Sends a GET, whose response must be 200 and must come soon. */
static void expect_quick(const char *path)
{
    const int64_t began = now_ms();
    ck_assert_int_eq(ask("GET", path, NULL, NULL), 200);
    ck_assert_msg(now_ms() - began < PATIENCE_MS, "%s took %d ms", path, (int)(now_ms() - began));
}

/* ---- Pipe without a reader ---- */

static const char *const plain[] = {"--threads=2", "--access-log=all", NULL};

static void start_with_stalled_log(void)
{
    full_pipe_make();
    server_process_start_with(&server, plain, full_pipe_as_stderr);
    connect_client(&client);
}

/* Makes the server log more than it buffers. The paths begin with the numbers 0, 1, ... */
static void log_much(void)
{
    char path[LONG_PATH + 2];
    for (int i = 0; i < MANY_LINES; i++) {
        const int len = snprintf(path, sizeof path, "/%06d", i);
        memset(path + len, 'x', sizeof path - 1 - (size_t)len);
        path[LONG_PATH + 1] = '\0';
        ck_assert_int_eq(ask("GET", path, NULL, NULL), 404);
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

/* Reads the log until it contains a text; fails if nothing arrives for PATIENCE_MS. The caller
   frees the result. */
static char *read_until(const char *wanted)
{
    size_t len = 0, room = 4 << 20;
    char *const text = malloc(room + 1);
    ck_assert_ptr_nonnull(text);
    for (;;) {
        struct pollfd wait = {.fd = full_pipe[0], .events = POLLIN};
        ck_assert_msg(poll(&wait, 1, PATIENCE_MS) == 1, "\"%s\" is not logged", wanted);
        const ssize_t got = read(full_pipe[0], text + len, room - len);
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
    ck_assert_int_eq(ask("POST", "/v1/losses/mse", NULL, "{\"input\":[1],\"target\":[2]}"), 200);
    ck_assert_double_eq(metric_value(DROPPED), 0);
    log_much();
    expect_quick("/healthz");
    ck_assert_double_gt(metric_value(DROPPED), 0);
}
END_TEST

START_TEST(stalled_log_reports_the_number_of_dropped_lines)
{
    static const char mark[] = " warning ", words[] = " lines dropped\n";
    start_with_stalled_log();
    log_much();
    const double before = metric_value(DROPPED);
    char *log = read_until(words);
    const double after = metric_value(DROPPED);
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
    ck_assert_int_eq(ask("GET", "/after", NULL, NULL), 404);
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
    /* Waits until the server drains: /readyz returns 503, or the connection is closed if draining
     * began after the last 200. */
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
    close(full_pipe[0]);
    full_pipe[0] = -1;
    for (int i = 0; i < 20; i++)
        expect_quick("/healthz");
    metric_wait_at_least(DROPPED, 1);
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
    full_pipe_make();
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        const int64_t began = now_ms();
        const char *const arguments[] = {"--listen=127.0.0.1:0", failing[i].argument, NULL};
        ck_assert_int_eq(server_process_run_with(arguments, full_pipe_as_stderr, out, err),
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
    connect_client(&client);
    for (int i = 0; i < 400; i++)
        expect_quick("/healthz");
    metric_wait_at_least(DROPPED, 1);
    /* When there is room again, the log continues with complete lines and reports the number of
     * dropped ones. */
    ck_assert_int_eq(ftruncate(fileno(server.err), 0), 0);
    lseek(fileno(server.err), 0, SEEK_SET);
    ck_assert_int_eq(ask("GET", "/after", NULL, NULL), 404);
    server_process_expect_log(&server, " lines dropped\n");
    server_process_expect_log(&server, " GET /after 404 ");
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
    full_pipe_make();
    server_process_start_silently(&server, (const char *const[]){listen, "--threads=1", NULL},
                                  full_pipe_as_stdout);
    const int64_t began = now_ms();
    while (!http_client_connect_path(&client, where)) {
        ck_assert_int_lt(now_ms() - began, PATIENCE_MS);
        wait_ms(20);
    }
    expect_quick("/healthz");
    server_process_expect_log(
        &server, "cannot write the startup line to stdout: its reader accepted nothing");
    ck_assert_int_eq(server_process_stop(&server), 0);
    rmdir(path);
}
END_TEST

/* ---- Signals ---- */

START_TEST(unrelated_signals_do_not_end_the_server)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ, SIGTTOU};
    server_process_start(&server, plain);
    connect_client(&client);
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
    connect_client(&client);
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
    CASE_ADD(tcase, stalled_log_does_not_delay_requests_or_probes,
             stalled_log_reports_the_number_of_dropped_lines,
             second_signal_exits_with_a_stalled_log, closed_log_does_not_end_the_server,
             log_file_at_its_limit_does_not_end_the_server,
             unrelated_signals_do_not_end_the_server);
    TCase *slow = suite_add_case(suite, "stalls_slow", 60, NULL, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, stalled_log_does_not_prevent_exit,
             stalled_stderr_does_not_prevent_exit_of_a_failed_start,
             stalled_stdout_does_not_stop_the_server,
             stalled_reload_does_not_prevent_serving_or_exit);
    return suite;
}
