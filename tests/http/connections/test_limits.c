/*
 * Tests deadlines, rates and connection limits through the socket. Deadlines are short; the tests
 * check what happens, never how quickly.
 */
#include "support/http_client.h"
#include "support/server_process.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection/client_key.h"
#include "suites.h"
#include "support/body.h"
#include "support/tensor_file.h"
#include "util/clock.h"

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5]}";
static const char mse_path[] = "/v1/losses/mse";

#define POST "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\n"

static struct server_process server;
static struct http_client client;
static struct http_response response;

/* ---- Helpers ---- */

#define START(...) start((const char *const[]){"--threads=2", "--io-threads=1", __VA_ARGS__, NULL})

static void start(const char *const arguments[])
{
    server_process_start(&server, arguments);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void teardown(void)
{
    if (server.pid == 0)
        return;
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
}

static void reconnect(void)
{
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void expect_evaluated(void)
{
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, mse, strlen(mse), &response));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
}

/* Checks that the next response is a problem of that status which contains `text`, and that the
 * connection is closed after it. */
static void expect_problem_and_end(int status, const char *text)
{
    char type[64];
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == status, "expected %d, got %s%s", status, response.head,
                  response.body);
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Type", type, sizeof type));
    ck_assert_str_eq(type, "application/problem+json");
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
    ck_assert(http_client_closed(&client));
}

/* Returns true if there is something to read, including the end of the connection. */
static bool is_readable(void)
{
    char byte;
    return recv(client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* Sends a byte periodically until the server responds or the time is up. */
static bool drip(const char *text, int period_ms, int for_ms)
{
    for (int waited = 0; waited < for_ms; waited += period_ms) {
        if (is_readable())
            return true;
        send(client.fd, *text ? text : "x", 1, MSG_NOSIGNAL);
        text += *text != '\0';
        wait_ms(period_ms);
    }
    return is_readable();
}

enum { LONG_MS = 60000 };

static bool is_answered(struct http_client *by)
{
    return http_client_ask(by, "GET", "/healthz", NULL, NULL, 0, &response) &&
           response.status == 200;
}

/* Connects a client with the address 127.0.0.2. */
static void connect_from_elsewhere(struct http_client *to)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    *to = (struct http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    ck_assert_int_eq(bind(to->fd, (struct sockaddr *)&address, sizeof address), 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons((uint16_t)server.port);
    ck_assert_int_eq(connect(to->fd, (struct sockaddr *)&address, sizeof address), 0);
}

/* Sends headers with a Content-Length. */
static void announce(struct http_client *by, unsigned long long len, const char *headers)
{
    char head[256];
    snprintf(head, sizeof head, POST "%sContent-Length: %llu\r\n\r\n", headers, len);
    ck_assert(http_client_send_text(by, head));
}

/* Announces a body on a new connection. */
static void connect_and_announce(struct http_client *by, unsigned long long len,
                                 const char *headers)
{
    ck_assert(http_client_connect(by, "127.0.0.1", server.port));
    announce(by, len, headers);
}

/* ---- Deadlines and rates ---- */

START_TEST(limits_slow_headers_time_out)
{
    START("--header-timeout=0.6");
    ck_assert(drip(POST "X: ", 50, LONG_MS));
    expect_problem_and_end(408, "headers");
    /* The deadline also applies after earlier requests, and to a client that stops within the
     * headers. */
    reconnect();
    expect_evaluated();
    wait_ms(600);
    ck_assert(drip(POST "X: ", 50, LONG_MS));
    expect_problem_and_end(408, "headers");
    reconnect();
    ck_assert(http_client_send_text(&client, POST "X-"));
    expect_problem_and_end(408, "headers");
    reconnect();
    expect_evaluated();
}
END_TEST

#define HEALTH "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* The idle timeout is longer than the timeout of the test. */
START_TEST(limits_pipelined_partial_headers_time_out)
{
    START("--header-timeout=0.6", "--idle-timeout=3600");
    ck_assert(http_client_send_text(&client, HEALTH
                                    "GET /he")); /* in the same segment as the previous request */
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    expect_problem_and_end(408, "headers");
    reconnect();
    for (int i = 0; i < 3; i++)
        expect_evaluated();
    ck_assert(http_client_send_text(&client, "P")); /* before the server checks */
    expect_problem_and_end(408, "headers");
}
END_TEST

START_TEST(limits_unix_sockets_have_the_same_timeouts)
{
    char path[64], listen[80];
    snprintf(path, sizeof path, "/tmp/lossd-limits-%d.sock", (int)getpid());
    snprintf(listen, sizeof listen, "--listen=unix:%s", path);
    server_process_start(&server, (const char *const[]){listen, "--header-timeout=0.6",
                                                        "--idle-timeout=3600", NULL});
    ck_assert(http_client_connect_path(&client, path));
    ck_assert(http_client_send_text(&client, "GET"));
    expect_problem_and_end(408, "headers");
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, path));
    ck_assert(http_client_send_text(&client, HEALTH "GET /he"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    expect_problem_and_end(408, "headers");
}
END_TEST

START_TEST(limits_only_idle_connections_are_closed)
{
    START("--idle-timeout=0.8");
    for (int i = 0; i < 8; i++) {
        expect_evaluated();
        wait_ms(200);
    }
    ck_assert(http_client_closed(&client));
    reconnect();
    ck_assert(http_client_closed(&client)); /* without a request */
    reconnect();
    expect_evaluated();
}
END_TEST

START_TEST(limits_bodies_below_minimum_rate_are_closed)
{
    START("--min-body-rate=1000", "--min-rate-window=0.5");
    ck_assert(http_client_send_text(&client, POST "Content-Length: 100000\r\n\r\n"));
    ck_assert(drip("{", 10, LONG_MS)); /* 100 bytes per second */
    expect_problem_and_end(408, "body");
    reconnect();
    ck_assert(http_client_send_text(&client, POST "Transfer-Encoding: chunked\r\n\r\n10000\r\n"));
    ck_assert(drip("{", 10, LONG_MS));
    expect_problem_and_end(408, "body");
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " 408 "));
    ck_assert_ptr_nonnull(strstr(log, " reason=body_rate "));
    free(log);
    reconnect();
    expect_evaluated();
}
END_TEST

START_TEST(limits_long_bodies_above_minimum_rate_are_accepted)
{
    enum { LEN = 20000, PIECE = 1000 };
    static char body[LEN];
    char head[128];
    START("--min-body-rate=1000", "--min-rate-window=0.5");
    memset(body, ' ', LEN);
    memcpy(body, mse, strlen(mse));
    snprintf(head, sizeof head, POST "Content-Length: %d\r\n\r\n", LEN);
    ck_assert(http_client_send_text(&client, head));
    for (int at = 0; at < LEN; at += PIECE) { /* for two seconds: four rate windows */
        ck_assert(http_client_send(&client, body + at, PIECE));
        wait_ms(100);
    }
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* Requests a response of about 25 MB with a small receive buffer. */
static void ask_for_much(void)
{
    static const char body[] = "{\"input\": {\"shape\": [1], \"dtype\": \"float32\", \"data\": "
                               "[0.1234567]}, \"target\": [%s], "
                               "\"reduction\": \"none\"}";
    enum { NUMBERS = 2500000 };
    char *numbers = malloc(2 * NUMBERS + 1), *text, head[128];
    ck_assert_ptr_nonnull(numbers);
    for (int i = 0; i < NUMBERS; i++)
        memcpy(numbers + 2 * (size_t)i, "3,", 2);
    numbers[2 * NUMBERS - 1] = '\0';
    ck_assert_int_gt(asprintf(&text, body, numbers), 0);
    free(numbers);
    const int small = 32 * 1024;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    snprintf(head, sizeof head, POST "Accept-Encoding: identity\r\nContent-Length: %zu\r\n\r\n",
             strlen(text));
    ck_assert(http_client_send_text(&client, head));
    ck_assert(http_client_send_text(&client, text));
    free(text);
}

/* Reads up to `size` bytes. Waits for the first ones; returns 0 at the end. */
static ssize_t read_some(size_t size)
{
    char *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    const struct timeval patience = {.tv_sec = HTTP_CLIENT_TIMEOUT_MS / 1000};
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const ssize_t got = recv(client.fd, bytes, size, 0);
    free(bytes);
    return got;
}

START_TEST(limits_unread_responses_are_closed)
{
    START("--min-response-rate=1000", "--min-rate-window=0.5");
    ask_for_much();
    ck_assert(read_some(100) > 0);
    wait_ms(3000);
    size_t total = 0;
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0)
        total += (size_t)got;
    /* The kernels buffer at most this. */
    ck_assert_msg(total < 18000000, "%zu bytes of the response arrived", total);
    reconnect();
    expect_evaluated();
}
END_TEST

START_TEST(limits_slowly_read_responses_are_completed)
{
    START("--min-response-rate=100k", "--min-rate-window=0.5");
    ask_for_much();
    size_t total = 0;
    for (int i = 0; i < 40; i++) { /* 2 MB per second for two seconds */
        const ssize_t got = read_some(100000);
        ck_assert_int_gt(got, 0);
        total += (size_t)got;
        wait_ms(50);
    }
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0 && total < 20000000)
        total += (size_t)got;
    ck_assert_msg(total >= 20000000, "%zu bytes of the response arrived", total);
}
END_TEST

