/*
 * Content codings of request bodies and responses: the decoded bytes equal those without a coding.
 * Bodies that are too large when decompressed use no more memory than the limit.
 */
#include "content/compress.h"
#include "content/decompress.h"
#include "memory/buffer.h"
#include "suites.h"
#include "support/server_fixture.h"
#include "support/unlimited_quota.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { MIB = 1 << 20, MAX_EXPANDED = 8 * MIB, ROOM = 32 * MIB };

static struct http_response plain;

static void start(const char *option, const char *value)
{
    start_server(ARGUMENTS("--log-level=warning", "--threads=2", "--max-decompressed-body=8M",
                           option, value));
}

static void setup(void)
{
    start(NULL, NULL);
}

static void teardown(void)
{
    http_response_free(&plain);
    end_server();
}

/* ---- Requests ---- */

#define JSON "Content-Type: application/json\r\n"

static const char small[] = "{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"grad\": true}";
static const char small_answer[] =
    "{\"loss\":1.3333333333333333,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":3,"
    "\"grad\":{\"input\":[0,0,-1.3333334]}}\n";

/* Returns an mse request with gradient and `count` numbers per tensor. The caller frees it. */
static struct buffer request_of(size_t count)
{
    struct buffer body = {0};
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_text(&body, tensor == 0 ? "{\"input\":[" : "],\"target\":[");
        for (size_t i = 0; i < count; i++)
            buffer_printf(&body, i ? ",%.9g" : "%.9g", sin((double)i * 1.7 + tensor));
    }
    buffer_text(&body, "],\"grad\":true}");
    ck_assert(!body.failed);
    return body;
}

static void ask_in(const char *headers, const void *body, size_t len, struct http_response *to)
{
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/mse", headers, body, len, to));
}

static struct buffer compressed(enum content_encoding encoding, const void *data, size_t len)
{
    struct buffer out = {0};
    ck_assert(compress_bytes(encoding, data, len, 1, &out));
    return out;
}

/* Decompresses a response with libzstd or zlib. */
static struct buffer expanded(enum content_encoding encoding)
{
    struct buffer out = {0};
    ck_assert_ptr_nonnull(buffer_reserve(&out, ROOM));
    if (encoding == ENCODING_ZSTD) {
        out.len = ZSTD_decompress(out.data, ROOM, response.body, response.body_len);
        ck_assert_msg(!ZSTD_isError(out.len), "%s", ZSTD_getErrorName(out.len));
        return out;
    }
    z_stream stream = {.next_in = (Bytef *)response.body, .avail_in = (uInt)response.body_len};
    ck_assert_int_eq(inflateInit2(&stream, encoding == ENCODING_GZIP ? 31 : 15), Z_OK);
    stream.next_out = (Bytef *)out.data;
    stream.avail_out = ROOM;
    ck_assert_int_eq(inflate(&stream, Z_FINISH),
                     Z_STREAM_END); /* one member, because some clients do not read a second */
    ck_assert_uint_eq(stream.avail_in, 0);
    out.len = stream.total_out;
    inflateEnd(&stream);
    return out;
}

/* ---- Request bodies ---- */

static const struct {
    enum content_encoding encoding;
    const char *header;
} codings[] = {{ENCODING_GZIP, "gzip"},       {ENCODING_GZIP, "X-GZip"},
               {ENCODING_DEFLATE, "deflate"}, {ENCODING_ZSTD, "zstd"},
               {ENCODING_ZSTD, ", ZSTD ,"},   {ENCODING_GZIP, "identity, gzip"}};
enum { CODINGS = sizeof codings / sizeof *codings };

static const size_t sizes[] = {3, 500, 20000, 300000};
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(body_in_every_coding_is_decoded)
{
    struct buffer body = request_of(sizes[_i % SIZES]),
                  coded = compressed(codings[_i / SIZES].encoding, body.data, body.len);
    char headers[128];
    snprintf(headers, sizeof headers, JSON "Content-Encoding: %s\r\n", codings[_i / SIZES].header);
    ask_in(JSON, body.data, body.len, &plain);
    ask_in(headers, coded.data, coded.len, &response);
    ck_assert_msg(response.status == 200, "%s", response.body);
    ck_assert_uint_eq(response.body_len, plain.body_len);
    ck_assert_int_eq(memcmp(response.body, plain.body, plain.body_len), 0);
    buffer_free(&body);
    buffer_free(&coded);
}
END_TEST

