/*
 * Tests the memory and the threads of the server during and after requests, through /proc and the
 * socket.
 */
#include "support/server_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "suites.h"
#include "support/tensor_file.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    QUIET_MS = 3500 /* longer than the server caches memory, plus its check interval */
};

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized = true; /* sanitizers use additional memory, which varies */
#else
static const bool sanitized = false;
#endif

static const char mse[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"grad\": true}";

static void setup(void)
{
    start_server(ARGUMENTS("--threads=2", "--io-threads=2"));
}

static void evaluate(const char *body, size_t len, int status)
{
    ck_assert(http_client_ask(&client, "POST", mse_path, NULL, body, len, &response));
    ck_assert_msg(response.status == status, "%s%.1000s", response.head, response.body);
}

/* Memory of the server; see server_process.h. */
static size_t memory(const char *what)
{
    return server_process_memory(&server, what);
}

static void forget_peak(void)
{
    server_process_forget_peak(&server);
}

/* Returns an mse request with two tensors of `numbers` numbers, each as long as Python writes
 * doubles; the caller frees it. */
static char *large_body(size_t numbers, size_t *len)
{
    char *body = malloc(numbers * 44 + 256), *to = body;
    ck_assert_ptr_nonnull(body);
    for (int tensor = 0; tensor < 2; tensor++) {
        to = stpcpy(to, tensor == 0 ? "{\"input\": [" : "], \"target\": [");
        for (size_t i = 0; i < numbers; i++)
            to += sprintf(to, "%s0.%06zu5773502691%d", i ? ", " : "", i * 7919 % 1000000, tensor);
    }
    to = stpcpy(to, "], \"grad\": true}");
    *len = (size_t)(to - body);
    return body;
}

/* Sends a complete body in chunks, even if a response arrives earlier. */
static void ask_chunked(const char *body, size_t len, int status)
{
    char head[32];
    ck_assert(http_client_send_text(
        &client,
        "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (size_t at = 0, size; at < len; at += size) {
        size = len - at < 100000 ? len - at : 100000;
        snprintf(head, sizeof head, "%zx\r\n", size);
        ck_assert(http_client_send_text(&client, head) &&
                  http_client_send(&client, body + at, size) &&
                  http_client_send_text(&client, "\r\n"));
    }
    ck_assert(http_client_send_text(&client, "0\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == status, "%s%.1000s", response.head, response.body);
}

enum { NUMBERS = 1100000 }; /* bodies of 50 MB */

/* ---- Memory ---- */

START_TEST(memory_is_bounded_by_body_numbers_and_response)
{
    if (sanitized)
        return;
    size_t len;
    char *body = large_body(NUMBERS, &len);
    evaluate(mse, strlen(mse), 200);
    forget_peak();
    const size_t idle = memory("VmHWM:");
    for (int i = 0; i < 8; i++) { /* the next request uses the cached blocks */
        /* The buffer of a chunked body grows, and leaves partly written blocks in the cache. */
        const bool chunked = i % 4 >= 2;
        if (chunked)
            ask_chunked(body, len, 200);
        else
            evaluate(body, len, 200);
        const size_t used = memory("VmHWM:") - idle,
                     needed = len + 4 * 2 * (size_t)NUMBERS + response.body_len;
        const size_t allowed = i < 2 ? needed / 10 * 11 : needed / 4 * 5;
        ck_assert_msg(used <= allowed, "request %d takes %zu bytes; the limit is %zu", i + 1, used,
                      allowed);
    }
    free(body);
}
END_TEST

/* The data are not copied, whether aligned or not. */
START_TEST(memory_of_binary_request_is_body_and_response)
{
    if (sanitized)
        return;
    enum { COUNT = 4 * 1000 * 1000 };
    float *const numbers = calloc(COUNT, sizeof *numbers);
    ck_assert_ptr_nonnull(numbers);
    evaluate(mse, strlen(mse), 200);
    forget_peak();
    const size_t idle = memory("VmHWM:");
    for (size_t spaces = 0; spaces < 4; spaces++) {
        struct tensor_file file = {{0}, {0}};
        tensor_file_add(&file, "input", "F32", "4000000", numbers, COUNT * sizeof *numbers);
        tensor_file_add(&file, "target", "F32", "4000000", numbers, COUNT * sizeof *numbers);
        struct buffer body = tensor_file_end(&file, spaces);
        ck_assert(http_client_ask(&client, "POST", "/v1/losses/mse?grad=true",
                                  "Content-Type: application/vnd.safetensors\r\n", body.data,
                                  body.len, &response));
        ck_assert_int_eq(response.status, 200);
        const size_t used = memory("VmHWM:") - idle,
                     allowed = (body.len + response.body_len) / 20 * 21;
        ck_assert_msg(used <= allowed, "%zu spaces: takes %zu bytes; the limit is %zu", spaces,
                      used, allowed);
        buffer_free(&body);
    }
    free(numbers);
}
END_TEST

START_TEST(memory_is_returned_when_idle)
{
    if (sanitized)
        return;
    size_t len;
    char *body = large_body(NUMBERS, &len);
    evaluate(mse, strlen(mse), 200);
    const size_t idle = memory("VmRSS:");
    for (int i = 0; i < 3; i++)
        evaluate(body, len, 200);
    ck_assert_msg(memory("VmRSS:") > idle + len, "no memory was cached");
    wait_ms(QUIET_MS);
    const size_t after = memory("VmRSS:");
    ck_assert_msg(after < idle + 4 * MIB, "%zu bytes were resident before, %zu after", idle, after);
    evaluate(body, len, 200);
    free(body);
}
END_TEST

START_TEST(memory_of_disconnected_clients_is_released)
{
    if (sanitized)
        return;
    enum { CLIENTS = 4 };
    struct http_client leaving[CLIENTS];
    char *body = calloc(1, 10 * MIB);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', 10 * MIB);
    evaluate(mse, strlen(mse), 200);
    const size_t idle = memory("VmRSS:");
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert(http_client_connect(&leaving[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(
            &leaving[i],
            "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"));
        ck_assert(http_client_send(&leaving[i], body, 10 * MIB));
    }
    for (int i = 0; i < CLIENTS; i++)
        http_client_close(&leaving[i]);
    wait_ms(QUIET_MS + 1000); /* the server detects a disconnected client within half a second */
    const size_t after = memory("VmRSS:");
    ck_assert_msg(after < idle + 4 * MIB, "%zu bytes were resident before, %zu after", idle, after);
    free(body);
}
END_TEST

START_TEST(memory_is_not_allocated_for_declared_lengths)
{
    if (sanitized)
        return;
    enum { CLIENTS = 20, PROMISED = 500000000, SENT = 40000 };
    struct http_client promising[CLIENTS];
    char head[128];
    static char part[SENT];
    size_t len;
    char *body = large_body(NUMBERS, &len);
    evaluate(body, len, 200);
    wait_ms(QUIET_MS);
    const size_t idle = memory("VmRSS:");
    evaluate(body, len, 200); /* leaves cached memory, which the requests below must not keep */
    memset(part, ' ', sizeof part);
    snprintf(head, sizeof head,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n",
             PROMISED);
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert(http_client_connect(&promising[i], "127.0.0.1", server.port));
        ck_assert(http_client_send_text(&promising[i], head));
        ck_assert(http_client_send(&promising[i], part, sizeof part));
    }
    wait_ms(QUIET_MS);
    const size_t after = memory("VmRSS:");
    ck_assert_msg(after < idle + CLIENTS * 256 * KIB + 4 * MIB,
                  "%zu bytes were resident before, %zu after", idle, after);
    for (int i = 0; i < CLIENTS; i++)
        http_client_close(&promising[i]);
    free(body);
}
END_TEST

START_TEST(memory_shortage_gives_503_and_recovers)
{
    if (sanitized)
        return;
    size_t len, small_len;
    char *body = large_body(NUMBERS, &len), *small = large_body(20000, &small_len);
    evaluate(small, small_len, 200);
    const size_t now = memory("VmSize:");
    /* Memory for nothing; for the body, but not for its numbers; for a part of the growing body. */
    const size_t room[] = {4 * MIB, len + 8 * MIB, len / 2};
    for (size_t i = 0; i < sizeof room / sizeof room[0]; i++) {
        struct rlimit old;
        ck_assert_int_eq(prlimit(server.pid, RLIMIT_AS, NULL, &old), 0);
        struct rlimit tight = {.rlim_cur = now + room[i], .rlim_max = old.rlim_max};
        ck_assert_int_eq(prlimit(server.pid, RLIMIT_AS, &tight, NULL), 0);
        evaluate(body, len, 503);
        ck_assert_ptr_nonnull(strstr(response.body, "memory"));
        ck_assert_ptr_nonnull(strstr(response.head, "Retry-After"));
        ask_chunked(body, len, 503);
        evaluate(small, small_len, 200);
        ck_assert_int_eq(prlimit(server.pid, RLIMIT_AS, &old, NULL), 0);
        evaluate(body, len, 200);
        ask_chunked(body, len, 200);
        wait_ms(QUIET_MS); /* otherwise cached memory would suffice for the next request */
    }
    free(body);
    free(small);
}
END_TEST

START_TEST(memory_reuse_gives_the_same_results)
{
    /* Bodies and operands of many sizes in cached blocks of other sizes. */
    static const size_t numbers[] = {3000, 300000, 10000, 100000, 150000, 5000, 299999, 70000};
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            size_t len, first_len;
            char *body = large_body(numbers[i], &len);
            evaluate(body, len, 200);
            char *first = response.body;
            first_len = response.body_len;
            response.body = NULL;
            ask_chunked(body, len, 200);
            ck_assert_uint_eq(response.body_len, first_len);
            ck_assert_mem_eq(response.body, first, first_len);
            free(first);
            free(body);
        }
    }
}
END_TEST

/* ---- Threads ---- */

/* Returns the value of a variable in the initial environment of the server, or NULL if it is not
   set; the caller frees it. */
static char *environment(const char *name)
{
    size_t len, name_len = strlen(name);
    char *all = server_process_file(&server, "environ", &len), *value = NULL;
    for (const char *at = all; at < all + len; at += strlen(at) + 1)
        if (strncmp(at, name, name_len) == 0 && at[name_len] == '=')
            value = strdup(at + name_len + 1);
    free(all);
    return value;
}

START_TEST(idle_threads_sleep_by_default)
{
    /* libgomp reads OMP_WAIT_POLICY before main, so the initial environment counts. */
    static const char *const given[] = {NULL, "active"}, *const expected[] = {"passive", "active"};
    for (int i = 0; i < 2; i++) {
        size_t len;
        if (given[i])
            setenv("OMP_WAIT_POLICY", given[i], 1);
        else
            unsetenv("OMP_WAIT_POLICY");
        unsetenv("GOMP_SPINCOUNT");
        setup();
        char *policy = environment("OMP_WAIT_POLICY"),
             *name = server_process_file(&server, "comm", &len);
        ck_assert_ptr_nonnull(policy);
        ck_assert_str_eq(policy, expected[i]);
        ck_assert_str_eq(name, "lossd\n");
        free(policy);
        free(name);
        evaluate(mse, strlen(mse), 200);
        end_server();
    }
}
END_TEST

/* ---- Suite ---- */

Suite *memory_suite(void)
{
    Suite *suite = suite_create("memory");
    TCase *served = tcase_create("memory_served"), *threads = tcase_create("memory_threads");
    tcase_set_timeout(served, 120);
    tcase_set_tags(served, TAG_SLOW);
    tcase_add_checked_fixture(served, setup, end_server);
    CASE_ADD(served, memory_is_bounded_by_body_numbers_and_response,
             memory_of_binary_request_is_body_and_response, memory_is_returned_when_idle,
             memory_of_disconnected_clients_is_released,
             memory_is_not_allocated_for_declared_lengths, memory_shortage_gives_503_and_recovers,
             memory_reuse_gives_the_same_results);
    suite_add_tcase(suite, served);
    tcase_set_timeout(threads, 120);
    CASE_ADD(threads, idle_threads_sleep_by_default);
    suite_add_tcase(suite, threads);
    return suite;
}
