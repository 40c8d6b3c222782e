/*
 * Tests the server when allocations, threads or sockets fail. A preloaded library (faults.h) makes
 * each call fail in turn, or all calls from one on, while a request of each kind is served. That
 * request must get its usual response or 503, or be dropped; the next one must get exactly the
 * expected response; and nothing may leak. In sanitized builds the sanitizer finds the leaks.
 *
 * FAULTS=all makes every call fail (make check-faults). Otherwise, if a request makes many calls,
 * the first ones and a sample of the rest fail.
 */
#include "content/compress.h"
#include "routes/openapi_endpoint.h"
#include "suites.h"
#include "support/fault_library.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "support/tensor_file.h"
#include "json/base64.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ASKS = 128, NAME = 64, FIRST_CALLS = 12, SAMPLE = 5, SETTLE_MS = 30000 };

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

static void wait_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
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

/* ---- Requests ---- */

struct ask {
    char name[NAME];
    struct buffer text; /* the whole request */
    bool head;
    bool varies; /* the response is not the same each time */
    int status;
    struct buffer answer, other; /* valid bodies: without faults, and without compression */
};

static struct ask asks[ASKS];
static size_t ask_count;

static struct ask *add(const char *name, const char *method, const char *path, const char *headers,
                       const void *body, size_t len)
{
    ck_assert_uint_lt(ask_count, ASKS);
    struct ask *const ask = &asks[ask_count++];
    *ask = (struct ask){.head = strcmp(method, "HEAD") == 0};
    snprintf(ask->name, NAME, "%s", name);
    buffer_printf(&ask->text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, headers);
    if (body)
        buffer_printf(&ask->text, "Content-Length: %zu\r\n", len);
    buffer_text(&ask->text, "\r\n");
    if (body)
        buffer_append(&ask->text, body, len);
    ck_assert(!ask->text.failed);
    return ask;
}

static void get(const char *path)
{
    add(path, "GET", path, "", NULL, 0);
}

static void get_varying(const char *path)
{
    add(path, "GET", path, "", NULL, 0)->varies = true;
}

static void post(const char *name, const char *path, const char *headers, const char *body)
{
    add(name, "POST", path, headers, body, strlen(body));
}

#define MSE  "/v1/losses/mse"
#define JSON "{\"input\":[[1,2.5],[3,\"NaN\"]],\"target\":[[1,2],[5,0.1]],\"grad\":true}"

