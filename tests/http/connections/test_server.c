/*
 * Tests HTTP, connections and the process of the server through the socket. Other suites test the
 * results of losses.
 */
#include "suites.h"
#include "support/body.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

Suite *server_suite(void);

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";
static const char mse_path[] = "/v1/losses/mse";

enum { MAX_BODY = 2000, LARGE_NUMBERS = 40000 };

static struct server_process server;
static struct http_client client;
static struct http_response response;

#define ARGUMENTS(...)                                                                             \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* ---- Helpers ---- */

static void connect_client(struct http_client *to)
{
    ck_assert(http_client_connect(to, "127.0.0.1", server.port));
}

static void start(const char *const arguments[])
{
    server_process_start(&server, arguments);
    connect_client(&client);
}

static void setup(void)
{
    start(ARGUMENTS("--threads", "2", "--io-threads", "2"));
}

static void setup_limited(void)
{
    start(ARGUMENTS("--max-body=2000", "--threads=2", "--io-threads=1"));
}

/* Stops the server of the test; it must exit with 0. */
static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
}

static void end_of_process_test(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_free(&server);
}

static void ask(const char *method, const char *path, const char *headers, const char *body)
{
    ck_assert_msg(
        http_client_ask(&client, method, path, headers, body, body ? strlen(body) : 0, &response),
        "no response to %s %s", method, path);
}

/* Sends raw bytes and reads the response. */
static void ask_raw(const char *text)
{
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "no response to %s", text);
}

static void expect_header(const char *name, const char *value)
{
    char found[256];
    ck_assert_msg(http_response_header(&response, name, found, sizeof found) != NULL, "no %s in %s",
                  name, response.head);
    ck_assert_str_eq(found, value);
}

static bool has_header(const char *name)
{
    char found[256];
    return http_response_header(&response, name, found, sizeof found) != NULL;
}

/* Checks that the last response is a problem of that status which contains `text`. */
static void expect_problem(int status, const char *text)
{
    ck_assert_msg(response.status == status, "expected %d, got %s%s", status, response.head,
                  response.body);
    expect_header("Content-Type", "application/problem+json");
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
}

static void expect_evaluated(void)
{
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "\"loss\""));
}

