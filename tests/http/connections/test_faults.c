/*
 * Tests the server when allocations, threads or sockets fail. A preloaded library (faults.h) makes
 * each call fail in turn, or all calls from one on, while a request of each kind is served. That
 * request must get its usual response or 503, or be dropped; the next one must get exactly the
 * expected response; and nothing may leak. In sanitized builds the sanitizer finds the leaks.
 *
 * FAULTS=all makes every call fail (make check-faults). Otherwise, if a request makes many calls,
 * the first ones and a sample of the rest fail.
 */
#include "fault_requests.h"
#include "routes/openapi_endpoint.h"
#include "suites.h"
#include "support/fault_library.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "support/wait.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_CALLS = 12, SAMPLE = 5, SETTLE_MS = 30000 };

static struct server_process server;

static struct http_client client;

static struct http_response response;

static struct faults *faults;

static size_t idle_files; /* descriptors of the server without clients */

/* ---- Server ---- */

static size_t count_files(void)
{
    char path[64];
    size_t count = 0;
    for (int fd = 0; fd < 512; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)server.pid, fd);
        count += access(path, F_OK) == 0;
    }
    return count;
}

static const char *const arguments[] = {"--log-level=error", "--threads=2", "--io-threads=2", NULL};

static void setup(void)
{
    faults = fault_library_begin();
    server_process_start(&server, arguments);
    ck_assert_msg(atomic_load(&faults->blocks) > 0, "the library is not in the server");
    idle_files = count_files();
    client.fd = -1;
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
    fault_library_end();
}

/* Counts calls of these kinds from now on. Call number `first` fails, and all later ones too if
 * `all`. */
static void arm(unsigned kinds, unsigned long long first, bool all)
{
    atomic_store(&faults->kinds, 0);
    atomic_store(&faults->calls, 0);
    atomic_store(&faults->faults, 0);
    atomic_store(&faults->first, first);
    atomic_store(&faults->all, all);
    atomic_store(&faults->kinds, kinds);
}

/* Returns the number of failed calls. */
static unsigned long long disarm(void)
{
    atomic_store(&faults->kinds, 0);
    return atomic_load(&faults->faults);
}

/* ---- Client ---- */

static void ensure_connected(void)
{
    if (client.fd >= 0 || http_client_connect(&client, "127.0.0.1", server.port))
        return;
    char *const log = server_process_log(&server);
    ck_abort_msg("the server has exited; its log: %.2000s", log);
}