START_TEST(members_and_frames_of_a_body_are_concatenated)
{
    static const enum content_encoding both[] = {ENCODING_GZIP, ENCODING_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct buffer body = compressed(both[i], small, 20),
                      rest = compressed(both[i], small + 20, strlen(small) - 20);
        buffer_append(&body, rest.data, rest.len);
        char headers[128];
        snprintf(headers, sizeof headers, JSON "Content-Encoding: %s\r\n", encoding_name(both[i]));
        ask_in(headers, body.data, body.len, &response);
        ck_assert_str_eq(response.body, small_answer);
        buffer_free(&body);
        buffer_free(&rest);
    }
}
END_TEST

START_TEST(body_in_an_unsupported_coding_is_415)
{
    static const char *const headers[] = {"br", "gzip, gzip", "gzip, br", "zstd,deflate",
                                          "compress"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char header[128];
        snprintf(header, sizeof header, JSON "Content-Encoding: %s\r\n", headers[i]);
        ask_in(header, small, strlen(small), &response);
        expect_problem(415, "Content-Encoding");
        expect_header("Accept-Encoding", "zstd, gzip, deflate");
    }
}
END_TEST

/* Sends a compressed body without its last `cut` bytes, with byte `at` changed (0: none; a negative
   `at` counts from the end), and followed by `more`. */
static void ask_spoilt(enum content_encoding encoding, long cut, long at, const char *more)
{
    struct buffer body = compressed(encoding, small, strlen(small));
    char headers[128];
    if (cut > 0)
        body.len -= (size_t)cut;
    if (at != 0)
        body.data[at < 0 ? (size_t)((long)body.len + at) : (size_t)at] ^= 0x55;
    buffer_text(&body, more);
    snprintf(headers, sizeof headers, JSON "Content-Encoding: %s\r\n", encoding_name(encoding));
    ask_in(headers, body.data, body.len, &response);
    buffer_free(&body);
}

START_TEST(invalid_body_is_400_and_uses_no_memory)
{
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        ask_spoilt(encoding, 3, 0, "");
        expect_problem(400, "is truncated");
        ask_spoilt(encoding, 0, 0, "more");
        expect_problem(400, "other data follows its end");
        ask_spoilt(encoding, 0, 1, "");
        expect_problem(400, encoding_name(encoding));
    }
    ask_spoilt(ENCODING_GZIP, 0, -6, "");
    expect_problem(400, "incorrect data check");
    ask_spoilt(ENCODING_DEFLATE, 0, -2, "");
    expect_problem(400, "incorrect data check");
    ask_in(JSON "Content-Encoding: gzip\r\n", small, strlen(small), &response);
    expect_problem(400, "\"offset\":");
    ask_in(JSON "Content-Encoding: zstd\r\n", small, strlen(small), &response);
    expect_problem(400, "does not begin with a frame");
    ask_in(JSON "Content-Encoding: zstd\r\n", "", 0, &response);
    expect_problem(400, "is truncated");
    ask_in(JSON, small, strlen(small), &response);
    ck_assert_str_eq(response.body, small_answer);
}
END_TEST

START_TEST(body_with_a_large_window_is_400)
{
    static const char window[] =
        "\x28\xb5\x2f\xfd\x00\xa0\x09\x00\x00x"; /* a window of 1 GiB for one byte */
    ask_in(JSON "Content-Encoding: zstd\r\n", window, sizeof window - 1, &response);
    expect_problem(400, "window of more than 8 MiB");
}
END_TEST

/* ---- Limits ---- */

static struct buffer spaces(enum content_encoding encoding, size_t len)
{
    char *text = malloc(len);
    ck_assert_ptr_nonnull(text);
    memset(text, ' ', len);
    memcpy(text, small, strlen(small));
    struct buffer out = compressed(encoding, text, len);
    free(text);
    return out;
}

START_TEST(decompressed_body_is_limited)
{
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++)
        for (size_t more = 0; more < 2; more++) {
            struct buffer body = spaces(encoding, MAX_EXPANDED + more);
            char headers[128];
            snprintf(headers, sizeof headers, JSON "Content-Encoding: %s\r\n",
                     encoding_name(encoding));
            ask_in(headers, body.data, body.len, &response);
            if (more)
                expect_problem(
                    413, "larger than 8388608 bytes, the limit that --max-decompressed-body sets");
            else
                ck_assert_str_eq(response.body, small_answer);
            buffer_free(&body);
        }
}
END_TEST