/* Checks that the connection can still be used. */
static void expect_usable(void)
{
    ask("GET", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
}

static void expect_closed(void)
{
    expect_header("Connection", "close");
    ck_assert(http_client_closed(&client));
}

static void reconnect(void)
{
    http_client_close(&client);
    connect_client(&client);
}

/* Returns a request body with `numbers` numbers per tensor; the caller frees it. */
static char *large_body(size_t numbers, const char *more)
{
    size_t size = numbers * 12 + 256, len = 0;
    char *body = malloc(size);
    ck_assert_ptr_nonnull(body);
    for (int tensor = 0; tensor < 2; tensor++) {
        len += (size_t)sprintf(body + len, "%s: [", tensor == 0 ? "{\"input\"" : ", \"target\"");
        for (size_t i = 0; i < numbers; i++)
            len += (size_t)sprintf(body + len, "%s%zu", i == 0 ? "" : ",",
                                   (i * 7 + (size_t)tensor) % 1000);
        len += (size_t)sprintf(body + len, "]");
    }
    sprintf(body + len, "%s}", more);
    return body;
}

/* Sends bytes as chunks of `piece` bytes, without the last chunk. */
static bool send_chunks(const char *bytes, size_t len, size_t piece)
{
    bool sent = true;
    for (size_t at = 0; sent && at < len; at += piece) {
        size_t size = len - at < piece ? len - at : piece;
        char head[32];
        snprintf(head, sizeof head, "%zx\r\n", size);
        sent = http_client_send_text(&client, head) &&
               http_client_send(&client, bytes + at, size) &&
               http_client_send_text(&client, "\r\n");
    }
    return sent;
}

static const char chunked_head[] =
    "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

/* ---- Process: start, arguments, signals ---- */

START_TEST(server_prints_one_line_with_its_port)
{
    char expected[256], more;
    start(ARGUMENTS("--threads=2", "--io-threads=3"));
    snprintf(expected, sizeof expected,
             "lossd 0.1.0 listening on http://127.0.0.1:%d (threads 2, io-threads 3)", server.port);
    ck_assert_str_eq(server.line, expected);
    ask("GET", "/readyz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(response.body, "ready\n");
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_int_eq(read(server.out, &more, 1), 0);
}
END_TEST

START_TEST(server_rejects_a_port_in_use)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], listen[64];
    start(NULL);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", server.port);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--listen", listen), out, err), 1);
    ck_assert_str_eq(out, "");
    ck_assert_ptr_nonnull(strstr(err, "Address already in use"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(server_rejects_an_unknown_host)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--listen", "192.0.2.1:0"), out, err), 1);
    ck_assert_ptr_nonnull(strstr(err, "cannot listen on 192.0.2.1"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
}
END_TEST

START_TEST(server_rejects_invalid_options_with_one_line)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--thread", "2"), out, err), 2);
    ck_assert_str_eq(err, "lossd: unknown option --thread; did you mean --threads?\n");
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(server_process_run(ARGUMENTS("--max-body", "much"), out, err), 2);
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--config", "/no/such/file"), out, err), 2);
    ck_assert_ptr_nonnull(strstr(err, "/no/such/file"));
}
END_TEST

START_TEST(server_prints_help_version_and_config)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--help"), out, err), 0);
    ck_assert_ptr_nonnull(strstr(out, "--max-body BYTES"));
    ck_assert_int_eq(server_process_run(ARGUMENTS("--version"), out, err), 0);
    ck_assert_ptr_nonnull(strstr(out, "lossd 0.1.0\nbuilt with "));
    setenv("LOSSD_THREADS", "3", 1);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--print-config", "--io-threads", "1"), out, err),
                     0);
    unsetenv("LOSSD_THREADS");
    ck_assert_ptr_nonnull(strstr(out, "\nthreads = 3    # LOSSD_THREADS\n"));
    ck_assert_ptr_nonnull(strstr(out, "\nio-threads = 1    # --io-threads\n"));
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(server_prefers_flag_to_environment_to_file)
{
    char path[] = "/tmp/lossd-config-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "threads = 3\nio-threads = 3\nlog-format = json\n";
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("LOSSD_THREADS", "2", 1);
    setenv("LOSSD_IO_THREADS", "2", 1);
    setenv("LOSSD_CONFIG", path, 1);
    start(ARGUMENTS("--threads=1"));
    unsetenv("LOSSD_THREADS");
    unsetenv("LOSSD_IO_THREADS");
    unsetenv("LOSSD_CONFIG");
    unlink(path);
    ck_assert_ptr_nonnull(strstr(server.line, "(threads 1, io-threads 2)"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "{\"ts\":\""));
    free(log);
}
END_TEST

/* Returns true if the loopback of this machine has IPv6. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

START_TEST(server_listens_on_ipv6)
{
    if (!has_ipv6())
        return;
    server_process_start(&server, ARGUMENTS("--listen=[::1]:0"));
    ck_assert_ptr_nonnull(strstr(server.line, "http://[::1]:"));
    ck_assert(http_client_connect(&client, "::1", server.port));
    expect_usable();
    http_client_close(&client);
    ck_assert(!http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(server_listens_on_both_families_for_the_any_address)
{
    if (!has_ipv6())
        return;
    start(ARGUMENTS("--listen=[::]:0", "--allow-unauthenticated"));
    expect_usable();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "::1", server.port));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(server_listens_on_a_host_name)
{
    start(ARGUMENTS("--listen=localhost:0"));
    ck_assert_ptr_nonnull(strstr(server.line, "http://localhost:"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* Starts a request that the server waits for: it has received the headers, as "100 Continue" shows,
 * but not the body. */
static void begin_upload(struct http_client *upload, size_t len)
{
    char head[256];
    struct http_response interim = {.status = 0};
    connect_client(upload);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\nExpect: "
             "100-continue\r\n\r\n",
             mse_path, len);
    ck_assert(http_client_send_text(upload, head));
    ck_assert(http_client_read(upload, &interim, false));
    ck_assert_int_eq(interim.status, 100);
    http_response_free(&interim);
}

/* Signals the server and waits until it drains, as /readyz shows on a connection that was opened
 * before. Then that connection is closed. */