static void add_gets(void)
{
    static const char *const paths[] = {"/",
                                        "/healthz",
                                        "/readyz",
                                        "/v1/losses",
                                        "/v1/losses/cross_entropy",
                                        "/openapi.json",
                                        "/docs",
                                        "/v2",
                                        "/v2/health/live",
                                        "/v2/health/ready",
                                        "/v2/models/mse",
                                        "/v2/models/mse/ready",
                                        "/v2/models/mse/config",
                                        "/v2/models/mse/versions/1",
                                        "/nowhere",
                                        "/v1/losses/mze",
                                        "/v1/losses?a=b&c=d",
                                        "/v1/losses/%6dse",
                                        "/a%2fb",
                                        "/v2/models/none"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        get(paths[i]);
    get_varying("/metrics");
    get_varying("/v2/models/mse/stats");
    get_varying("/v2/models/stats");
    add("HEAD", "HEAD", "/v1/losses", "", NULL, 0);
    add("OPTIONS", "OPTIONS", MSE, "", NULL, 0);
    add("PUT", "PUT", "/healthz", "", "x", 1);
    add("list in gzip", "GET", "/v1/losses", "Accept-Encoding: gzip\r\n", NULL, 0);
    add("list in zstd", "GET", "/v1/losses", "Accept-Encoding: zstd\r\n", NULL, 0);
    add("list in deflate and nothing else", "GET", "/v1/losses",
        "Accept-Encoding: deflate, identity;q=0\r\n", NULL, 0);
    post("index", "/v2/repository/index", "", "{}");
    post("load", "/v2/repository/models/mse/load", "", "{}");
}

static void add_json(void)
{
    post("nested", MSE, "", JSON);
    post("flat", MSE, "",
         "{\"input\":{\"shape\":[2,2],\"data\":[1,2,3,4]},\"target\":{\"shape\":[2,2],\"dtype\":"
         "\"float64\",\"data\":[0,0,0,0]},"
         "\"dtype\":\"float64\",\"grad\":true,\"reduction\":\"none\"}");
    post("base64", MSE, "",
         "{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAL8=\","
         "\"encoding\":\"base64\"}},"
         "\"target\":[1,0],\"grad\":true}");
    post("arguments", "/v1/losses/cross_entropy", "",
         "{\"input\":[[0.2,0.8],[0.9,0.1],[0.5,0.5]],\"target\":[1,0,-100],\"weight\":[1,2],"
         "\"label_smoothing\":0.1,"
         "\"grad\":[\"input\"],\"sample_weight\":[1,2,3],\"grad_output\":2}");
    post("rows", "/v1/losses/ctc", "",
         "{\"log_probs\":[[[-1,-2,-0.5]],[[-1,-1,-1]]],\"targets\":[[1]],\"input_lengths\":[2],"
         "\"target_lengths\":[1],\"grad\":"
         "true}");
    post("hessian", "/v1/losses/bce_with_logits", "",
         "{\"input\":[0.3,-1.2,2],\"target\":[1,0,1],\"sample_weight\":[1,2,0.5],\"reduction\":"
         "\"sum\",\"grad\":true,\"hess\":"
         "true}");
    post("escapes", MSE, "", "{\"inp\\u0075t\":[1],\"target\":[2],\"reduction\":\"s\\u0075m\"}");
    post("several", "/v1/evaluate", "",
         "{\"input\":[0.5,2],\"target\":[1,0],\"losses\":[\"mse\",{\"loss\":\"huber\",\"delta\":0."
         "5,\"grad\":true},\"l1\"],"
         "\"reduction\":\"sum\"}");
    post("in gzip", MSE, "Accept-Encoding: gzip, identity;q=0\r\n", JSON);
    /* and invalid requests */
    post("not JSON", MSE, "", "{\"input\": [1, 2");
    post("unknown field", MSE, "", "{\"inputs\":[1],\"target\":[1]}");
    post("wrong type", "/v1/losses/huber", "", "{\"input\":[1],\"target\":[1],\"delta\":[1]}");
    post("number too long", "/v1/losses/huber", "",
         "{\"input\":[1],\"target\":[1],\"delta\":1e999}");
    post("bad grad", MSE, "", "{\"input\":[1],\"target\":[1],\"grad\":[\"x\"]}");
    post("shapes", MSE, "", "{\"input\":[1,2,3],\"target\":[1,2]}");
    post("class", "/v1/losses/cross_entropy", "", "{\"input\":[[0.2,0.8]],\"target\":[2]}");
    post("several, one bad", "/v1/evaluate", "",
         "{\"input\":[1],\"target\":[2],\"losses\":[\"mse\",{\"loss\":\"huber\",\"delta\":-1}]}");
    post("image", MSE, "Content-Type: image/png\r\n", "x");
    post("not acceptable", MSE, "Accept: image/png\r\n", JSON);
    post("method", "/v1/losses", "", "{}");
}

/* Returns JSON with two tensors of `count` numbers. */
static struct buffer numbers(const char *more, size_t count)
{
    struct buffer body = {0};
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_text(&body, tensor == 0 ? "{\"input\":[" : "],\"target\":[");
        for (size_t i = 0; i < count; i++)
            buffer_printf(&body, "%s%zu.%d", i == 0 ? "" : ",", i * 7919 % 1000, tensor);
    }
    buffer_printf(&body, "]%s}", more);
    ck_assert(!body.failed);
    return body;
}

enum { LARGE = 40000 };

static void add_chunked(const char *name, const char *path, const char *headers,
                        const struct buffer *body)
{
    struct ask *const ask = add(name, "POST", path, headers, NULL, 0);
    ask->text.len -= 2;
    buffer_text(&ask->text, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, size; at < body->len; at += size) {
        size = body->len - at < 50000 ? body->len - at : 50000;
        buffer_printf(&ask->text, "%zx\r\n", size);
        buffer_append(&ask->text, body->data + at, size);
        buffer_text(&ask->text, "\r\n");
    }
    buffer_text(&ask->text, "0\r\n\r\n");
}

static void add_compressed(const char *name, enum coding coding, const char *headers,
                           const struct buffer *body)
{
    struct buffer compressed = {0};
    char more[128];
    ck_assert(compress_bytes(coding, body->data, body->len, 1, &compressed));
    snprintf(more, sizeof more, "Content-Encoding: %s\r\n%s", coding_name(coding), headers);
    add(name, "POST", MSE, more, compressed.data, compressed.len);
    buffer_free(&compressed);
}