START_TEST(decompression_bomb_uses_no_more_memory_than_the_limit)
{
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        struct buffer body = spaces(encoding, 256 * (size_t)MIB);
        char headers[128];
        snprintf(headers, sizeof headers, JSON "Content-Encoding: %s\r\n", encoding_name(encoding));
        const size_t before = server_process_memory(&server, "VmRSS:");
        server_process_forget_peak(&server);
        ask_in(headers, body.data, body.len, &response);
        expect_problem(413, "--max-decompressed-body");
        const size_t peak = server_process_memory(&server, "VmHWM:");
        ck_assert_msg(peak < before + body.len + 2 * (size_t)MAX_EXPANDED + 4 * MIB,
                      "%s: from %zu to %zu bytes", encoding_name(encoding), before, peak);
        buffer_free(&body);
    }
}
END_TEST

/* ---- Cancellation ---- */

/* A quota that is cancelled when three quarters of the decompressed size have been reserved. */
struct impatient {
    struct quota quota; /* first */
    size_t taken;
    bool cancelled;
};

enum { LONG = 32 * MIB };

static bool take_impatiently(struct quota *quota, size_t bytes)
{
    struct impatient *const impatient = (struct impatient *)quota;
    impatient->taken += bytes;
    impatient->cancelled = impatient->taken > LONG / 4 * 3;
    return true;
}

static void give_back(struct quota *quota, size_t bytes)
{
    ((struct impatient *)quota)->taken -= bytes;
}

/* Cancelled long before the next reservation: the end of the body, which is invalid, is not
 * reached. */
START_TEST(decompression_stops_when_cancelled)
{
    for (enum content_encoding encoding = ENCODING_GZIP; encoding <= ENCODING_DEFLATE; encoding++) {
        struct buffer body = spaces(encoding, LONG), out = {.data = NULL};
        struct impatient impatient = {.quota = {.reserve = take_impatiently, .release = give_back}};
        struct loss_error error;
        impatient.quota.cancel = &impatient.cancelled;
        out.quota = &impatient.quota;
        body.data[body.len - 1] ^= 1;
        ck_assert_int_eq(decompress_bytes(encoding, body.data, body.len, LONG, &out, &error),
                         LOSS_CANCELLED);
        ck_assert_uint_eq(impatient.taken, 0);
        buffer_free(&body);
    }
}
END_TEST

/* Counts how often decompression checks for cancellation. */
struct observer {
    bool asked, over; /* atomic */
    size_t looks;
};

static void *observe(void *argument)
{
    struct observer *const observer = argument;
    while (!__atomic_load_n(&observer->over, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&observer->asked, __ATOMIC_RELAXED))
            continue;
        observer->looks++;
        __atomic_store_n(&observer->asked, true, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A frame that declares its size could be decompressed in a single call of the library. */
START_TEST(body_in_every_coding_is_decompressed_in_pieces)
{
    const size_t len = 256 * (size_t)MIB;
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        struct buffer body = spaces(encoding, len), out = {.data = NULL};
        struct observer observer = {.asked = true};
        struct quota quota = unlimited_quota(NULL);
        struct loss_error error;
        pthread_t thread;
        quota.heartbeat = &observer.asked;
        out.quota = &quota;
        ck_assert_int_eq(pthread_create(&thread, NULL, observe, &observer), 0);
        ck_assert_int_eq(decompress_bytes(encoding, body.data, body.len, len, &out, &error),
                         LOSS_OK);
        __atomic_store_n(&observer.over, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        ck_assert_uint_eq(out.len, len);
        ck_assert_msg(observer.looks > 10, "%s: checked %zu times", encoding_name(encoding),
                      observer.looks);
        buffer_free(&out);
        buffer_free(&body);
    }
}
END_TEST

/* ---- Responses ---- */

static const size_t answer_sizes[] = {
    100, 3000, 20000, 300000}; /* one or more pieces, on the I/O thread and on the executor */

START_TEST(response_in_every_coding_is_correct)
{
    static const char *const accepted[] = {
        [ENCODING_ZSTD] = "zstd", [ENCODING_GZIP] = "gzip", [ENCODING_DEFLATE] = "deflate"};
    struct buffer body = request_of(answer_sizes[_i]);
    ask_in(JSON, body.data, body.len, &plain);
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        char headers[128];
        snprintf(headers, sizeof headers, JSON "Accept-Encoding: %s\r\n", accepted[encoding]);
        ask_in(headers, body.data, body.len, &response);
        ck_assert_int_eq(response.status, 200);
        expect_header("Content-Encoding", accepted[encoding]);
        expect_header("Vary", "Accept-Encoding");
        struct buffer answer = expanded(encoding);
        ck_assert_uint_lt(response.body_len, answer.len);
        ck_assert_uint_eq(answer.len, plain.body_len);
        ck_assert_int_eq(memcmp(answer.data, plain.body, plain.body_len), 0);
        buffer_free(&answer);
    }
    buffer_free(&body);
}
END_TEST

START_TEST(compression_stops_when_cancelled)
{
    enum { LEN = 40 << 20 };
    bool cancel = false;
    struct quota quota = unlimited_quota(&cancel);
    char *const text = calloc(1, LEN);
    ck_assert_ptr_nonnull(text);
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++)
        for (int round = 0; round < 2; round++) {
            struct buffer out = {.quota = &quota};
            cancel = round == 1;
            ck_assert_int_eq(compress_bytes(encoding, text, LEN, 1, &out), !cancel);
            buffer_free(&out);
        }
    free(text);
}
END_TEST