static void signal_and_wait(int number)
{
    struct http_client probe[200];
    size_t count = 0;
    for (size_t i = 0; i < 200; i++, count++)
        connect_client(&probe[i]);
    /* The server must have accepted them before the signal. */
    for (size_t i = 0; i < count; i++)
        ck_assert(http_client_ask(&probe[i], "GET", "/healthz", NULL, NULL, 0, &response));
    kill(server.pid, number);
    response.status = 0;
    for (size_t i = 0; i < count && response.status != 503; i++) {
        ck_assert(http_client_ask(&probe[i], "GET", "/readyz", NULL, NULL, 0, &response));
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    ck_assert_int_eq(response.status, 503);
    ck_assert_str_eq(response.body, "draining\n");
    expect_header("Connection", "close");
    for (size_t i = 0; i < count; i++)
        http_client_close(&probe[i]);
}

START_TEST(server_finishes_active_requests_on_sigterm)
{
    char *body = large_body(LARGE_NUMBERS, ", \"grad\": true");
    size_t len = strlen(body);
    struct http_client upload, idle;
    start(ARGUMENTS("--threads=2"));
    connect_client(&idle);
    ck_assert(http_client_ask(&idle, "GET", "/healthz", NULL, NULL, 0, &response));
    expect_usable();
    begin_upload(&upload, len);
    ck_assert(http_client_send(&upload, body, len / 2));

    signal_and_wait(_i);
    struct http_client late;
    ck_assert(!http_client_connect(&late, "127.0.0.1", server.port));
    /* A request that was sent earlier on an open connection. */
    ask("POST", mse_path, NULL, mse);
    expect_evaluated();
    expect_closed();

    ck_assert(http_client_send(&upload, body + len / 2, len - len / 2));
    ck_assert(http_client_read(&upload, &response, false));
    expect_evaluated();
    expect_header("Connection", "close");
    ck_assert(http_client_closed(&upload));
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert(http_client_closed(&idle));
    http_client_close(&upload);
    http_client_close(&idle);
    free(body);
}
END_TEST

START_TEST(server_serves_during_its_drain_delay)
{
    start(ARGUMENTS("--threads=2", "--drain-delay=3"));
    expect_usable();
    kill(server.pid, SIGTERM);
    for (response.status = 0; response.status != 503; reconnect())
        ask("GET", "/readyz", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        ask("POST", mse_path, NULL, mse);
        expect_evaluated();
        expect_closed();
        reconnect(); /* new connections are accepted too */
    }
    ask("GET", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    ck_assert_int_eq(server_process_wait(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "serving for another 3 seconds"));
    free(log);
}
END_TEST

/* Sends each request on a new connection, until the server no longer listens. */
static void *ask_until_refused(void *failed)
{
    struct http_client asking = {.fd = -1};
    struct http_response answer = {.status = 0};
    bool answered = true;
    while (answered && http_client_connect(&asking, "127.0.0.1", server.port)) {
        answered = http_client_ask(&asking, "POST", mse_path, NULL, mse, strlen(mse), &answer) &&
                   answer.status == 200;
        http_client_close(&asking);
    }
    http_response_free(&answer);
    *(bool *)failed = !answered;
    return NULL;
}

START_TEST(server_answers_all_accepted_connections)
{
    enum { CLIENTS = 8, ROUNDS = 10 };
    pthread_t thread[CLIENTS];
    bool failed[CLIENTS];
    for (int round = 0; round < ROUNDS; round++) {
        server_process_start(&server, ARGUMENTS("--threads=1", "--log-level=error"));
        for (int i = 0; i < CLIENTS; i++)
            ck_assert_int_eq(pthread_create(&thread[i], NULL, ask_until_refused, &failed[i]), 0);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        ck_assert_int_eq(server_process_stop(&server), 0);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(thread[i], NULL);
        for (int i = 0; i < CLIENTS; i++)
            ck_assert_msg(!failed[i], "a connected client got no response in round %d", round);
        server_process_free(&server);
    }
}
END_TEST

START_TEST(server_exits_at_once_on_a_second_signal)
{
    struct http_client upload;
    start(ARGUMENTS("--threads=2"));
    begin_upload(&upload, 100);
    signal_and_wait(SIGTERM);
    ck_assert_int_eq(server_process_stop(&server), 1);
    http_client_close(&upload);
}
END_TEST

START_TEST(server_exits_with_open_idle_connections)
{
    start(NULL);
    expect_usable();
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert(http_client_closed(&client));
}
END_TEST

START_TEST(server_leaves_connections_above_its_limit_waiting)
{
    /* 64 descriptors are reserved for other purposes, 16 for health and metrics, 256 for lingering
     * connections, and 4 for each I/O thread: 20 connections remain. */
    enum { ROOM = 20 };
    static const struct {
        const char *io_threads;
        rlim_t files;
    } at[] = {{"--io-threads=2", 364}, {"--io-threads=16", 420}};
    const rlim_t files = at[_i].files;
    struct http_client clients[ROOM + 1];
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = files, .rlim_max = files}), 0);
    server_process_start(&server, ARGUMENTS(at[_i].io_threads));
    setrlimit(RLIMIT_NOFILE, &before); /* for later tests in this process, if permitted */
    for (int i = 0; i <= ROOM; i++) {
        connect_client(&clients[i]);
        if (i < ROOM)
            ck_assert(http_client_ask(&clients[i], "GET", "/healthz", NULL, NULL, 0, &response));
    }
    http_client_close(&clients[0]);
    ck_assert(http_client_ask(&clients[ROOM], "GET", "/healthz", NULL, NULL, 0, &response));
    for (int i = 1; i <= ROOM; i++)
        http_client_close(&clients[i]);
    connect_client(&client);
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "at most 20 connections at a time"));
    free(log);
}
END_TEST

START_TEST(server_rejects_a_thread_count_that_cannot_start)
{
    /* Limits address space instead of processes, because that limit does not apply to root: 1024
     * stacks of 8 MiB do not fit. */
    char command[512], out[256] = "";
    const char *program = getenv("LOSSD") && *getenv("LOSSD") ? getenv("LOSSD") : "build/lossd";
    snprintf(command, sizeof command,
             "ulimit -s 8192; ulimit -v 2000000; '%s' --threads 1024 --listen 127.0.0.1:0 2>&1",
             program);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t got = fread(out, 1, sizeof out - 1, pipe);
    out[got] = '\0';
    int status = pclose(pipe);
    if (strstr(out, "Sanitizer") || WEXITSTATUS(status) > 2)
        return; /* sanitizers cannot start with this limit */
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_msg(strstr(out, "lossd: cannot create 1024 compute threads: ") == out, "%s", out);
    ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
}
END_TEST