static void add_large(void)
{
    struct buffer body = numbers(",\"grad\":true", LARGE), small = numbers("", 10);
    struct buffer several =
        numbers(",\"losses\":[\"mse\",\"l1\",{\"loss\":\"huber\",\"grad\":true}]", LARGE);
    add("large", "POST", MSE, "", body.data, body.len);
    add("large in gzip", "POST", MSE, "Accept-Encoding: gzip\r\n", body.data, body.len);
    add("large in zstd", "POST", MSE, "Accept-Encoding: zstd\r\n", body.data, body.len);
    add("large, several", "POST", "/v1/evaluate", "", several.data, several.len);
    add_chunked("chunked", MSE, "", &small);
    add_chunked("large, chunked", MSE, "", &body);
    add_compressed("gzip", CODING_GZIP, "", &small);
    add_compressed("deflate", CODING_DEFLATE, "", &small);
    add_compressed("zstd", CODING_ZSTD, "", &small);
    add_compressed("large gzip", CODING_GZIP, "", &body);
    add_compressed("large zstd in zstd", CODING_ZSTD, "Accept-Encoding: zstd\r\n", &body);
    buffer_free(&body);
    buffer_free(&small);
    buffer_free(&several);
}

static void add_safetensors(const char *name, const char *path, const char *headers, size_t count)
{
    static float values[LARGE];
    struct tensor_file file = {{0}, {0}};
    char shape[32], more[160];
    for (size_t i = 0; i < count; i++)
        values[i] = (float)i;
    snprintf(shape, sizeof shape, "%zu", count);
    tensor_file_add_raw(&file, "\"__metadata__\":{\"reduction\":\"sum\"}");
    tensor_file_add(&file, "input", "F32", shape, values, count * sizeof *values);
    tensor_file_add(&file, "target", "F32", shape, values, count * sizeof *values);
    struct buffer body = tensor_file_end(&file, 0);
    snprintf(more, sizeof more, "Content-Type: application/vnd.safetensors\r\n%s", headers);
    add(name, "POST", path, more, body.data, body.len);
    buffer_free(&body);
}