START_TEST(response_uses_the_preferred_coding)
{
    static const struct {
        const char *accept, *encoding;
    } cases[] = {
        {"", NULL},
        {"identity", NULL},
        {"br", NULL},
        {"gzip", "gzip"},
        {"x-gzip", "gzip"},
        {"GZIP;q=0.5", "gzip"},
        {"gzip, deflate", "gzip"},
        {"gzip, deflate, br, zstd", "zstd"},
        {"gzip;q=1, zstd;q=0.5", "gzip"},
        {"gzip;q=0", NULL},
        {"gzip;q=0, deflate", "deflate"},
        {"gzip;q=0.5, identity;q=0.9", NULL},
        {"*", "gzip"},
        {"*;q=0", "406"},
        {"identity;q=0", "406"},
        {"identity;q=0, br", "406"},
        {"identity;q=0, gzip", "gzip"},
    };
    struct buffer body = request_of(2000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char headers[128];
        snprintf(headers, sizeof headers, JSON "Accept-Encoding: %s\r\n", cases[i].accept);
        ask_in(headers, body.data, body.len, &response);
        if (cases[i].encoding && strcmp(cases[i].encoding, "406") == 0) {
            expect_problem(406, "Accept-Encoding");
            continue;
        }
        ck_assert_msg(response.status == 200, "%s: %d", cases[i].accept, response.status);
        if (cases[i].encoding)
            expect_header("Content-Encoding", cases[i].encoding);
        else
            ck_assert(!has_header("Content-Encoding"));
    }
    ask_in(JSON "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", body.data, body.len, &response);
    expect_header("Content-Encoding", "gzip");
    buffer_free(&body);
}
END_TEST

START_TEST(small_response_is_not_compressed_unless_identity_is_refused)
{
    ask_in(JSON "Accept-Encoding: gzip\r\n", small, strlen(small), &response);
    ck_assert(!has_header("Content-Encoding"));
    ck_assert_str_eq(response.body, small_answer);
    ask_in(JSON "Accept-Encoding: gzip, identity;q=0\r\n", small, strlen(small), &response);
    expect_header("Content-Encoding", "gzip");
    struct buffer answer = expanded(ENCODING_GZIP);
    ck_assert_uint_eq(answer.len, strlen(small_answer));
    ck_assert_int_eq(memcmp(answer.data, small_answer, answer.len), 0);
    buffer_free(&answer);
}
END_TEST

START_TEST(error_response_is_not_compressed)
{
    ask_in(JSON "Accept-Encoding: gzip, identity;q=0\r\n", "{}", 2, &response);
    ck_assert_int_ge(response.status, 400);
    ck_assert(!has_header("Content-Encoding"));
    expect_problem(response.status, "input");
}
END_TEST