START_TEST(server_logs_a_line_per_request_without_raw_bytes)
{
    start(ARGUMENTS("--log-format=json"));
    ask("POST", mse_path, "X-Request-Id: log-1\r\n", mse);
    ask_raw("GET /a\x1b[31mb\"c HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: log-2\r\n\r\n");
    ck_assert_int_eq(response.status, 400);
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server), expected[160];
    snprintf(expected, sizeof expected,
             "\"id\":\"log-1\",\"method\":\"POST\",\"path\":\"/v1/losses/"
             "mse\",\"status\":200,\"bytes_in\":%zu,",
             strlen(mse));
    ck_assert_msg(strstr(log, expected) != NULL, "%s", log);
    ck_assert_msg(strstr(log, "\"id\":\"log-2\",\"method\":\"GET\",\"path\":\"/"
                              "a\\u001b[31mb\\\"c\",\"status\":400") != NULL,
                  "%s", log);
    ck_assert_ptr_null(strchr(log, '\x1b'));
    free(log);
}
END_TEST

START_TEST(server_logs_only_received_bytes_of_a_request_line)
{
    static const struct {
        const char *text, *logged;
    } lines[] = {{"\nGET /healthz HTTP/1.1\r\n\r\n", "\"method\":\"-\",\"path\":\"-\""},
                 {" GET /healthz HTTP/1.1\r\n\r\n", "\"method\":\"-\",\"path\":\"-\""},
                 {"GET\r\n\r\n", "\"method\":\"GET\",\"path\":\"-\""},
                 {"\x16\x03\x01\r\n", "\"method\":\"\\u0016\\u0003\\u0001\",\"path\":\"-\""},
                 {"GET /healthz HTTP/3.1\r\n\r\n", "\"method\":\"GET\",\"path\":\"/healthz\""}};
    start(ARGUMENTS("--log-format=json"));
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        reconnect();
        ask_raw(lines[i].text);
        ck_assert_int_ge(response.status, 400);
        server_process_expect_log(&server, lines[i].logged);
    }
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(server_logs_nothing_below_its_level)
{
    start(ARGUMENTS("--log-level=error"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_str_eq(log, "");
    free(log);
}
END_TEST

/* ---- Routes ---- */

static const struct {
    const char *method, *path, *body;
    int status;
    const char *type, *says;
} answers[] = {
    {"GET", "/", NULL, 200, "text/plain; charset=utf-8", "curl -s http://localhost/v1/losses/mse"},
    {"GET", "/healthz", NULL, 200, "text/plain; charset=utf-8", "ok"},
    {"GET", "/readyz", NULL, 200, "text/plain; charset=utf-8", "ready"},
    {"GET", "/v1/losses", NULL, 200, "application/json", "losses"},
    {"GET", "/v1/losses/mse", NULL, 200, "application/json", "mse"},
    {"GET", "/v1/losses/%6Ds%65", NULL, 200, "application/json", "mse"},
    {"GET", "http://localhost/v1/losses/mse", NULL, 200, "application/json", "mse"},
    {"POST", "/v1/losses/mse", mse, 200, "application/json", "\"loss\""},
    {"GET", "/healthy", NULL, 404, "application/problem+json", "did you mean '/healthz'?"},
    {"GET", "/v1/losses/", NULL, 404, "application/problem+json", "did you mean '/v1/losses'?"},
    {"POST", "/v1/loss/mse", mse, 404, "application/problem+json",
     "did you mean '/v1/losses/mse'?"},
    {"GET", "/completely/else/where", NULL, 404, "application/problem+json",
     "GET / lists the paths"},
    {"GET", "/v1/losses/mse/more", NULL, 404, "application/problem+json", "/v1/losses/mse/more"},
    {"POST", "/v1/losses/nope", mse, 404, "application/problem+json", "nope"},
    {"GET", "/v1/losses/nope", NULL, 404, "application/problem+json", "nope"},
    {"GET", "/v1/losses/mse%2fx", NULL, 400, "application/problem+json", "encoded slash"},
    {"GET", "/v1/losses/mse%00x", NULL, 400, "application/problem+json", "control character"},
    {"GET", "/v1/losses/mse%0d%0aX-Evil:1", NULL, 400, "application/problem+json",
     "control character"},
    {"GET", "/v1/losses/mse%7f", NULL, 400, "application/problem+json", "control character"},
    {"GET", "/v1/losses/mse%", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/mse%4", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/mse%zz", NULL, 400, "application/problem+json", "broken percent escape"},
    {"GET", "/v1/losses/%c3%a9", NULL, 404, "application/problem+json", "no such path"},
    {"GET", "healthz", NULL, 400, "application/problem+json", "path"},
    {"PUT", "/healthz", NULL, 405, "application/problem+json", "PUT"},
    {"POST", "/v1/losses", mse, 405, "application/problem+json", "POST"},
    {"DELETE", "/v1/losses/mse", NULL, 405, "application/problem+json", "DELETE"},
    {"BREW", "/", NULL, 405, "application/problem+json", "BREW"},
};

START_TEST(server_answers_and_keeps_the_connection)
{
    ask(answers[_i].method, answers[_i].path, NULL, answers[_i].body);
    ck_assert_msg(response.status == answers[_i].status, "%s %s: %s%s", answers[_i].method,
                  answers[_i].path, response.head, response.body);
    expect_header("Content-Type", answers[_i].type);
    expect_header("X-Content-Type-Options", "nosniff");
    ck_assert_msg(strstr(response.body, answers[_i].says) != NULL, "\"%s\" is not in %s",
                  answers[_i].says, response.body);
    ck_assert(!has_header("X-Evil"));
    ck_assert(has_header("X-Request-Id"));
    ck_assert(has_header("Server-Timing"));
    expect_usable();
}
END_TEST

START_TEST(server_lists_allowed_methods)
{
    ask("PUT", "/healthz", NULL, "some body");
    ck_assert_int_eq(response.status, 405);
    expect_header("Allow", "GET, HEAD, OPTIONS");
    ask("PATCH", mse_path, NULL, NULL);
    ck_assert_int_eq(response.status, 405);
    expect_header("Allow", "GET, HEAD, POST, OPTIONS");
    expect_usable();
}
END_TEST

START_TEST(server_answers_options)
{
    ask("OPTIONS", mse_path, NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    expect_header("Allow", "GET, HEAD, POST, OPTIONS");
    ask("OPTIONS", "/healthz", NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    expect_header("Allow", "GET, HEAD, OPTIONS");
    ask("OPTIONS", "*", NULL, NULL);
    ck_assert_int_eq(response.status, 204);
    ask("OPTIONS", "/nowhere", NULL, NULL);
    ck_assert_int_eq(response.status, 404);
}
END_TEST

START_TEST(server_answers_head_as_get_without_the_body)
{
    static const char *const paths[] = {"/",          "/healthz",       "/readyz",
                                        "/v1/losses", "/v1/losses/mse", "/nowhere"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char length[32], same[32], type[64];
        ask("GET", paths[i], NULL, NULL);
        int status = response.status;
        ck_assert(http_response_header(&response, "Content-Length", length, sizeof length));
        ck_assert(http_response_header(&response, "Content-Type", type, sizeof type));
        ask("HEAD", paths[i], NULL, NULL);
        ck_assert_int_eq(response.status, status);
        expect_header("Content-Type", type);
        /* The length can depend on the request, but must be present. */
        ck_assert(http_response_header(&response, "Content-Length", same, sizeof same));
        if (status == 200)
            ck_assert_str_eq(length, same);
    }
    expect_usable();
}
END_TEST

START_TEST(server_echoes_a_valid_request_id)
{
    char first[160], second[160], longest[200];
    ask("GET", "/healthz", "X-Request-Id: aZ09._-\r\n", NULL);
    expect_header("X-Request-Id", "aZ09._-");
    snprintf(longest, sizeof longest, "X-Request-Id: %0128d\r\n", 7);
    ask("GET", "/healthz", longest, NULL);
    ck_assert_uint_eq(strlen(http_response_header(&response, "X-Request-Id", first, sizeof first)),
                      128);
    ask("GET", "/healthz", "X-Request-Id: not a token\r\n", NULL);
    ck_assert(http_response_header(&response, "X-Request-Id", first, sizeof first));
    ck_assert_ptr_null(strchr(first, ' '));
    snprintf(longest, sizeof longest, "X-Request-Id: %0129d\r\n", 7);
    ask("GET", "/healthz", longest, NULL);
    ck_assert(http_response_header(&response, "X-Request-Id", second, sizeof second));
    ck_assert_uint_lt(strlen(second), 128);
    ck_assert_str_ne(first, second);
}
END_TEST

START_TEST(server_reports_the_duration_of_phases)
{
    char timing[256];
    double decode, compute, encode;
    ask("POST", mse_path, NULL, mse);
    expect_evaluated();
    ck_assert(http_response_header(&response, "Server-Timing", timing, sizeof timing));
    ck_assert_int_eq(sscanf(timing, "decode;dur=%lf, compute;dur=%lf, encode;dur=%lf", &decode,
                            &compute, &encode),
                     3);
    ck_assert(decode >= 0 && compute >= 0 && encode >= 0);
}
END_TEST

/* ---- Rejected requests ---- */

/* Requests whose end two parties could interpret differently, each followed by one that must not be
 * answered. */
#define NEXT "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\n"
static const struct {
    const char *text;
    int status;
    const char *says;
} smuggled[] = {
    {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT, 400,
     "both Content-Length and Transfer-Encoding"},
    {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" NEXT, 400,
     "both Content-Length and Transfer-Encoding"},
    {POST "Content-Length: 0\r\nContent-Length: 35\r\n\r\n" NEXT, 400,
     "more than one Content-Length"},
    {POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400,
     "more than one Content-Length"},
    {POST "Content-Length : 2\r\n\r\n{}" NEXT, 400, "header name"},
    {POST "Content-Length\t: 2\r\n\r\n{}" NEXT, 400, "header name"},
    {POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" NEXT, 400, "header name"},
    {POST "X(Y: 1\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400, "header name"},
    {POST "X\x01Y: 1\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400, "header name"},
    {POST "X: a\x02\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400, "header value"},
    {POST "X: a\rb\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400, "bare CR"},
    {POST "Host: y\r\nContent-Length: 2\r\n\r\n{}" NEXT, 400, "more than one Host"},
    {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT, 400,
     "more than one Transfer-Encoding"},
    {POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT, 501, "Transfer-Encoding"},
    {POST "Transfer-Encoding: identity\r\n\r\n" NEXT, 501, "Transfer-Encoding"},
    {POST "Transfer-Encoding: chunked, identity\r\n\r\n" NEXT, 501, "Transfer-Encoding"},
    {POST "Transfer-Encoding:\r\n\r\n" NEXT, 501, "Transfer-Encoding"},
    {"POST /v1/losses/mse HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT, 400,
     "HTTP/1.0"},
    {"GET /healthz HTTP/1.1\r\n\r\n" NEXT, 400, "no Host"},
    {"G@T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 400, "method"},
    {"GET /healthz?a=\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n" NEXT, 400, "query"},
};

START_TEST(server_rejects_smuggling_and_closes)
{
    ask_raw(smuggled[_i].text);
    expect_problem(smuggled[_i].status, smuggled[_i].says);
    ck_assert(has_header("X-Request-Id"));
    expect_closed();
}
END_TEST

/* Requests that libmicrohttpd by itself would reject in HTML. */
static const char *const malformed[] = {
    POST "Content-Length: +5\r\n\r\n{}" NEXT,
    POST "Content-Length: -1\r\n\r\n{}" NEXT,
    POST "Content-Length: 5x\r\n\r\n{}" NEXT,
    POST "Content-Length: 1, 2\r\n\r\n{}" NEXT,
    POST "Content-Length: 0x5\r\n\r\n{}" NEXT,
    POST "Content-Length: \r\n\r\n{}" NEXT,
    POST "Content-Length: 99999999999999999999999\r\n\r\n{}" NEXT,
    POST "no colon in this\r\n\r\n" NEXT,
    POST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" NEXT,
    POST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n" NEXT,
    "\x16\x03\x01\x02\x01\r\n\r\n" NEXT,
};

START_TEST(server_closes_on_malformed_requests)
{
    ck_assert(http_client_send_text(&client, malformed[_i]));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 400 || response.status == 413, "%s", response.head);
    expect_problem(response.status, "");
    expect_closed();
    reconnect();
    expect_usable();
}
END_TEST

START_TEST(server_requires_a_length)
{
    ask_raw(POST "\r\n");
    expect_problem(411, "Content-Length");
    reconnect();
    ask("POST", mse_path, NULL, "");
    ck_assert_int_eq(response.status, 400); /* the length is valid, but an empty body is not JSON */
    expect_usable();
}
END_TEST

START_TEST(server_rejects_types_and_encodings_before_the_body)
{
    ask("POST", mse_path, "Content-Encoding: br\r\n", mse);
    expect_problem(415, "Content-Encoding");
    ask("POST", mse_path, "Content-Encoding: identity\r\n", mse);
    expect_evaluated();
    ask("POST", mse_path, "Content-Type: image/png\r\n", mse);
    ck_assert_int_eq(response.status, 415);
    expect_usable();
    /* These are answered before the body is sent. */
    ask_raw(POST "Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n");
    ck_assert_int_eq(response.status, 415);
    expect_closed();
    reconnect();
    ask_raw(
        "POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    ck_assert_int_eq(response.status, 404);
    expect_closed();
    reconnect();
    ask_raw("POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: "
            "100-continue\r\n\r\n");
    ck_assert_int_eq(response.status, 404);
    expect_closed();
}
END_TEST

START_TEST(server_answers_http10)
{
    ask_raw("GET /healthz HTTP/1.0\r\n\r\n");
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(response.body, "ok\n");
    ck_assert(http_client_closed(&client));
}
END_TEST

/* ---- Bodies ---- */

START_TEST(server_accepts_chunked_bodies)
{
    for (size_t piece = 1; piece < 64; piece = piece * 2 + 1) {
        ck_assert(http_client_send_text(&client, chunked_head));
        ck_assert(send_chunks(mse, strlen(mse), piece));
        ask_raw("0\r\n\r\n");
        expect_evaluated();
    }
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(mse, strlen(mse), 7));
    ask_raw("0;last=yes\r\nX-Trailer: 1\r\n\r\n");
    expect_evaluated();
    expect_usable();
}
END_TEST

START_TEST(server_computes_large_bodies_with_all_threads)
{
    char *body = large_body(LARGE_NUMBERS, "");
    size_t len = strlen(body);
    ask("POST", mse_path, NULL, body);
    expect_evaluated();
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(body, len, 10000));
    ask_raw("0\r\n\r\n");
    expect_evaluated();
    expect_usable();
    free(body);
}
END_TEST

START_TEST(server_sends_100_continue_if_expected)
{
    struct http_client upload;
    begin_upload(&upload, strlen(mse));
    ck_assert(http_client_send_text(&upload, mse));
    ck_assert(http_client_read(&upload, &response, false));
    expect_evaluated();
    http_client_close(&upload);
}
END_TEST

START_TEST(server_answers_pipelined_requests_in_order)
{
    ck_assert(http_client_send_text(
        &client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p1\r\n\r\n"
                 "POST /v1/losses/nope HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p2\r\n"
                 "Content-Length: 2\r\n\r\n{}"
                 "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: p3\r\n\r\n"));
    static const int statuses[] = {200, 404, 404};
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "p%d", i + 1);
        ck_assert(http_client_read(&client, &response, false));
        ck_assert_int_eq(response.status, statuses[i]);
        expect_header("X-Request-Id", id);
    }
}
END_TEST

/* ---- Body limit: the server accepts MAX_BODY bytes ---- */

START_TEST(limit_accepts_max_body_and_rejects_one_byte_more)
{
    for (size_t len = MAX_BODY - 1; len <= MAX_BODY + 1; len++) {
        char *body = padded_body(mse, len);
        ask("POST", mse_path, NULL, body);
        if (len <= MAX_BODY)
            expect_evaluated();
        else
            expect_problem(413, "2000 bytes");
        free(body);
    }
    ck_assert_ptr_nonnull(strstr(response.body, "--max-body"));
    expect_usable();
}
END_TEST

START_TEST(limit_applies_to_chunked_bodies)
{
    for (size_t len = MAX_BODY - 1; len <= MAX_BODY + 1; len++) {
        char *body = padded_body(mse, len);
        ck_assert(http_client_send_text(&client, chunked_head));
        ck_assert(send_chunks(body, len, 100));
        ask_raw("0\r\n\r\n");
        if (len <= MAX_BODY)
            expect_evaluated();
        else
            expect_problem(413, "2000 bytes");
        free(body);
    }
    expect_usable();
}
END_TEST

START_TEST(limit_stops_an_endless_chunked_body)
{
    char *body = padded_body(mse, 100000);
    ck_assert(http_client_send_text(&client, chunked_head));
    ck_assert(send_chunks(body, 100000, 1000));
    ck_assert(http_client_read(&client, &response, false));
    expect_problem(413, "2000 bytes");
    expect_closed();
    free(body);
}
END_TEST

START_TEST(limit_is_reported_before_the_body)
{
    ask_raw(POST "Content-Length: 2001\r\nExpect: 100-continue\r\n\r\n");
    expect_problem(413, "2000 bytes");
    expect_closed();
    reconnect();
    ask_raw(POST "Content-Length: 9999999999999\r\n\r\n");
    expect_problem(413, "2000 bytes");
    expect_closed();
}
END_TEST

START_TEST(limit_is_reported_to_a_client_that_continues_to_send)
{
    /* Like Python's http.client: sends all of it before reading a response. */
    enum { LEN = 50000000 };
    char head[128], *body = padded_body(mse, LEN);
    snprintf(head, sizeof head, POST "Content-Length: %d\r\n\r\n", LEN);
    for (int i = 0; i < 5; i++) {
        ck_assert(http_client_send_text(&client, head));
        ck_assert(http_client_send(&client, body, LEN));
        ck_assert(http_client_read(&client, &response, false));
        expect_problem(413, "2000 bytes");
        expect_closed();
        reconnect();
    }
    free(body);
}
END_TEST

/* ---- Many and disconnecting clients ---- */

START_TEST(server_survives_disconnecting_clients)
{
    char *body = large_body(LARGE_NUMBERS, ", \"grad\": true"), head[128];
    size_t len = strlen(body);
    snprintf(head, sizeof head, POST "Content-Length: %zu\r\n\r\n", len);
    /* During the headers, the body, the computation and the response. */
    size_t sent[] = {0, 1, len / 2, len - 1, len, len, len, len};
    for (size_t i = 0; i < 4 * sizeof sent / sizeof sent[0]; i++) {
        size_t part = sent[i % (sizeof sent / sizeof sent[0])];
        ck_assert(http_client_send(&client, head, part == 0 ? 20 : strlen(head)));
        ck_assert(http_client_send(&client, body, part));
        if (i % 2 == 0) {
            /* with a reset instead of an orderly close */
            const struct linger hard = {.l_onoff = 1};
            setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        reconnect();
    }
    ask("POST", mse_path, NULL, body);
    expect_evaluated();
    expect_usable();
    free(body);
}
END_TEST

START_TEST(server_answers_half_closed_connections)
{
    char *large = large_body(LARGE_NUMBERS, "");
    const char *const bodies[] = {mse, large};
    for (int i = 0; i < 2; i++) {
        char head[128];
        snprintf(head, sizeof head, POST "Content-Length: %zu\r\n\r\n", strlen(bodies[i]));
        ck_assert(http_client_send_text(&client, head));
        ck_assert(http_client_send_text(&client, bodies[i]));
        ck_assert(http_client_shut(&client));
        ck_assert(http_client_read(&client, &response, false));
        expect_evaluated();
        ck_assert(http_client_closed(&client));
        reconnect();
    }
    free(large);
}
END_TEST

START_TEST(server_drops_a_truncated_body)
{
    /* In one segment with the end of the stream, which libmicrohttpd by itself does not detect. */
    for (int i = 0; i < 5; i++) {
        ck_assert(http_client_send_text(&client, POST "Content-Length: 1000\r\n\r\n{\"input\""));
        ck_assert(http_client_shut(&client));
        ck_assert(http_client_closed(&client));
        reconnect();
    }
    expect_usable();
}
END_TEST

enum { CLIENTS = 32, ROUNDS = 8 };

struct worker {
    pthread_t thread;
    int number;
    const char *large;
    bool right;
};

/* A client: sends small and large evaluations and errors on one connection, and checks each
 * response. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct http_client mine;
    struct http_response answer = {.status = 0};
    worker->right = http_client_connect(&mine, "127.0.0.1", server.port);
    for (int i = 0; worker->right && i < ROUNDS; i++) {
        char id[64], found[64];
        bool bad = i % 4 == 3;
        const char *body = i % 2 == 0 ? mse : worker->large;
        snprintf(id, sizeof id, "X-Request-Id: w%d.%d\r\n", worker->number, i);
        worker->right = http_client_ask(&mine, "POST", bad ? "/v1/losses/nope" : mse_path, id,
                                        bad ? "{}" : body, bad ? 2 : strlen(body), &answer) &&
                        answer.status == (bad ? 404 : 200) &&
                        http_response_header(&answer, "X-Request-Id", found, sizeof found) &&
                        strncmp(found, id + strlen("X-Request-Id: "), strlen(found)) == 0;
    }
    http_response_free(&answer);
    http_client_close(&mine);
    return NULL;
}

START_TEST(server_serves_many_clients_at_once)
{
    struct worker workers[CLIENTS];
    char *large = large_body(LARGE_NUMBERS / 2, "");
    for (int i = 0; i < CLIENTS; i++) {
        workers[i] = (struct worker){.number = i, .large = large};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_msg(workers[i].right, "client %d got a wrong response", i);
    free(large);
}
END_TEST

/* ---- Suite ---- */

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

Suite *server_suite(void)
{
    Suite *suite = suite_create("server");

    TCase *process = suite_add_case(suite, "server_process", 120, NULL, end_of_process_test);
    TCase *slow = suite_add_case(suite, "server_slow", 120, NULL, end_of_process_test);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(process, server_prints_one_line_with_its_port);
    tcase_add_test(slow, server_rejects_a_port_in_use);
    tcase_add_test(process, server_rejects_an_unknown_host);
    tcase_add_test(process, server_rejects_invalid_options_with_one_line);
    tcase_add_test(process, server_prints_help_version_and_config);
    tcase_add_test(process, server_prefers_flag_to_environment_to_file);
    tcase_add_test(process, server_listens_on_ipv6);
    tcase_add_test(process, server_listens_on_both_families_for_the_any_address);
    tcase_add_test(process, server_listens_on_a_host_name);
    tcase_add_loop_test(process, server_finishes_active_requests_on_sigterm, SIGINT, SIGINT + 1);
    tcase_add_loop_test(process, server_finishes_active_requests_on_sigterm, SIGTERM, SIGTERM + 1);
    tcase_add_test(slow, server_serves_during_its_drain_delay);
    tcase_add_test(slow, server_answers_all_accepted_connections);
    tcase_add_test(process, server_exits_at_once_on_a_second_signal);
    tcase_add_test(process, server_exits_with_open_idle_connections);
    tcase_add_loop_test(process, server_leaves_connections_above_its_limit_waiting, 0, 2);
    tcase_add_test(process, server_rejects_a_thread_count_that_cannot_start);
    tcase_add_test(process, server_logs_a_line_per_request_without_raw_bytes);
    tcase_add_test(process, server_logs_only_received_bytes_of_a_request_line);
    tcase_add_test(process, server_logs_nothing_below_its_level);

    TCase *http = suite_add_case(suite, "server_http", 120, setup, teardown);
    TCase *http_slow = suite_add_case(suite, "server_http_slow", 120, setup, teardown);
    tcase_set_tags(http_slow, TAG_SLOW);
    tcase_add_loop_test(http, server_answers_and_keeps_the_connection, 0, COUNT(answers));
    tcase_add_test(http, server_lists_allowed_methods);
    tcase_add_test(http, server_answers_options);
    tcase_add_test(http, server_answers_head_as_get_without_the_body);
    tcase_add_test(http, server_echoes_a_valid_request_id);
    tcase_add_test(http, server_reports_the_duration_of_phases);
    tcase_add_loop_test(http, server_rejects_smuggling_and_closes, 0, COUNT(smuggled));
    tcase_add_loop_test(http, server_closes_on_malformed_requests, 0, COUNT(malformed));
    tcase_add_test(http, server_requires_a_length);
    tcase_add_test(http, server_rejects_types_and_encodings_before_the_body);
    tcase_add_test(http, server_answers_http10);
    tcase_add_test(http, server_accepts_chunked_bodies);
    tcase_add_test(http, server_computes_large_bodies_with_all_threads);
    tcase_add_test(http, server_sends_100_continue_if_expected);
    tcase_add_test(http, server_answers_pipelined_requests_in_order);
    tcase_add_test(http, server_survives_disconnecting_clients);
    tcase_add_test(http_slow, server_answers_half_closed_connections);
    tcase_add_test(http_slow, server_drops_a_truncated_body);
    tcase_add_test(http, server_serves_many_clients_at_once);

    TCase *limit = suite_add_case(suite, "server_limit", 120, setup_limited, teardown);
    tcase_add_test(limit, limit_accepts_max_body_and_rejects_one_byte_more);
    tcase_add_test(limit, limit_applies_to_chunked_bodies);
    tcase_add_test(limit, limit_stops_an_endless_chunked_body);
    tcase_add_test(limit, limit_is_reported_before_the_body);
    tcase_add_test(limit, limit_is_reported_to_a_client_that_continues_to_send);
    return suite;
}