static void add_form(void)
{
    static const char head[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n";
    struct buffer body = {0};
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_printf(&body,
                      "--b\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"a\"\r\n\r\n",
                      tensor == 0 ? "input" : "target");
        buffer_append(&body,
                      (const char[]){'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)strlen(head), 0},
                      10);
        buffer_text(&body, head);
        buffer_append(&body, &(const float){2.5F}, sizeof(float));
        buffer_text(&body, "\r\n");
    }
    buffer_text(&body,
                "--b\r\nContent-Disposition: form-data; name=\"grad\"\r\n\r\ntrue\r\n--b--\r\n");
    add("form", "POST", MSE, "Content-Type: multipart/form-data; boundary=b\r\n", body.data,
        body.len);
    buffer_free(&body);
}

static void add_oip_binary(const char *name, const char *outputs, size_t count)
{
    char json[512], header[64];
    struct buffer body = {0};
    float *const values = calloc(count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    const int len = snprintf(json, sizeof json,
                             "{\"id\":\"a\",\"inputs\":[{\"name\":\"input\",\"shape\":[%zu],"
                             "\"datatype\":\"FP32\",\"parameters\":"
                             "{\"binary_data_size\":%zu}},{\"name\":\"target\",\"shape\":[%zu],"
                             "\"datatype\":\"FP32\",\"parameters\":"
                             "{\"binary_data_size\":%zu}}],%s}",
                             count, count * 4, count, count * 4, outputs);
    buffer_append(&body, json, (size_t)len);
    for (int tensor = 0; tensor < 2; tensor++)
        buffer_append(&body, values, count * sizeof *values);
    snprintf(header, sizeof header, "Inference-Header-Content-Length: %d\r\n", len);
    add(name, "POST", "/v2/models/mse/infer", header, body.data, body.len);
    buffer_free(&body);
    free(values);
}

static void add_binary(void)
{
    add_safetensors("safetensors", MSE "?grad=true", "", 4);
    add_safetensors("safetensors to JSON", MSE "?grad=true", "Accept: application/json\r\n", 4);
    add_safetensors("large safetensors", MSE "?grad=true", "", LARGE);
    add_safetensors("safetensors, unknown field", MSE "?grda=true", "", 4);
    post("safetensors, broken", MSE, "Content-Type: application/vnd.safetensors\r\n",
         "\x10\0\0\0\0\0\0\0{\"input\":[1,2,3]}");
    add_form();
    post("form, broken", MSE, "Content-Type: multipart/form-data; boundary=b\r\n",
         "--b\r\nContent-Disposition: form-data\r\n");
    post("infer", "/v2/models/mse/infer", "",
         "{\"id\":\"a\",\"parameters\":{\"reduction\":\"sum\"},\"outputs\":[{\"name\":\"loss\"},{"
         "\"name\":\"grad_input\"}],"
         "\"inputs\":["
         "{\"name\":\"input\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[2.5,0,NaN]},"
         "{\"name\":\"target\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[3,-0.5,2]}]}");
    post("infer, broken", "/v2/models/mse/infer", "", "{\"inputs\":[{\"name\":\"input\"}]}");
    add_oip_binary("infer, binary",
                   "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}}]",
                   4);
    add_oip_binary("infer, binary to JSON", "\"outputs\":[{\"name\":\"loss\"}]", 4);
    add_oip_binary("large infer", "\"parameters\":{\"binary_data_output\":true}", LARGE);
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
static bool try_ask(const struct ask *ask)
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

/* Closes the connection, and waits until the server does too, so that it makes no more calls for
 * it. */
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

static bool is_right(const struct ask *ask)
{
    if (response.status != ask->status)
        return false;
    if (ask->status >= 400 && response.body_len == 0) /* no memory for a longer response */
        return true;
    return ask->varies || body_is(&ask->answer) || (ask->other.data && body_is(&ask->other));
}

/* Returns true if the response is a complete 503, or only its status line if there was no memory
 * for more. */
static bool is_unavailable(const struct ask *ask)
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

/* Sends a request without faults. */
static void expect_right(const struct ask *ask, const char *when)
{
    ck_assert_msg(try_ask(ask), "%s, %s: no response", ask->name, when);
    ck_assert_msg(is_right(ask), "%s, %s: %s%.*s", ask->name, when, response.head, shown(),
                  response.body);
}

/* The response without compression, which is also valid if the compression fails. */
static void learn_other(struct ask *ask)
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

static void learn(struct ask *ask)
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
    add_gets();
    add_json();
    add_large();
    add_binary();
    for (size_t i = 0; i < ask_count; i++)
        learn(&asks[i]);
}

static void free_all(void)
{
    for (size_t i = 0; i < ask_count; i++) {
        buffer_free(&asks[i].text);
        buffer_free(&asks[i].answer);
        buffer_free(&asks[i].other);
    }
    ask_count = 0;
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
static struct holdings settle(const struct ask *ask)
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
    bool all;   /* all calls after the first too */
    bool fresh; /* the request uses a new connection, whose calls count too */
};

/* Sends the request while that call fails, if it is made. */
static void meet(const struct ask *ask, unsigned long long call, const struct failing *failing,
                 struct tally *tally)
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
static void fail_each(const struct ask *ask, const struct failing *failing, struct tally *tally)
{
    unsigned long long met = 1;
    atomic_store(&faults->error, failing->error);
    for (unsigned long long call = 1; met > 0; call = next_call(call)) {
        const unsigned long long before = tally->faults;
        meet(ask, call, failing, tally);
        met = tally->faults - before;
        expect_right(ask, "next");
    }
}

/* Checks that the test met at least `faults_met` faults, so that it cannot pass without any. */
static void expect_met(const struct tally *tally, unsigned long long faults_met)
{
    ck_assert_msg(tally->faults >= faults_met, "only %llu faults occurred", tally->faults);
    ck_assert_uint_gt(tally->right, 0);
    if (getenv("FAULTS_TRACE") || is_thorough())
        printf("%llu calls failed; usual response: %llu, 503: %llu, dropped: %llu\n", tally->faults,
               tally->right, tally->unavailable, tally->dropped);
}

START_TEST(failed_allocation_gives_result_503_or_close)
{
    struct tally tally = {0};
    add_all();
    for (size_t i = 0; i < ask_count; i++) {
        const struct holdings before = settle(&asks[i]);
        for (int all = 0; all < 2; all++)
            fail_each(&asks[i],
                      &(struct failing){.kinds = FAULT_MEMORY, .error = ENOMEM, .all = all},
                      &tally);
        expect_nothing_left(&before, asks[i].name);
    }
    expect_met(&tally, 20 * ask_count);
    ck_assert_uint_gt(tally.unavailable, 5 * ask_count);
    free_all();
}
END_TEST

/* Starts a new server, which has not made the document yet. */
static void restart(void)
{
    http_client_close(&client);
    server_process_end(&server);
    server_process_start(&server, arguments);
}

/* The document is made once, with many allocations, and kept. It must be complete, and a failed
 * attempt must not leak.
 */
START_TEST(failed_allocation_leaves_document_complete_or_absent)
{
    struct tally tally = {0};
    struct response whole = {.status = 0};
    document_answer(&whole);
    ck_assert_int_eq(whole.status, 200);
    get("/healthz");
    learn(&asks[0]);
    get("/openapi.json");
    asks[1].status = whole.status;
    asks[1].answer = whole.body;
    atomic_store(&faults->error, ENOMEM);
    const unsigned long long finer =
        is_thorough() ? 100 : SAMPLE; /* every call would take half an hour */
    unsigned long long met = 1;
    for (unsigned long long call = 1; met > 0; call += 1 + call / finer) {
        const struct holdings before = settle(&asks[0]);
        const struct tally so_far = tally;
        meet(&asks[1], call, &(struct failing){.kinds = FAULT_MEMORY}, &tally);
        met = tally.faults - so_far.faults;
        if (tally.right == so_far.right)
            expect_nothing_left(&before, "no document");
        else if (met > 0)
            restart();
    }
    ck_assert_uint_gt(tally.unavailable, 20);
    expect_right(&asks[1], "at last");
    expect_met(&tally, 40);
    free_all();
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
    struct buffer body = numbers(",\"grad\":true", LARGE);
    get("/v1/losses");
    post("small", MSE, "", JSON);
    add("large", "POST", MSE, "", body.data, body.len);
    add("unread", "POST", MSE, "Content-Type: image/png\r\n", body.data, body.len);
    buffer_free(&body);
    for (size_t i = 0; i < ask_count; i++)
        learn(&asks[i]);
}

START_TEST(failed_socket_call_affects_one_connection)
{
    struct tally tally = {0};
    add_few();
    for (size_t i = 0; i < ask_count; i++) {
        const struct holdings before = settle(&asks[i]);
        for (size_t f = 0; f < sizeof failures / sizeof failures[0]; f++) {
            const unsigned long long met = tally.faults;
            for (const int *error = failures[f].errors; error < failures[f].errors + 8 && *error;
                 error++)
                fail_each(
                    &asks[i],
                    &(struct failing){failures[f].kinds, *error, failures[f].all, .fresh = true},
                    &tally);
            ck_assert_msg(tally.faults > met || failures[f].kinds == FAULT_DUPLICATE,
                          "%s: calls of kind %x are not made", asks[i].name, failures[f].kinds);
        }
        expect_nothing_left(&before, asks[i].name);
    }
    expect_met(&tally, 200);
    free_all();
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
static int fail_starts(unsigned kinds, int error, unsigned long long *met)
{
    int failed = 0;
    unsigned long long before = 0;
    atomic_store(&faults->error, error);
    for (unsigned long long call = 1; call == 1 || *met > before; call++) {
        int code;
        before = *met;
        arm(kinds, call, false);
        if (server_process_try(&server, arguments, &code)) {
            *met += disarm();
            expect_service();
        } else {
            *met += disarm();
            expect_reason(code, call);
            failed++;
        }
        server_process_free(&server);
    }
    return failed;
}

START_TEST(failed_call_at_start_prints_one_line_and_exits)
{
    unsigned long long met = 0;
    faults = fault_library_begin();
    ck_assert_int_gt(fail_starts(FAULT_THREAD, EAGAIN, &met), 6);
    ck_assert_int_gt(fail_starts(FAULT_EVENT, EMFILE, &met), 4);
    ck_assert_int_gt(fail_starts(FAULT_SOCKET, ENOBUFS, &met), 2);
    /* Libraries tolerate many of these faults. */
    ck_assert_int_gt(fail_starts(FAULT_MEMORY, ENOMEM, &met), 2);
    ck_assert_uint_ge(met, 60);
    fault_library_end();
}
END_TEST

Suite *faults_suite(void)
{
    Suite *suite = suite_create("faults");
    TCase *served = tcase_create("faults_served"), *start = tcase_create("faults_start"),
          *document = tcase_create("faults_document");
    tcase_set_timeout(served, 900);
    tcase_set_tags(served, TAG_SLOW);
    tcase_add_checked_fixture(served, setup, teardown);
    tcase_add_test(served, failed_allocation_gives_result_503_or_close);
    tcase_add_test(served, failed_socket_call_affects_one_connection);
    suite_add_tcase(suite, served);
    tcase_set_timeout(document, 900);
    tcase_set_tags(document, TAG_SLOW);
    tcase_add_checked_fixture(document, setup, teardown);
    tcase_add_test(document, failed_allocation_leaves_document_complete_or_absent);
    suite_add_tcase(suite, document);
    tcase_set_timeout(start, 900);
    tcase_set_tags(start, TAG_SLOW);
    tcase_add_test(start, failed_call_at_start_prints_one_line_and_exits);
    suite_add_tcase(suite, start);
    return suite;
}