START_TEST(get_and_head_have_the_same_coding)
{
    char length[32];
    ck_assert(http_client_ask(&client, "GET", "/v1/losses", NULL, NULL, 0, &plain));
    ck_assert(http_client_ask(&client, "GET", "/v1/losses", "Accept-Encoding: gzip\r\n", NULL, 0,
                              &response));
    expect_header("Content-Encoding", "gzip");
    struct buffer answer = expanded(ENCODING_GZIP);
    ck_assert_uint_eq(answer.len, plain.body_len);
    ck_assert_int_eq(memcmp(answer.data, plain.body, plain.body_len), 0);
    snprintf(length, sizeof length, "%zu", response.body_len);
    ck_assert(http_client_send_text(
        &client, "HEAD /v1/losses HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, true));
    expect_header("Content-Length", length);
    expect_header("Content-Encoding", "gzip");
    ck_assert(http_client_ask(&client, "GET", "/v1/losses", NULL, NULL, 0, &response));
    expect_header("Vary", "Accept-Encoding");
    ck_assert(!has_header("Content-Encoding"));
    buffer_free(&answer);
}
END_TEST

START_TEST(compression_can_be_disabled)
{
    teardown();
    start("--compress", "off");
    struct buffer body = request_of(2000);
    ask_in(JSON "Accept-Encoding: gzip\r\n", body.data, body.len, &response);
    ck_assert_int_eq(response.status, 200);
    ck_assert(!has_header("Content-Encoding"));
    ask_in(JSON "Accept-Encoding: gzip, identity;q=0\r\n", body.data, body.len, &response);
    expect_header("Content-Encoding", "gzip");
    buffer_free(&body);
}
END_TEST

/* As tritonclient does with request_compression_algorithm and response_compression_algorithm. */
START_TEST(inference_header_counts_uncompressed_json_bytes)
{
    static const char json[] =
        "{\"inputs\":[{\"name\":\"input\",\"shape\":[400],\"datatype\":\"FP32\",\"parameters\":{"
        "\"binary_data_size\":1600}},"
        "{\"name\":\"target\",\"shape\":[400],\"datatype\":\"FP32\",\"parameters\":{\"binary_data_"
        "size\":1600}}],"
        "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}}]}";
    const float zeros[800] = {0};
    struct buffer body = {0};
    buffer_text(&body, json);
    buffer_append(&body, zeros, sizeof zeros);
    struct buffer coded = compressed(ENCODING_DEFLATE, body.data, body.len);
    char headers[256], length[32];
    snprintf(headers, sizeof headers,
             "Inference-Header-Content-Length: %zu\r\nContent-Encoding: "
             "deflate\r\nAccept-Encoding: gzip\r\n",
             strlen(json));
    ck_assert(http_client_ask(&client, "POST", "/v2/models/mse/infer", headers, coded.data,
                              coded.len, &response));
    ck_assert_msg(response.status == 200, "%s", response.body);
    expect_header("Content-Encoding", "gzip");
    struct buffer answer = expanded(ENCODING_GZIP);
    ck_assert_ptr_nonnull(
        http_response_header(&response, "Inference-Header-Content-Length", length, sizeof length));
    ck_assert_uint_eq(answer.len, strtoul(length, NULL, 10) + 1600);
    buffer_free(&body);
    buffer_free(&coded);
    buffer_free(&answer);
}
END_TEST

/* ---- Suite ---- */

Suite *compress_suite(void)
{
    Suite *suite = suite_create("compress");
    TCase *tcase = suite_add_case(suite, "compress", 60, setup, teardown);
    TCase *slow = suite_add_case(suite, "compress_slow", 60, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_loop_test(slow, body_in_every_coding_is_decoded, 0, CODINGS * SIZES);
    CASE_ADD(tcase, members_and_frames_of_a_body_are_concatenated,
             body_in_an_unsupported_coding_is_415, invalid_body_is_400_and_uses_no_memory,
             body_with_a_large_window_is_400, decompressed_body_is_limited,
             decompression_stops_when_cancelled, body_in_every_coding_is_decompressed_in_pieces,
             response_uses_the_preferred_coding, compression_stops_when_cancelled,
             small_response_is_not_compressed_unless_identity_is_refused,
             error_response_is_not_compressed, get_and_head_have_the_same_coding,
             compression_can_be_disabled, inference_header_counts_uncompressed_json_bytes);
    CASE_ADD(slow, decompression_bomb_uses_no_more_memory_than_the_limit);
    tcase_add_loop_test(tcase, response_in_every_coding_is_correct, 0,
                        (int)(sizeof answer_sizes / sizeof *answer_sizes));
    return suite;
}