/* Returns true if the server has closed or reset the connection. */
static bool is_closed(void)
{
    char byte;
    const ssize_t got = recv(client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

/* Sends a request and reads the response. Returns false if the server closes the connection
 * instead. */
static bool try_ask(const struct fault_request *ask)
{
    ensure_connected();
    const bool sent = http_client_send(&client, ask->text.data, ask->text.len);
    const bool answered = http_client_read(&client, &response, ask->head);
    char close[16];
    if (!answered) {
        ck_assert_msg(!sent || is_closed(), "%s: neither response nor close", ask->name);
        http_client_close(&client);
    } else if (http_response_header(&response, "Connection", close, sizeof close)) {
        http_client_close(&client);
    }
    return answered;
}

/* Closes the connection, and waits until the server has closed its end. After that, the server
   makes no more library calls for this connection. */
static void leave(void)
{
    http_client_close(&client);
    for (int waited = 0; count_files() > idle_files; waited++) {
        ck_assert_msg(waited < SETTLE_MS, "%zu descriptors are open, expected %zu", count_files(),
                      idle_files);
        wait_ms(1);
    }
}

static bool body_is(const struct buffer *body)
{
    return response.body_len == body->len &&
           (body->len == 0 || memcmp(response.body, body->data, body->len) == 0);
}

static bool is_right(const struct fault_request *ask)
{
    if (response.status != ask->status)
        return false;
    if (ask->status >= 400 && response.body_len == 0) /* no memory for a longer response */
        return true;
    return ask->varies || body_is(&ask->answer) || (ask->other.data && body_is(&ask->other));
}

/* Returns true if the response is a complete 503, or only its status line if there was no memory
 * for more. */
static bool is_unavailable(const struct fault_request *ask)
{
    if (response.status != 503)
        return false;
    if (ask->head || response.body_len == 0)
        return true;
    json_t *const tree = json_loadb(response.body, response.body_len, 0, NULL);
    const bool sound = tree && (json_integer_value(json_object_get(tree, "status")) == 503 ||
                                json_object_get(tree, "error"));
    json_decref(tree);
    return sound;
}

/* The maximum number of response bytes in messages. */
static int shown(void)
{
    return (int)(response.body_len < 2000 ? response.body_len : 2000);
}

/* Sends a request without faults, which must get its usual response. */
static void expect_right(const struct fault_request *ask, const char *when)
{
    ck_assert_msg(try_ask(ask), "%s, %s: no response", ask->name, when);
    ck_assert_msg(is_right(ask), "%s, %s: %s%.*s", ask->name, when, response.head, shown(),
                  response.body);
}

/* Records the response without compression, which is also right if compression fails. */
static void learn_other(struct fault_request *ask)
{
    char *const accept =
        memmem(ask->text.data, ask->text.len, "Accept-Encoding", strlen("Accept-Encoding"));
    char *const strict =
        memmem(ask->text.data, ask->text.len, "identity;q=0", strlen("identity;q=0"));
    if (!accept || strict)
        return;
    *accept = 'X'; /* an unknown header */
    ck_assert(try_ask(ask));
    *accept = 'A';
    buffer_append(&ask->other, response.body, response.body_len);
}

static void learn(struct fault_request *ask)
{
    ck_assert_msg(try_ask(ask), "%s: no response", ask->name);
    ck_assert_msg(response.status != 503, "%s: %s", ask->name, response.head);
    ask->status = response.status;
    buffer_append(&ask->answer, response.body, response.body_len);
    learn_other(ask);
    expect_right(ask, "again");
}

static void add_all(void)
{
    fault_requests_add_all();
    for (size_t i = 0; i < fault_request_count; i++)
        learn(&fault_requests[i]);
}

/* ---- Leaks ---- */

struct holdings {
    long long blocks;
    size_t files;
};

static struct holdings holdings_now(void)
{
    return (struct holdings){atomic_load(&faults->blocks), count_files()};
}

/* Closes the connection and waits until the server uses no more than before. Lingering connections
 * can delay this. */
static void expect_nothing_left(const struct holdings *before, const char *name)
{
    struct holdings now;
    http_client_close(&client);
    for (int waited = 0; waited < SETTLE_MS; waited += 10) {
        now = holdings_now();
        if (now.blocks <= before->blocks && now.files <= before->files)
            return;
        wait_ms(10);
    }
    ck_abort_msg("%s: %lld memory blocks and %zu descriptors remain, expected %lld and %zu", name,
                 now.blocks, now.files, before->blocks, before->files);
}

/* Sends a request and closes its connection. Returns what the server uses after that. */
static struct holdings settle(const struct fault_request *ask)
{
    struct holdings last, now;
    expect_right(ask, "settling");
    http_client_close(&client);
    now = holdings_now();
    do {
        last = now;
        wait_ms(30);
        now = holdings_now();
    } while (now.blocks < last.blocks || now.files < last.files);
    return now;
}

/* ---- Faults ---- */

/* The number of faults by result. */
struct tally {
    unsigned long long faults, right, unavailable, dropped;
};

/* The way in which calls fail. */
struct failing {
    unsigned kinds;
    int error;
    bool all;   /* all calls after the selected one too */
    bool fresh; /* the request uses a new connection, whose calls count too */
};

/* Sends the request while call number `call` fails, if it is made, and counts the result. */
static void meet(const struct fault_request *ask, unsigned long long call,
                 const struct failing *failing, struct tally *tally)
{
    if (failing->fresh)
        leave();
    else
        ensure_connected();
    arm(failing->kinds, call, failing->all);
    const bool answered = try_ask(ask);
    if (failing->fresh)
        leave();
    tally->faults += disarm();
    if (!answered)
        tally->dropped++;
    else if (is_right(ask))
        tally->right++;
    else if (is_unavailable(ask))
        tally->unavailable++;
    else
        ck_abort_msg("%s, call %llu%s fails: %s%.*s", ask->name, call,
                     failing->all ? " and all after it" : "", response.head, shown(),
                     response.body);
}

static bool is_thorough(void)
{
    const char *const which = getenv("FAULTS");
    return which && strcmp(which, "all") == 0;
}

/* Returns the next call to fail. */
static unsigned long long next_call(unsigned long long call)
{
    return is_thorough() || call < FIRST_CALLS ? call + 1 : call + call / SAMPLE;
}

/* Makes each call of a request fail in turn, until the request makes no more calls. */
static void fail_each(const struct fault_request *ask, const struct failing *failing,
                      struct tally *tally)
{
    unsigned long long injected = 1;
    atomic_store(&faults->error, failing->error);
    for (unsigned long long call = 1; injected > 0; call = next_call(call)) {
        const unsigned long long before = tally->faults;
        meet(ask, call, failing, tally);
        injected = tally->faults - before;
        expect_right(ask, "next");
    }
}

/* Checks that the test injected at least `min_faults` faults. Without any, it would always pass. */
static void expect_faults(const struct tally *tally, unsigned long long min_faults)
{
    ck_assert_msg(tally->faults >= min_faults, "only %llu faults occurred", tally->faults);
    ck_assert_uint_gt(tally->right, 0);
    if (getenv("FAULTS_TRACE") || is_thorough())
        printf("%llu calls failed; usual response: %llu, 503: %llu, dropped: %llu\n", tally->faults,
               tally->right, tally->unavailable, tally->dropped);
}

START_TEST(failed_allocation_gives_result_503_or_close)
{
    struct tally tally = {0};
    add_all();
    for (size_t i = 0; i < fault_request_count; i++) {
        const struct holdings before = settle(&fault_requests[i]);
        for (int all = 0; all < 2; all++)
            fail_each(&fault_requests[i],
                      &(struct failing){.kinds = FAULT_MEMORY, .error = ENOMEM, .all = all},
                      &tally);
        expect_nothing_left(&before, fault_requests[i].name);
    }
    expect_faults(&tally, 20 * fault_request_count);
    ck_assert_uint_gt(tally.unavailable, 5 * fault_request_count);
    fault_requests_free();
}
END_TEST

/* Starts a new server, which has not made the OpenAPI document yet. */
static void restart(void)
{
    http_client_close(&client);
    server_process_end(&server);
    server_process_start(&server, arguments);
}

/* The OpenAPI document is made once, with many allocations, and kept. It must be complete, and a
 * failed attempt must not leak. */
START_TEST(failed_allocation_leaves_document_complete_or_absent)
{
    struct tally tally = {0};
    struct response whole = {.status = 0};
    document_respond(&whole);
    ck_assert_int_eq(whole.status, 200);
    fault_request_get("/healthz");
    learn(&fault_requests[0]);
    fault_request_get("/openapi.json");
    fault_requests[1].status = whole.status;
    fault_requests[1].answer = whole.body;
    atomic_store(&faults->error, ENOMEM);
    const unsigned long long finer =
        is_thorough() ? 100 : SAMPLE; /* every call would take half an hour */
    unsigned long long injected = 1;
    for (unsigned long long call = 1; injected > 0; call += 1 + call / finer) {
        const struct holdings before = settle(&fault_requests[0]);
        const struct tally so_far = tally;
        meet(&fault_requests[1], call, &(struct failing){.kinds = FAULT_MEMORY}, &tally);
        injected = tally.faults - so_far.faults;
        if (tally.right == so_far.right)
            expect_nothing_left(&before, "no document");
        else if (injected > 0)
            restart();
    }
    ck_assert_uint_gt(tally.unavailable, 20);
    expect_right(&fault_requests[1], "at last");
    expect_faults(&tally, 40);
    fault_requests_free();
}
END_TEST

/* The errors that the kernel can return for each call. Calls that wait fail only one at a time: if
 * all fail, the server can only try again. It also tries accept again until the call succeeds. */
static const struct {
    unsigned kinds;
    bool all;
    int errors[8];
} failures[] = {
    {FAULT_MEMORY, false, {ENOMEM}},
    {FAULT_MEMORY, true, {ENOMEM}},
    {FAULT_ACCEPT, false, {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EINTR, EPERM, EPROTO}},
    {FAULT_SEND, false, {EPIPE, ECONNRESET, ENOBUFS, ETIMEDOUT}},
    {FAULT_SEND, true, {EPIPE, ENOBUFS}},
    {FAULT_RECEIVE, false, {ECONNRESET, ETIMEDOUT, ENOMEM}},
    {FAULT_RECEIVE, true, {ECONNRESET}},
    {FAULT_EPOLL, false, {ENOMEM, ENOSPC}},
    {FAULT_EPOLL, true, {ENOMEM}},
    {FAULT_WAIT, false, {EINTR}},
    {FAULT_DUPLICATE, true, {EMFILE}},
    {FAULT_SOCKET, true, {ENOBUFS}},
};

/* Requests with different use of the connection: a small one, one with a long response, one that
 * the executor computes, one that is closed with unread bytes of its body. */
static void add_few(void)
{
    struct buffer body = fault_request_numbers(",\"grad\":true", FAULT_NUMBERS);
    fault_request_get("/v1/losses");
    fault_request_post("small", MSE, "", JSON);
    fault_request_add("large", "POST", MSE, "", body.data, body.len);
    fault_request_add("unread", "POST", MSE, "Content-Type: image/png\r\n", body.data, body.len);
    buffer_free(&body);
    for (size_t i = 0; i < fault_request_count; i++)
        learn(&fault_requests[i]);
}

START_TEST(failed_socket_call_affects_one_connection)
{
    struct tally tally = {0};
    add_few();
    for (size_t i = 0; i < fault_request_count; i++) {
        const struct holdings before = settle(&fault_requests[i]);
        for (size_t f = 0; f < sizeof failures / sizeof failures[0]; f++) {
            const unsigned long long injected = tally.faults;
            for (const int *error = failures[f].errors; error < failures[f].errors + 8 && *error;
                 error++)
                fail_each(
                    &fault_requests[i],
                    &(struct failing){failures[f].kinds, *error, failures[f].all, .fresh = true},
                    &tally);
            ck_assert_msg(tally.faults > injected || failures[f].kinds == FAULT_DUPLICATE,
                          "%s: calls of kind %x are not made", fault_requests[i].name,
                          failures[f].kinds);
        }
        expect_nothing_left(&before, fault_requests[i].name);
    }
    expect_faults(&tally, 200);
    fault_requests_free();
}
END_TEST

/* ---- Start-up ---- */

/* The server started in spite of the fault: it must serve. */
static void expect_service(void)
{
    disarm();
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(http_client_ask(&client, "POST", MSE, NULL, JSON, strlen(JSON), &response));
    ck_assert_int_eq(response.status, 200);
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}

/* The server did not start: it must print the reason and exit by itself. */
static void expect_reason(int code, unsigned long long call)
{
    char *const log = server_process_log(&server);
    /* libgomp's message begins with an empty line. */
    char *const line = log + strspn(log, "\n");
    ck_assert_msg(code == 1 || code == 2, "call %llu: exited with %d: %s", call, code, log);
    ck_assert_msg(strlen(line) > 10 && strchr(line, '\n') == line + strlen(line) - 1,
                  "call %llu: not one line: '%s'", call, log);
    free(log);
}

/* Starts the server repeatedly; each call fails in turn. Returns the number of failed starts. */
static int fail_starts(unsigned kinds, int error, unsigned long long *injected)
{
    int failed = 0;
    unsigned long long before = 0;
    atomic_store(&faults->error, error);
    for (unsigned long long call = 1; call == 1 || *injected > before; call++) {
        int code;
        before = *injected;
        arm(kinds, call, false);
        if (server_process_try(&server, arguments, &code)) {
            *injected += disarm();
            expect_service();
        } else {
            *injected += disarm();
            expect_reason(code, call);
            failed++;
        }
        server_process_free(&server);
    }
    return failed;
}

START_TEST(failed_call_at_start_prints_one_line_and_exits)
{
    unsigned long long injected = 0;
    faults = fault_library_begin();
    ck_assert_int_gt(fail_starts(FAULT_THREAD, EAGAIN, &injected), 6);
    ck_assert_int_gt(fail_starts(FAULT_EVENT, EMFILE, &injected), 4);
    ck_assert_int_gt(fail_starts(FAULT_SOCKET, ENOBUFS, &injected), 2);
    /* Libraries tolerate many of these faults. */
    ck_assert_int_gt(fail_starts(FAULT_MEMORY, ENOMEM, &injected), 2);
    ck_assert_uint_ge(injected, 60);
    fault_library_end();
}
END_TEST

/* ---- Suite ---- */

/* Adds a test case that may take minutes. */
static TCase *add_slow_case(Suite *suite, const char *name, SFun set_up, SFun tear_down)
{
    TCase *const tcase = suite_add_case(suite, name, 900, set_up, tear_down);
    tcase_set_tags(tcase, TAG_SLOW);
    return tcase;
}

Suite *faults_suite(void)
{
    Suite *suite = suite_create("faults");
    CASE_ADD(add_slow_case(suite, "faults_served", setup, teardown),
             failed_allocation_gives_result_503_or_close,
             failed_socket_call_affects_one_connection);
    CASE_ADD(add_slow_case(suite, "faults_document", setup, teardown),
             failed_allocation_leaves_document_complete_or_absent);
    CASE_ADD(add_slow_case(suite, "faults_start", NULL, NULL),
             failed_call_at_start_prints_one_line_and_exits);
    return suite;
}