START_TEST(limits_slow_clients_do_not_delay_others)
{
    enum { SLOW = 300 };
    static struct http_client slow[SLOW];
    START("--header-timeout=60");
    for (int i = 0; i < SLOW; i++) {
        ck_assert(http_client_connect(&slow[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&slow[i],
                                        i % 2 ? POST "Content-Length: 1000\r\n\r\n{" : POST "X-"));
    }
    for (int i = 0; i < 20; i++)
        expect_evaluated();
    for (int i = 0; i < SLOW; i++)
        http_client_close(&slow[i]);
}
END_TEST

/* Connects a client that is rejected while it sends, and does not close. Without a lingering close
 * the connection would be reset before the client reads the response. */
static void refuse_and_linger(struct http_client *other)
{
    ck_assert(http_client_connect(other, "127.0.0.1", server.port));
    announce(other, 100000000, "");
    ck_assert(http_client_read(other, &response, false));
    ck_assert_int_eq(response.status, 413);
}

START_TEST(limits_rejections_arrive_while_many_connections_linger)
{
    enum { BEFORE = 300, OTHERS = 310, PIECE = 1 << 16, PIECES = 32 };
    static struct http_client others[OTHERS];
    static char piece[PIECE];
    START("--max-body=1M");
    for (int i = 0; i < BEFORE; i++)
        refuse_and_linger(&others[i]);
    announce(&client, 100000000, "");
    while (!is_readable())
        wait_ms(1);
    for (int i = BEFORE; i < OTHERS; i++)
        refuse_and_linger(&others[i]);
    for (int i = 0; i < PIECES; i++) {
        ck_assert_msg(http_client_send(&client, piece, PIECE),
                      "the connection was reset after %d pieces", i);
        wait_ms(10);
    }
    expect_problem_and_end(413, "--max-body");
    for (int i = 0; i < OTHERS; i++)
        http_client_close(&others[i]);
}
END_TEST

/* ---- Memory ---- */

enum { MIB = 1 << 20 };

/* Of 64 MiB, 100 connections use 4, and an eighth of the rest is reserved for small requests. So a
 * request of 30 MiB, which reserves twice its size, reserves all memory, and one that has sent a
 * part of it leaves no room for another. */
#define MEMORY "--max-memory=64M", "--max-connections=100"
enum { LARGE = 30 * MIB, MIDDLE = 20 * MIB, HELD = MIB };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized = true; /* sanitizers use additional memory */
#else
static const bool sanitized = false;
#endif

static void expect_retry(void)
{
    ck_assert_msg(response.status == 503, "%s%s", response.head, response.body);
    ck_assert_ptr_nonnull(strstr(response.body, "memory"));
    ck_assert_ptr_nonnull(strstr(response.head, "Retry-After: "));
}

/* Returns the value of a line of /metrics. */
static double metric(const char *line)
{
    struct http_client asking;
    struct http_response metrics = {.status = 0};
    ck_assert(http_client_connect(&asking, "127.0.0.1", server.port));
    ck_assert(http_client_ask(&asking, "GET", "/metrics", NULL, NULL, 0, &metrics));
    char name[128];
    snprintf(name, sizeof name, "\n%s ", line);
    const char *const found = strstr(metrics.body, name);
    ck_assert_msg(found != NULL, "no %s in %s", line, metrics.body);
    const double value = strtod(found + strlen(name), NULL);
    http_response_free(&metrics);
    http_client_close(&asking);
    return value;
}

static void wait_for_metric(const char *line, double value)
{
    for (int waited = 0; metric(line) != value; waited += 10) {
        ck_assert_msg(waited < LONG_MS, "%s is %g, expected %g", line, metric(line), value);
        wait_ms(10);
    }
}

static const char waiting[] = "lossd_memory_waiters", reserved[] = "lossd_memory_reserved_bytes",
                  used[] = "lossd_memory_used_bytes";

static void wait_for_at_least(const char *line, double value)
{
    for (int waited = 0; metric(line) < value; waited += 10) {
        ck_assert_msg(waited < LONG_MS, "%s is %g, expected %g", line, metric(line), value);
        wait_ms(10);
    }
}

/* Sends headers for a body of LARGE bytes, and enough of the body to be admitted. */
static void hold(struct http_client *by, const char *body)
{
    const double before = metric(used);
    announce(by, LARGE, "");
    ck_assert(http_client_send(by, body, HELD));
    wait_for_at_least(used, before + HELD);
}

START_TEST(limits_memory_wait_leaves_body_unread)
{
    struct http_client second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_and_announce(&second, LARGE, "Expect: 100-continue\r\n");
    wait_for_metric(waiting, 1);
    /* Small requests are still served. */
    struct http_client small;
    ck_assert(http_client_connect(&small, "127.0.0.1", server.port));
    ck_assert(http_client_ask(&small, "POST", mse_path, NULL, mse, strlen(mse), &response));
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
    wait_for_metric(reserved, 0);
}
END_TEST

START_TEST(limits_released_memory_goes_to_waiting_requests)
{
    struct http_client second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_and_announce(&second, LARGE, "");
    wait_for_metric(waiting, 1);
    http_client_close(&client);
    ck_assert(http_client_send(&second, body, LARGE));
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    free(body);
}
END_TEST

START_TEST(limits_memory_wait_times_out)
{
    struct http_client second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=0.3", "--max-memory-waiters=1");
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
    ck_assert(metric("lossd_rejections_total{reason=\"memory\"}") >= 3);
    free(body);
}
END_TEST

START_TEST(limits_memory_has_a_bounded_queue)
{
    struct http_client first, second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60", "--max-memory-waiters=1");
    hold(&client, body);
    free(body);
    connect_and_announce(&first, LARGE, "");
    wait_for_metric(waiting, 1);
    connect_and_announce(&second, LARGE, "");
    ck_assert(http_client_send(&second, mse, 10));
    ck_assert(http_client_read(&second, &response, false));
    expect_retry();
    http_client_close(&second);
    http_client_close(&first);
}
END_TEST

START_TEST(limits_memory_above_total_is_413)
{
    START(MEMORY, "--max-body=1G");
    announce(&client, 70 * MIB, "");
    expect_problem_and_end(413, "--max-memory");
    /* Sizes that are not known in advance: a chunked body, a response. */
    reconnect();
    char *body = padded_body(mse, 80 * MIB), head[64];
    ck_assert(http_client_send_text(&client, POST "Transfer-Encoding: chunked\r\n\r\n"));
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
    wait_for_metric(reserved, 0);
}
END_TEST

/* A second client sends a body that fits into memory only after `client` is disconnected. */
static void ask_for_held_memory(size_t len, int status)
{
    struct http_client second;
    struct http_response answer = {.status = 0};
    char *body = padded_body(mse, len);
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
    wait_for_metric("lossd_rejections_total{reason=\"memory_hold\"}", 1);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " reason=memory_hold "));
    free(log);
}

START_TEST(limits_memory_of_slow_bodies_goes_to_waiting_requests)
{
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    hold(&client, body);
    free(body);
    ask_for_held_memory(LARGE, 200);
    expect_problem_and_end(408, "lacked the memory");
    expect_cut_for_memory();
}
END_TEST

START_TEST(limits_memory_of_slow_chunked_bodies_goes_to_waiting_requests)
{
    char *body = padded_body(mse, LARGE), head[128];
    START(MEMORY, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    snprintf(head, sizeof head, POST "Transfer-Encoding: chunked\r\n\r\n%x\r\n", LARGE + 1000);
    ck_assert(http_client_send_text(&client, head));
    ck_assert(http_client_send(&client, body, LARGE));
    free(body);
    wait_for_at_least(used, LARGE); /* until the server has read all of it */
    ask_for_held_memory(LARGE, 200);
    expect_problem_and_end(408, "lacked the memory");
    expect_cut_for_memory();
}
END_TEST

START_TEST(limits_memory_of_slowly_read_responses_goes_to_waiting_requests)
{
    START("--max-memory=256M", "--max-connections=100", "--memory-wait-timeout=60",
          "--slow-client-memory-timeout=1");
    ask_for_much();
    ck_assert(read_some(100) > 0);
    ask_for_held_memory(104 * MIB, 200);
    expect_cut_for_memory();
    size_t total = 0;
    ssize_t got;
    while ((got = read_some(1 << 20)) > 0)
        total += (size_t)got;
    /* The kernels buffer at most this. */
    ck_assert_msg(total < 18000000, "%zu bytes of the response arrived", total);
}
END_TEST

START_TEST(limits_memory_is_taken_from_as_few_clients_as_needed)
{
    enum { SMALL = 10, BODY = MIB / 2 };
    struct http_client small[SMALL];
    char *body = padded_body(mse, BODY), *large = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60", "--slow-client-memory-timeout=1");
    for (int i = 0; i < SMALL; i++) { /* they are slower, but use little memory */
        ck_assert(http_client_connect(&small[i], "127.0.0.1", server.port));
        if (i % 2)
            announce(&small[i], BODY, "");
        else
            ck_assert(
                http_client_send_text(&small[i], POST "Transfer-Encoding: chunked\r\n\r\n1\r\n{"));
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
START_TEST(limits_memory_of_slow_bodies_is_freed_for_retries)
{
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=0", "--slow-client-memory-timeout=1");
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

START_TEST(limits_memory_of_slow_bodies_is_kept_without_waiters)
{
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--slow-client-memory-timeout=0.5");
    hold(&client, body);
    send_slowly(body, 2000);
    free(body);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(limits_memory_of_fast_bodies_is_kept)
{
    struct http_client second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60",
          "--slow-client-memory-timeout=8"); /* first checked after a second */
    hold(&client, body);
    connect_and_announce(&second, LARGE, "");
    wait_for_metric(waiting, 1);
    send_slowly(body, 2500);
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(http_client_send(&second, body, LARGE));
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    free(body);
}
END_TEST

/* Closes a connection with a reset. */
static void reset_connection(struct http_client *by)
{
    const struct linger reset = {.l_onoff = 1};
    setsockopt(by->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    http_client_close(by);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Waits for a value, at most three seconds. The server needs at most one, a busy machine longer. */
static void expect_soon(const char *line, double value)
{
    const int64_t begun = now_ms();
    wait_for_metric(line, value);
    ck_assert_msg(now_ms() - begun < 3000, "%s was not %g for %d ms", line, value,
                  (int)(now_ms() - begun));
}

START_TEST(limits_memory_of_reset_connections_is_released)
{
    struct http_client before, second;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60");
    hold(&client, body);
    /* A client that waits for admission. */
    connect_and_announce(&second, LARGE, "");
    wait_for_metric(waiting, 1);
    reset_connection(&second);
    expect_soon(waiting, 0);
    ck_assert(metric("lossd_rejections_total{reason=\"gone\"}") >= 1);
    connect_and_announce(&second, LARGE, "");
    wait_for_metric(waiting, 1);
    http_client_close(&second);
    expect_soon(waiting, 0);
    /* A client that sends its body. */
    reset_connection(&client);
    expect_soon(reserved, 0);
    /* A client that waits for memory within its body. */
    ck_assert(http_client_connect(&before, "127.0.0.1", server.port));
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    announce(&before, MIDDLE, "");
    ck_assert(http_client_send(&before, body, MIDDLE - MIB));
    wait_for_at_least(used, MIDDLE - MIB);
    announce(&second, MIDDLE, "");
    for (size_t at = 0; at < MIDDLE && metric(waiting) < 1;) {
        const ssize_t sent = send(second.fd, body + at, MIDDLE - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
    }
    wait_for_metric(waiting, 1);
    reset_connection(&second);
    expect_soon(waiting, 0);
    /* A client that closes its connection there. */
    connect_and_announce(&second, MIDDLE, "");
    for (size_t at = 0; at < MIDDLE && metric(waiting) < 1;) {
        const ssize_t sent = send(second.fd, body + at, MIDDLE - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
    }
    wait_for_metric(waiting, 1);
    http_client_close(&second);
    expect_soon(waiting, 0);
    reset_connection(&before);
    expect_soon(reserved, 0);
    ck_assert(metric(used) == 0);
    free(body);
}
END_TEST

/* From a bug report: 32 connections that declare 1 GB each and send slowly. */
START_TEST(limits_memory_is_not_reserved_for_declared_lengths)
{
    enum { CLAIMING = 32, SENT = 100 * 1000, ASKED = 20 * MIB };
    static const char *const memories[] = {"--max-memory=2G", "--max-memory=8G"};
    struct http_client claiming[CLAIMING];
    char *body = padded_body(mse, ASKED);
    for (size_t m = 0; m < 2; m++) {
        START(memories[m], "--max-body=1G", "--max-connections=100", "--memory-wait-timeout=2");
        const size_t idle = server_process_memory(&server, "VmRSS:");
        for (int i = 0; i < CLAIMING; i++) {
            connect_and_announce(&claiming[i], 1000000000, "");
            ck_assert(http_client_send(&claiming[i], body, SENT));
        }
        wait_for_at_least(used, (double)CLAIMING * SENT);
        ck_assert(metric(reserved) < CLAIMING * 4.0 * SENT);
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
        wait_for_metric(reserved, 0);
        teardown();
    }
    free(body);
}
END_TEST

/* Small requests also reserve only what has been received. */
START_TEST(limits_memory_is_not_reserved_for_small_declared_lengths)
{
    enum { CLAIMING = 80, DECLARED = 480 * 1000 };
    struct http_client claiming[CLAIMING];
    char *body = padded_body(mse, MIDDLE);
    START(MEMORY, "--memory-wait-timeout=2");
    for (int i = 0; i < CLAIMING; i++) {
        connect_and_announce(&claiming[i], DECLARED, "");
        ck_assert(http_client_send(&claiming[i], body, 100));
    }
    wait_for_metric("lossd_http_requests_in_flight", CLAIMING + 1);
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, body, MIDDLE, &response));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    for (int i = 0; i < CLAIMING; i++)
        http_client_close(&claiming[i]);
    free(body);
    wait_for_metric(reserved, 0);
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

/* They wait within their bodies for longer than --memory-wait-timeout, which applies only before
 * admission. */
START_TEST(limits_memory_suffices_for_all_admitted_requests)
{
    enum { OTHERS = 3 };
    static struct upload others[OTHERS];
    char *body = padded_body(mse, MIDDLE);
    START(MEMORY, "--memory-wait-timeout=0.1", "--slow-client-memory-timeout=60");
    announce(&client, MIDDLE, "");
    ck_assert(http_client_send(&client, body, MIDDLE / 2));
    wait_for_at_least(used, MIDDLE / 2);
    for (int i = 0; i < OTHERS; i++) {
        others[i] = (struct upload){.body = body};
        connect_and_announce(&others[i].client, MIDDLE, "");
        ck_assert_int_eq(pthread_create(&others[i].thread, NULL, upload, &others[i]), 0);
        wait_for_at_least(used, MIDDLE / 2 + MIB);
    }
    wait_for_at_least(waiting, 1);
    wait_ms(600);
    ck_assert(metric(waiting) >= 1);
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
    wait_for_metric(reserved, 0);
    ck_assert(metric(used) == 0);
}
END_TEST

/* A request that would fit waits for an earlier one that needs more. */
START_TEST(limits_memory_goes_to_waiting_requests_in_order)
{
    struct http_client second, third;
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=60");
    hold(&client, body);
    connect_and_announce(&second, LARGE, "Expect: 100-continue\r\n");
    wait_for_metric(waiting, 1);
    connect_and_announce(&third, 2 * MIB, "Expect: 100-continue\r\n");
    wait_for_metric(waiting, 2);
    http_client_close(&client);
    ck_assert(http_client_read(&second, &response, false));
    ck_assert_int_eq(response.status, 100);
    ck_assert(http_client_read(&third, &response, false));
    ck_assert_int_eq(response.status, 100);
    http_client_close(&second);
    http_client_close(&third);
    free(body);
    wait_for_metric(reserved, 0);
}
END_TEST

/* Sends as much of a body as the kernel buffers without a reader. */
static void stuff(struct http_client *by)
{
    static const char bytes[64 * 1024];
    while (send(by->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
}

/* Before they send their body, and within the body. */
START_TEST(limits_memory_of_closed_connections_is_released)
{
    char *body = padded_body(mse, LARGE);
    START(MEMORY, "--memory-wait-timeout=300");
    hold(&client, body);
    for (int i = 0; i < 2; i++) {
        struct http_client second;
        connect_and_announce(&second, LARGE, "");
        wait_for_metric(waiting, 1);
        if (i == 1)
            stuff(&second);
        http_client_close(&second);
        wait_for_metric(waiting, 0);
        wait_for_metric("lossd_rejections_total{reason=\"gone\"}", i + 1);
    }
    free(body);
}
END_TEST

struct flood {
    pthread_t thread;
    int status;
};

/* Sends a large request of a random kind. Returns its status, 0 without a response. */
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

START_TEST(limits_memory_is_bounded_for_mixed_large_requests)
{
    enum { CLIENTS = 24, BASE = 48 * MIB };
    static struct flood flood[CLIENTS];
    int answered = 0;
    START(MEMORY, "--memory-wait-timeout=1");
    for (int i = 0; i < CLIENTS;
         i++) /* 9 MB each; with numbers and response more than three times as much */
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
    wait_for_metric(reserved, 0);
}
END_TEST

/* ---- Large sizes ---- */

START_TEST(limits_sizes_above_32_bits_are_exact)
{
    static const struct {
        const char *limit;
        unsigned long long bytes;
    } sizes[] = {{"--max-body=2147483647", 2147483647},
                 {"--max-body=2G", 2147483648},
                 {"--max-body=4294967295", 4294967295},
                 {"--max-body=4G", 4294967296}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        START(sizes[i].limit, "--max-memory=20G", "--max-connections=100");
        for (int more = -1; more <= 1; more++) {
            reconnect();
            announce(&client, sizes[i].bytes + (unsigned long long)(long long)more,
                     "Expect: 100-continue\r\n");
            ck_assert(http_client_read(&client, &response, false));
            ck_assert_msg(response.status == (more <= 0 ? 100 : 413), "%s %+d: %s", sizes[i].limit,
                          more, response.head);
        }
        char expected[64];
        snprintf(expected, sizeof expected, "larger than %llu bytes", sizes[i].bytes);
        ck_assert_ptr_nonnull(strstr(response.body, expected));
        if (i + 1 < sizeof sizes / sizeof sizes[0])
            teardown();
    }
}
END_TEST

/* ---- Disconnected clients ---- */

static const char busy[] = "lossd_executor_busy", queued[] = "lossd_queue_jobs";
static const char gone[] = "lossd_rejections_total{reason=\"gone\"}";

enum { ROWS_MINUTES = 40000, ROWS_MOMENT = 1000 };

static void ask_for_rows(struct http_client *by, size_t rows, const char *headers)
{
    ck_assert(rows_ask(by, rows, headers));
}

static void ask_for_minutes(struct http_client *by)
{
    ask_for_rows(by, ROWS_MINUTES, "");
}

static void reset(struct http_client *who)
{
    const struct linger hard = {.l_onoff = 1};
    setsockopt(who->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    http_client_close(who);
}

START_TEST(limits_reset_cancels_computation)
{
    struct http_client waiting_too;
    START("--log-level=info");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    wait_for_metric(queued, 1);
    reset(&waiting_too);
    reset(&client);
    wait_for_metric(gone, 2);
    wait_for_metric(busy, 0);
    wait_for_metric(reserved, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ask_for_much();
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " 499 "));
    free(log);
}
END_TEST

START_TEST(limits_half_close_does_not_cancel_computation)
{
    START("--threads=1");
    ask_for_much();
    ck_assert(http_client_shut(&client));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(metric(gone) == 0);
}
END_TEST

/* Returns the milliseconds until a metric has a value. */
static int64_t time_until(const char *line, double value)
{
    const int64_t began = clock_ms();
    wait_for_metric(line, value);
    return clock_ms() - began;
}

enum { SOON_MS = 10000 }; /* less than a second on an idle machine */

/* For a minute, the kernel of a client that has closed a connection reports this only in reply to
 * data. */
START_TEST(limits_close_cancels_computation)
{
    struct http_client waiting_too;
    START("--compute-timeout=0");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    wait_for_metric(queued, 1);
    http_client_close(&waiting_too);
    ck_assert_int_lt(time_until(queued, 0), SOON_MS);
    ck_assert(metric(busy) == 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(busy, 0), SOON_MS);
    wait_for_metric(gone, 2);
    wait_for_metric(reserved, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(limits_close_of_unix_socket_cancels_computation)
{
    char listen[128], path[64];
    snprintf(path, sizeof path, "/tmp/lossd-test-%d.sock", (int)getpid());
    snprintf(listen, sizeof listen, "--listen=127.0.0.1:0,unix:%s", path);
    START("--compute-timeout=0", listen);
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, path));
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(busy, 0), SOON_MS);
    wait_for_metric(gone, 1);
    ck_assert(http_client_connect_path(&client, path));
    ask_for_rows(&client, ROWS_MOMENT, "");
    ck_assert(http_client_shut(&client));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(metric(gone) == 1);
}
END_TEST

/* The server probes them by sending the first bytes of their responses early. */
START_TEST(limits_half_closed_connections_stay_in_the_queue)
{
    struct http_client half;
    char byte = 0;
    START("--threads=1", "--compute-timeout=0");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&half, "127.0.0.1", server.port));
    for (int i = 0; i < 2; i++)
        ask_for_rows(&half, ROWS_MOMENT, "");
    ck_assert(http_client_shut(&half));
    ck_assert_int_eq(recv(half.fd, &byte, 1, MSG_PEEK), 1);
    ck_assert_int_eq(byte, 'H');
    wait_ms(1500); /* for the next byte */
    ck_assert(metric(queued) == 1);
    ck_assert(metric(gone) == 0);
    reset(&client);
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_read(&half, &response, false));
        ck_assert_msg(strncmp(response.head, "HTTP/1.1 200 OK\r\n", 17) == 0, "%s", response.head);
    }
    ck_assert(http_client_closed(&half));
    http_client_close(&half);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(limits_half_close_before_response_is_accepted)
{
    START("--compute-timeout=0");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_shut(&client));
    wait_ms(1000);
    ck_assert(metric(busy) == 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(busy, 0), SOON_MS);
    wait_for_metric(gone, 1);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* Reads the state and the timer of the server side of a connection from /proc/net/tcp. */
static bool find_socket(int client_port, unsigned *timer, unsigned long *ticks)
{
    char line[512];
    bool found = false;
    FILE *const file = fopen("/proc/net/tcp", "r");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local = 0, remote = 0;
        found = sscanf(line, " %*d: %*x:%x %*x:%x %*x %*x:%*x %x:%lx", &local, &remote, timer,
                       ticks) == 4 &&
                local == (unsigned)server.port && remote == (unsigned)client_port;
    }
    fclose(file);
    return found;
}

/* A machine without power sends nothing, so the kernel must probe it. */
START_TEST(limits_silent_connections_have_keepalive_probes)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    unsigned timer = 0;
    unsigned long ticks = 0;
    const unsigned keepalive = 2; /* the number of the keep-alive timer */
    START("--threads=1");
    expect_evaluated();
    ck_assert_int_eq(getsockname(client.fd, (struct sockaddr *)&address, &len), 0);
    for (int waited = 0; waited < LONG_MS; waited += 10) { /* after the last retransmission timer */
        ck_assert(find_socket(ntohs(address.sin_port), &timer, &ticks));
        if (timer == keepalive)
            break;
        wait_ms(10);
    }
    ck_assert_uint_eq(timer, keepalive);
    ck_assert_uint_le(ticks, 31UL * (unsigned long)sysconf(_SC_CLK_TCK));
}
END_TEST

/* The queue position and the memory of a waiting request are released at once, not when its turn
 * comes. */
START_TEST(limits_queued_work_is_cancelled_at_once)
{
    struct http_client waiting_too;
    START("--threads=1");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    wait_for_metric(queued, 1);
    const double both = metric(reserved);
    reset(&waiting_too);
    wait_for_metric(queued, 0);
    wait_for_metric(gone, 1);
    ck_assert(metric(reserved) <= both - 2.0 * ROWS_MINUTES * ROWS_COLUMNS * sizeof(float));
    ck_assert(metric(busy) == 1);
    reset(&client);
    wait_for_metric(busy, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* ---- Deadlines, work limits and scheduling ---- */

static const char late[] = "lossd_rejections_total{reason=\"compute_time\"}";

static void expect_status(int status, const char *text)
{
    ck_assert_msg(response.status == status, "expected %d, got %s%s", status, response.head,
                  response.body);
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
}

START_TEST(limits_computation_has_a_deadline)
{
    char value[64];
    START("--compute-timeout=0.3");
    ask_for_minutes(&client);
    ck_assert(http_client_read(&client, &response, false));
    expect_status(503, "not ready within 0.3 seconds, the limit that --compute-timeout sets");
    /* A retry would time out too. */
    ck_assert_ptr_null(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert(metric(late) == 1);
    expect_evaluated(); /* on the same connection */
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " reason=compute_time"));
    free(log);
}
END_TEST

START_TEST(limits_deadline_includes_the_queue)
{
    char value[64];
    struct http_client second;
    START("--threads=1");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    ask_for_rows(&second, ROWS_MOMENT, "X-Request-Timeout: 0.4\r\n");
    ck_assert(http_client_read(&second, &response, false));
    expect_status(503, "not ready within 0.4 seconds, the limit that X-Request-Timeout sets");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert_int_ge(atoi(value), 1);
    ck_assert(metric(busy) == 1); /* the other one runs */
    http_client_close(&second);
    reset(&client);
    wait_for_metric(busy, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* The memory suffices for the body, but not for the computation, which needs as much again. */
START_TEST(limits_deadline_includes_the_memory_wait)
{
    struct http_client second;
    char value[64];
    START("--max-memory=128M", "--max-connections=100", "--threads=1");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    const double most = metric("lossd_memory_budget_bytes") / 8 * 7;
    const size_t len = (size_t)((most - metric(reserved)) * 0.7);
    char *body = padded_body(mse, len);
    connect_and_announce(&second, len, "X-Request-Timeout: 1\r\n");
    ck_assert(http_client_send(&second, body, len));
    ck_assert(http_client_read(&second, &response, false));
    expect_status(
        503, "within 1 seconds, the limit that X-Request-Timeout sets; the request waited for ");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    ck_assert(metric(busy) == 1);
    ck_assert(metric(late) == 1);
    ck_assert(http_client_ask(&second, "POST", mse_path, NULL, mse, strlen(mse), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&second);
    reset(&client);
    free(body);
    wait_for_metric(busy, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(limits_clients_can_only_lower_the_deadline)
{
    START("--compute-timeout=0.3");
    ask_for_rows(&client, ROWS_MINUTES, "X-Request-Timeout: 60\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_status(503, "within 0.3 seconds, the limit that --compute-timeout sets");
    ask_for_rows(&client, ROWS_MINUTES, "X-Request-Timeout: 0.2\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_status(503, "within 0.2 seconds, the limit that X-Request-Timeout sets");
}
END_TEST

START_TEST(limits_deadline_can_be_disabled)
{
    START("--compute-timeout=0");
    ask_for_rows(&client, ROWS_MOMENT, "");
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ask_for_rows(&client, ROWS_MINUTES, "X-Request-Timeout: 0.2\r\n");
    ck_assert(http_client_read(&client, &response, false));
    expect_status(503, "X-Request-Timeout");
}
END_TEST

START_TEST(limits_timeout_header_is_parsed_strictly)
{
    static const char *const wrong[] = {"0",          "0.000", "-1",  "+1",  "1s",
                                        "1.2345",     "abc",   "",    "1e3", "86400.001",
                                        "9999999999", "\xff",  "1, 2"};
    char headers[128];
    START("--threads=1");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(headers, sizeof headers, "X-Request-Timeout: %s\r\n", wrong[i]);
        ck_assert(http_client_ask(&client, "POST", mse_path, headers, mse, strlen(mse), &response));
        expect_status(400, "X-Request-Timeout is '");
        expect_status(400, "expected a number of seconds from 0.001 to 86400, such as 2.5");
    }
    ck_assert(http_client_ask(&client, "POST", mse_path,
                              "X-Request-Timeout: 1\r\nx-request-timeout: 2\r\n", mse, strlen(mse),
                              &response));
    expect_status(400, "2 X-Request-Timeout headers");
    ck_assert(http_client_ask(&client, "POST", mse_path, "X-Request-Timeout: 86400\r\n", mse,
                              strlen(mse), &response));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* Before the tensors are decoded: they contain an invalid class. */
START_TEST(limits_work_is_rejected_before_decoding)
{
    static const char one[] = "{\"input\": [[1, 2], [3, 4]], \"target\": [0, 7]}";
    static const char several[] =
        "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"losses\": "
        "[{\"loss\": \"mse\"}, {\"loss\": \"l1\"}, {\"loss\": \"huber\"}]}";
    static const char inference[] = "{\"inputs\": [{\"name\": \"input\", \"shape\": [3], "
                                    "\"datatype\": \"FP32\", \"data\": [1, 2, "
                                    "3]}, {\"name\": \"target\", \"shape\": [3], \"datatype\": "
                                    "\"FP32\", \"data\": [1, 2, 3]}]}";
    START("--max-work=1");
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/cross_entropy", NULL, one, strlen(one),
                              &response));
    expect_status(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    expect_status(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(http_client_ask(&client, "POST", "/v2/models/mse/infer", NULL, inference,
                              strlen(inference), &response));
    expect_status(413, " units of work; max_work of GET /v1/limits is 1");
    ask_for_minutes(&client);
    ck_assert(http_client_read(&client, &response, false));
    expect_status(413, " units of work; max_work of GET /v1/limits is 1");
    ck_assert(metric("lossd_rejections_total{reason=\"work\"}") == 4);
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

START_TEST(limits_work_of_several_losses_is_summed)
{
    static const char several[] =
        "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"losses\": "
        "[{\"loss\": \"mse\"}, {\"loss\": \"mse\"}, {\"loss\": \"mse\"}]}";
    char most[64];
    START("--max-work=1");
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, mse, strlen(mse), &response));
    const unsigned long long each = work_of_answer();
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    ck_assert_uint_eq(work_of_answer(), 3 * each);
    teardown();
    snprintf(most, sizeof most, "--max-work=%llu", 3 * each);
    START(most);
    ck_assert(http_client_ask(&client, "POST", "/v1/evaluate", NULL, several, strlen(several),
                              &response));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

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

START_TEST(limits_jobs_alternate_between_clients)
{
    enum { CONNECTIONS = 16 };
    struct http_client many[CONNECTIONS], other;
    START("--threads=1", "--compute-timeout=0");
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_rows(&many[i], ROWS_MOMENT, "");
    }
    connect_from_elsewhere(&other);
    ask_for_rows(&other, ROWS_MOMENT / 2, "");
    while (metric("lossd_queue_clients") < 2 && count_answered(&other, 1) == 0)
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

START_TEST(limits_compression_does_not_wait_for_computations)
{
    struct http_client reader;
    char value[64];
    START("--threads=1", "--compute-timeout=0");
    ck_assert(http_client_connect(&reader, "127.0.0.1", server.port));
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_ask(&reader, "GET", "/openapi.json", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    expect_status(200, "\"openapi\"");
    ck_assert(metric(busy) == 1);
    reset(&client);
    wait_for_metric(busy, 0);
    ck_assert(http_client_ask(&reader, "GET", "/openapi.json", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Encoding", value, sizeof value));
    http_client_close(&reader);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(limits_the_queue_has_room_for_every_client)
{
    struct http_client many[3], other;
    char value[64];
    START("--threads=1", "--max-queue=2", "--compute-timeout=0");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_minutes(&many[i]);
        wait_for_metric(queued, i + 1);
    }
    ck_assert(metric("lossd_queue_clients") == 1);
    connect_from_elsewhere(&other);
    ask_for_rows(&other, ROWS_MOMENT, "");
    wait_for_metric("lossd_queue_clients", 2);
    ck_assert(metric(queued) == 2);
    ck_assert(http_client_read(&many[1], &response, false));
    expect_status(503, "too many requests are waiting");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", value, sizeof value));
    for (int i = 0; i < 2; i++)
        reset(&many[i]);
    reset(&client);
    ck_assert(http_client_read(&other, &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&other);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* ---- Sizes and counts ---- */

/* Sends a GET on a new connection, with a target of `target` bytes and, besides Host, `count`
 * headers with `bytes` bytes of names and values. */
static void ask_sized(size_t target, size_t bytes, size_t count)
{
    char *text = calloc(1, target + bytes + 16 * count + 256), *to = text;
    ck_assert_ptr_nonnull(text);
    to = stpcpy(to, "GET /v1/losses?");
    memset(to, 'q', target - strlen("/v1/losses?"));
    to = stpcpy(to + target - strlen("/v1/losses?"), " HTTP/1.1\r\nHost: localhost\r\n");
    for (size_t i = 0; i < count; i++) {
        const size_t len = i + 1 < count ? 2 : bytes - 2 * (count - 1);
        *to++ = 'X';
        to = stpcpy(to, ": ");
        memset(to, 'v', len - 1);
        to = stpcpy(to + len - 1, "\r\n");
    }
    stpcpy(to, "\r\n");
    reconnect();
    ck_assert(http_client_send_text(&client, text));
    ck_assert(http_client_read(&client, &response, false));
    free(text);
}

START_TEST(limits_headers_and_targets_have_maximum_sizes)
{
    enum { HOST = sizeof "Host" + sizeof "localhost" - 2 };
    START("--max-url=3000", "--max-header-bytes=5000", "--max-header-count=20");
    for (int more = -1; more <= 1; more++) {
        ask_sized((size_t)(3000 + more), 100, 2);
        expect_status(more <= 0 ? 200 : 414, more <= 0 ? "losses" : "--max-url");
        ask_sized(20, (size_t)(5000 - HOST + more), 5);
        expect_status(more <= 0 ? 200 : 431, more <= 0 ? "losses" : "--max-header-bytes");
        ask_sized(20, 100, (size_t)(19 + more));
        expect_status(more <= 0 ? 200 : 431, more <= 0 ? "losses" : "--max-header-count");
    }
    ck_assert(metric("lossd_rejections_total{reason=\"url_size\"}") == 1);
    ck_assert(metric("lossd_rejections_total{reason=\"header_size\"}") == 2);
}
END_TEST

START_TEST(limits_default_header_and_target_sizes_are_accepted)
{
    START("--threads=1");
    ask_sized(8192, 16384 - 13, 99);
    expect_status(200, "losses");
    ask_sized(8193, 16384 - 13, 99);
    expect_status(414, "--max-url");
    ask_sized(8192, 16384 - 12, 99);
    expect_status(431, "--max-header-bytes");
}
END_TEST

/* Sends a GET with `item` repeated `count` times in its query or a header. Returns the status. */
static int ask_many(const char *before, const char *item, size_t count, const char *after)
{
    char *const text = malloc(strlen(before) + count * strlen(item) + strlen(after) + 1),
                *to = stpcpy(text, before);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < count; i++)
        to = stpcpy(to, item);
    stpcpy(to, after);
    reconnect();
    ck_assert(http_client_send_text(&client, text));
    ck_assert_msg(http_client_read(&client, &response, false), "%zu times %s: no response", count,
                  item);
    free(text);
    return response.status;
}

/* libmicrohttpd allocates memory for each parameter and cookie. When it ran out of that, it sent no
 * response, or two. */
START_TEST(limits_many_parameters_and_cookies_get_one_response)
{
    static const char end[] = " HTTP/1.1\r\nHost: localhost\r\n\r\n",
                      cookies[] = "GET /v1/losses HTTP/1.1\r\nHost: localhost\r\nCookie: ";
    START("--threads=1");
    ck_assert_int_eq(ask_many("GET /v1/losses?a", "&a", 63, end), 200);
    expect_status(200, "losses");
    ck_assert_int_eq(ask_many("GET /v1/losses?a", "&a", 64, end), 400);
    expect_status(400, "64 parameters");
    ck_assert_int_eq(ask_many("GET /v1/losses?", "&", 4000, end), 400);
    ck_assert_int_eq(ask_many("GET /v1/losses&", "&", 4000, end), 404);
    ck_assert_int_eq(ask_many(cookies, "a=1; ", 3200, "\r\n\r\n"), 200);
    ck_assert_int_eq(ask_many(cookies, "a=1; ", 3300, "\r\n\r\n"), 431);
    expect_status(431, "--max-header-bytes");
}
END_TEST

/* Pipelined bytes use the memory in which libmicrohttpd records the headers of the first request.
 */
START_TEST(limits_many_headers_are_accepted_in_a_pipeline)
{
    enum { HEADERS = 998, REQUESTS = 30 };
    char *const text = malloc(REQUESTS * (HEADERS * 4 + 64)), *to = text;
    ck_assert_ptr_nonnull(text);
    for (int i = 0; i < REQUESTS; i++) {
        to = stpcpy(to, HEALTH);
        to -= 2;
        for (int k = 0; k < HEADERS; k++)
            to = stpcpy(to, "a:\r\n");
        to = stpcpy(to, "\r\n");
    }
    START("--max-header-count=1000");
    ck_assert(http_client_send_text(&client, text));
    free(text);
    for (int i = 0; i < REQUESTS; i++) {
        ck_assert_msg(http_client_read(&client, &response, false), "request %d: no response", i);
        ck_assert_msg(response.status == 200, "request %d: %s", i, response.head);
    }
}
END_TEST

/* Sends an mse request whose input is a number in `depth` nested arrays. */
static void ask_nested(int depth)
{
    char body[512], *to = stpcpy(body, "{\"input\": ");
    memset(to, '[', (size_t)depth);
    to = stpcpy(to + depth, "1");
    memset(to, ']', (size_t)depth);
    to = stpcpy(to + depth, ", \"target\": 1}");
    ck_assert(
        http_client_ask(&client, "POST", mse_path, NULL, body, (size_t)(to - body), &response));
}

START_TEST(limits_json_has_a_maximum_depth)
{
    START("--max-json-depth=5");
    for (int depth = 4; depth <= 6; depth++) {
        ask_nested(depth);
        expect_status(depth <= 5 ? 200 : 400, depth <= 5 ? "loss" : "more than 5 nested arrays");
    }
    /* and in a value that is not a tensor */
    static const char *const bodies[] = {
        "{\"inputs\": [], \"parameters\": {\"headers\": [[[[[1]]]]]}}",
        "{\"inputs\": [], \"parameters\": {\"headers\": [[[[[[1]]]]]]}}",
    };
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_ask(&client, "POST", "/v2/models/mse/infer", NULL, bodies[i],
                                  strlen(bodies[i]), &response));
        expect_status(400, i ? "more than 5 nested arrays and objects" : "input");
    }
}
END_TEST

START_TEST(limits_requests_have_a_maximum_rate)
{
    struct http_client elsewhere;
    char after[16];
    START("--request-rate=2", "--request-burst=3");
    for (int i = 0; i < 3; i++)
        expect_evaluated();
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, mse, strlen(mse), &response));
    expect_status(429, "more than 2 requests per second");
    ck_assert_ptr_nonnull(http_response_header(&response, "Retry-After", after, sizeof after));
    ck_assert_str_eq(after, "1");
    /* The rate limit affects neither other clients nor probes. */
    connect_from_elsewhere(&elsewhere);
    ck_assert(http_client_ask(&elsewhere, "POST", mse_path, NULL, mse, strlen(mse), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&elsewhere);
    for (int i = 0; i < 10; i++)
        ck_assert(is_answered(&client));
    wait_ms(1100);
    for (int i = 0; i < 2; i++)
        expect_evaluated();
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, mse, strlen(mse), &response));
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, mse, strlen(mse), &response));
    ck_assert_int_eq(response.status, 429);
}
END_TEST

START_TEST(limits_compute_queue_has_a_maximum_length)
{
    struct http_client second, third;
    START("--max-queue=1");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    ck_assert(http_client_connect(&second, "127.0.0.1", server.port));
    ask_for_minutes(&second);
    wait_for_metric(queued, 1);
    ck_assert(http_client_connect(&third, "127.0.0.1", server.port));
    ask_for_minutes(&third);
    ck_assert(http_client_read(&third, &response, false));
    expect_status(503, "too many requests are waiting");
    http_client_close(&third);
    reset(&second);
    reset(&client);
    wait_for_metric(busy, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(limits_are_reported)
{
    START("--max-body=12345", "--idle-timeout=1.5", "--request-rate=7", "--max-connections=99",
          "--max-work=5G", "--compute-timeout=2.5");
    ck_assert(http_client_ask(&client, "GET", "/v1/limits", NULL, NULL, 0, &response));
    expect_status(200, "\"max_body\":12345,\"max_expanded\":12345,");
    expect_status(200, "\"idle_timeout\":1.5,");
    expect_status(200, "\"request_rate\":7,");
    expect_status(200, "\"max_work\":5000000000,\"compute_timeout\":2.5,");
    expect_status(200, "\"max_connections\":99,");
}
END_TEST

/* Running and queued jobs of several clients. */
START_TEST(limits_drain_timeout_cancels_queued_jobs)
{
    enum { CONNECTIONS = 4 };
    struct http_client many[CONNECTIONS];
    START("--drain-timeout=0.5", "--compute-timeout=0");
    for (int i = 0; i < CONNECTIONS; i++) {
        if (i % 2 == 0)
            ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        else
            connect_from_elsewhere(&many[i]);
        ask_for_minutes(&many[i]);
        wait_for_metric(busy, 1);
        wait_for_metric(queued, i);
    }
    const int64_t begun = clock_ms();
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_read(&many[i], &response, false));
        expect_status(503, "shutting down");
        ck_assert(http_client_closed(&many[i]));
        http_client_close(&many[i]);
    }
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert_int_lt(clock_ms() - begun, SOON_MS);
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

/* Running and queued jobs are finished if there is enough time. */
START_TEST(limits_drain_finishes_queued_jobs)
{
    enum { CONNECTIONS = 4 };
    struct http_client many[CONNECTIONS];
    START("--threads=1");
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_connect(&many[i], "127.0.0.1", server.port));
        ask_for_rows(&many[i], ROWS_MOMENT, "");
    }
    wait_for_metric(busy, 1);
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CONNECTIONS; i++) {
        ck_assert(http_client_read(&many[i], &response, false));
        ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
        http_client_close(&many[i]);
    }
    ck_assert_int_eq(server_process_wait(&server), 0);
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

START_TEST(limits_drain_has_a_timeout)
{
    START("--drain-timeout=0.5");
    ask_for_minutes(&client);
    wait_for_metric(busy, 1);
    kill(server.pid, SIGTERM);
    ck_assert(http_client_read(&client, &response, false));
    expect_status(503, "shutting down");
    ck_assert_int_eq(server_process_wait(&server), 0);
    ck_assert(http_client_closed(&client));
    http_client_close(&client);
    server_process_free(&server);
}
END_TEST

/* ---- Connections ---- */

START_TEST(limits_connections_above_maximum_wait)
{
    struct http_client others[2];
    START("--max-connections=2");
    ck_assert(is_answered(&client));
    for (int i = 0; i < 2; i++)
        ck_assert(http_client_connect(&others[i], "127.0.0.1", server.port));
    ck_assert(is_answered(&others[0]));
    ck_assert(
        http_client_send_text(&others[1], "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    wait_ms(500);
    char byte;
    ck_assert_int_lt(recv(others[1].fd, &byte, 1, MSG_DONTWAIT), 0);
    http_client_close(&others[0]);
    ck_assert(http_client_read(&others[1], &response, false));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&others[1]);
}
END_TEST

/* An operator must be able to connect to a busy server. */
START_TEST(limits_metrics_connections_do_not_wait)
{
    struct http_client others[2], admin;
    START("--max-connections=2", "--max-connections-per-address=3", "--admin-listen=127.0.0.1:0");
    ck_assert(is_answered(&client));
    for (int i = 0; i < 2; i++)
        ck_assert(http_client_connect(&others[i], "127.0.0.1", server.port));
    ck_assert(is_answered(&others[0]));
    for (int i = 0; i < 5; i++) {
        ck_assert(http_client_connect(&admin, "127.0.0.1",
                                      server_process_port(&server, "for health and metrics on")));
        ck_assert(is_answered(&admin));
        http_client_close(&admin);
    }
    char byte;
    ck_assert_int_lt(recv(others[1].fd, &byte, 1, MSG_DONTWAIT), 0);
    http_client_close(&others[0]);
    ck_assert(is_answered(&others[1]));
    http_client_close(&others[1]);
}
END_TEST

/* Returns the key by which a client with this address is counted. */
static uint64_t key_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return client_key((const struct sockaddr *)&v4);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return client_key((const struct sockaddr *)&v6);
}

/* A client with one address of an IPv6 network has 2^64. */
START_TEST(limits_ipv6_networks_count_as_one_address)
{
    ck_assert_uint_eq(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    ck_assert_uint_ne(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:3::1"));
    ck_assert_uint_ne(key_of("192.0.2.1"), key_of("192.0.2.2"));
    ck_assert_uint_eq(key_of("192.0.2.1"), key_of("::ffff:192.0.2.1"));
    ck_assert_uint_ne(key_of("::1"), 0); /* 0: no address */
}
END_TEST

START_TEST(limits_connections_of_an_address_are_counted)
{
    struct http_client first, elsewhere;
    START("--max-connections-per-address=2");
    ck_assert(is_answered(&client));
    first = client;
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(is_answered(&client)); /* at the limit */
    for (int i = 0; i < 3; i++) {
        struct http_client second = client;
        ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
        http_client_send_text(&client, POST "Content-Length: 2\r\n\r\n{}");
        expect_problem_and_end(429, "too many connections from this address");
        ck_assert(http_response_header(&response, "Retry-After", (char[8]){0}, 8) != NULL);
        http_client_close(&client);
        client = second;
    }
    connect_from_elsewhere(&elsewhere);
    ck_assert(is_answered(&elsewhere));
    http_client_close(&elsewhere);
    ck_assert(is_answered(&first));
    http_client_close(&first);
    /* The server releases the connection after some time. */
    struct http_client again;
    bool answered = false;
    for (int i = 0; i < 100 && !answered; i++) {
        ck_assert(http_client_connect(&again, "127.0.0.1", server.port));
        answered = is_answered(&again);
        http_client_close(&again);
        wait_ms(20);
    }
    ck_assert(answered);
}
END_TEST

/* ---- Suite ---- */

Suite *limits_suite(void)
{
    Suite *suite = suite_create("limits");
    TCase *slow = suite_add_case(suite, "limits_slow", 300, NULL, teardown);
    TCase *connections = suite_add_case(suite, "limits_connections", 300, NULL, teardown);
    TCase *memory = suite_add_case(suite, "limits_memory", 300, NULL, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_set_tags(memory, TAG_SLOW);
    tcase_add_test(slow, limits_slow_headers_time_out);
    tcase_add_test(slow, limits_pipelined_partial_headers_time_out);
    tcase_add_test(slow, limits_unix_sockets_have_the_same_timeouts);
    tcase_add_test(slow, limits_only_idle_connections_are_closed);
    tcase_add_test(slow, limits_bodies_below_minimum_rate_are_closed);
    tcase_add_test(slow, limits_long_bodies_above_minimum_rate_are_accepted);
    tcase_add_test(slow, limits_unread_responses_are_closed);
    tcase_add_test(slow, limits_slowly_read_responses_are_completed);
    tcase_add_test(slow, limits_slow_clients_do_not_delay_others);
    tcase_add_test(slow, limits_rejections_arrive_while_many_connections_linger);
    tcase_add_test(slow, limits_connections_above_maximum_wait);
    tcase_add_test(connections, limits_metrics_connections_do_not_wait);
    tcase_add_test(connections, limits_connections_of_an_address_are_counted);
    tcase_add_test(connections, limits_ipv6_networks_count_as_one_address);
    tcase_add_test(memory, limits_memory_wait_leaves_body_unread);
    tcase_add_test(memory, limits_released_memory_goes_to_waiting_requests);
    tcase_add_test(memory, limits_memory_wait_times_out);
    tcase_add_test(memory, limits_memory_has_a_bounded_queue);
    tcase_add_test(memory, limits_memory_of_slow_bodies_goes_to_waiting_requests);
    tcase_add_test(memory, limits_memory_of_slow_chunked_bodies_goes_to_waiting_requests);
    tcase_add_test(memory, limits_memory_of_slowly_read_responses_goes_to_waiting_requests);
    tcase_add_test(memory, limits_memory_of_slow_bodies_is_freed_for_retries);
    tcase_add_test(memory, limits_memory_is_taken_from_as_few_clients_as_needed);
    tcase_add_test(memory, limits_memory_of_slow_bodies_is_kept_without_waiters);
    tcase_add_test(memory, limits_memory_of_fast_bodies_is_kept);
    tcase_add_test(memory, limits_memory_of_reset_connections_is_released);
    tcase_add_test(memory, limits_memory_of_closed_connections_is_released);
    tcase_add_test(memory, limits_memory_is_not_reserved_for_declared_lengths);
    tcase_add_test(memory, limits_memory_is_not_reserved_for_small_declared_lengths);
    tcase_add_test(memory, limits_memory_suffices_for_all_admitted_requests);
    tcase_add_test(memory, limits_memory_goes_to_waiting_requests_in_order);
    tcase_add_test(memory, limits_memory_above_total_is_413);
    tcase_add_test(memory, limits_memory_is_bounded_for_mixed_large_requests);
    tcase_add_test(memory, limits_sizes_above_32_bits_are_exact);
    TCase *leaving = suite_add_case(suite, "limits_leaving", 300, NULL, teardown);
    TCase *computing = suite_add_case(suite, "limits_computing", 300, NULL, teardown);
    tcase_set_tags(leaving, TAG_SLOW);
    tcase_set_tags(computing, TAG_SLOW);
    tcase_add_test(leaving, limits_reset_cancels_computation);
    tcase_add_test(leaving, limits_half_close_does_not_cancel_computation);
    tcase_add_test(leaving, limits_queued_work_is_cancelled_at_once);
    tcase_add_test(leaving, limits_close_cancels_computation);
    tcase_add_test(leaving, limits_close_of_unix_socket_cancels_computation);
    tcase_add_test(leaving, limits_half_closed_connections_stay_in_the_queue);
    tcase_add_test(leaving, limits_half_close_before_response_is_accepted);
    tcase_add_test(leaving, limits_silent_connections_have_keepalive_probes);
    tcase_add_test(computing, limits_computation_has_a_deadline);
    tcase_add_test(computing, limits_deadline_includes_the_queue);
    tcase_add_test(computing, limits_deadline_includes_the_memory_wait);
    tcase_add_test(computing, limits_clients_can_only_lower_the_deadline);
    tcase_add_test(computing, limits_deadline_can_be_disabled);
    tcase_add_test(computing, limits_timeout_header_is_parsed_strictly);
    tcase_add_test(computing, limits_work_is_rejected_before_decoding);
    tcase_add_test(computing, limits_work_of_several_losses_is_summed);
    tcase_add_test(computing, limits_jobs_alternate_between_clients);
    tcase_add_test(computing, limits_the_queue_has_room_for_every_client);
    tcase_add_test(computing, limits_compression_does_not_wait_for_computations);
    TCase *sizes = suite_add_case(suite, "limits_sizes", 300, NULL, teardown);
    tcase_add_test(sizes, limits_headers_and_targets_have_maximum_sizes);
    tcase_add_test(sizes, limits_default_header_and_target_sizes_are_accepted);
    tcase_add_test(sizes, limits_many_parameters_and_cookies_get_one_response);
    tcase_add_test(sizes, limits_many_headers_are_accepted_in_a_pipeline);
    tcase_add_test(sizes, limits_json_has_a_maximum_depth);
    tcase_add_test(slow, limits_requests_have_a_maximum_rate);
    tcase_add_test(sizes, limits_compute_queue_has_a_maximum_length);
    tcase_add_test(sizes, limits_are_reported);
    tcase_add_test(slow, limits_drain_has_a_timeout);
    tcase_add_test(slow, limits_drain_timeout_cancels_queued_jobs);
    tcase_add_test(slow, limits_drain_finishes_queued_jobs);
    return suite;
}
