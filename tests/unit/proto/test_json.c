/*
 * The protocol layer, from the bytes of a request to the bytes of the response: edge cases of the
 * grammar, and error messages. The golden cases cover values and the three forms of tensors.
 */
#include "number/float16.h"
#include "number/number.h"
#include "suites.h"
#include "v1/v1.h"
#include "json/base64.h"
#include "json/scanner.h"
#include "json/tensor_json.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the response to a body as text. The next call frees it. */
static struct response reply;

static const char *ask_sized(const char *loss, const char *body, size_t len)
{
    /* A separate allocation, so that the address sanitizer detects reads after the NUL. */
    char *copy = malloc(len + 1);
    memcpy(copy, body, len);
    copy[len] = '\0';
    response_free(&reply);
    reply = (struct response){0};
    handler_serve(&v1_evaluate, &(struct request_view){.loss = loss, .body = copy, .len = len}, 1,
                  &reply);
    buffer_append(&reply.body, "", 1);
    free(copy);
    return reply.body.data;
}

static const char *ask(const char *loss, const char *body)
{
    return ask_sized(loss, body, strlen(body));
}

static void answers(const char *loss, const char *body, const char *expected)
{
    ck_assert_str_eq(ask(loss, body), expected);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_str_eq(reply.content_type, "application/json");
}

/* `expected` is the problem document after type, title and status: detail, pointer, offset. */
static void refuses(const char *loss, const char *body, int status, const char *expected)
{
    const char *text = ask(loss, body);
    ck_assert_msg(reply.status == status, "%.400s: %.400s", body, text);
    ck_assert_str_eq(reply.content_type, "application/problem+json");
    json_t *problem = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(problem);
    ck_assert_int_eq(json_integer_value(json_object_get(problem, "status")), status);
    json_decref(problem);
    const char *detail = strstr(text, "\"detail\":");
    ck_assert_ptr_nonnull(detail);
    ck_assert_msg(strncmp(detail + strlen("\"detail\":"), expected, strlen(expected)) == 0,
                  "%s\n  for %s\nnot %s", detail, body, expected);
}

static bool take_any(struct quota *quota, size_t bytes)
{
    (void)quota;
    (void)bytes;
    return true;
}

static void give_any(struct quota *quota, size_t bytes)
{
    (void)quota;
    (void)bytes;
}

/* ---- Responses ---- */

#define PAIR            "\"input\":[3,-4],\"target\":[0,0],"
#define HALF_OF_SQUARES "{\"loss\":6.25,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":2}\n"

START_TEST(parameters_may_be_infinite_or_null_if_documented)
{
    answers("huber", "{" PAIR "\"delta\":Infinity}", HALF_OF_SQUARES);
    answers("huber", "{" PAIR "\"delta\":\"Infinity\"}", HALF_OF_SQUARES);
    refuses("huber", "{" PAIR "\"delta\":\"-Infinity\"}", 422,
            "\"delta is -Infinity; it must be greater than 0\"");
    refuses("huber", "{" PAIR "\"delta\":\"NaN\"}", 400, "\"delta must be a number (byte 39)\"");
    refuses("huber", "{" PAIR "\"delta\":\"inf\"}", 400, "\"delta must be a number (byte 39)\"");
    refuses("huber", "{" PAIR "\"delta\":null}", 400, "\"delta must be a number (byte 39)\"");
    refuses("smooth_l1", "{" PAIR "\"beta\":Infinity}", 422,
            "\"beta is Infinity; it must be finite\"");
    answers("nll", "{\"input\":[[-1,-2]],\"target\":[1],\"ignore_index\":null}",
            "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    refuses("nll", "{\"input\":[[-1,-2]],\"target\":[-100],\"ignore_index\":null}", 422,
            "\"target[0] is -100; class indices must be in [0, 2)\"");
    refuses("cross_entropy",
            "{\"input\":[[-1,-2]],\"target\":[-9223372036854775808],\"ignore_index\":null}", 422,
            "\"target[0] is -9223372036854775808; class indices must be in [0, 2)\"");
}
END_TEST

/* White space that is not read to its end: it is followed by invalid JSON. */
START_TEST(white_space_of_a_cancelled_request_is_not_read)
{
    enum { LEN = 8 << 20 };
    static const char *const heads[] = {"",
                                        "{",
                                        "{\"input\"",
                                        "{\"input\":",
                                        "{\"input\":[",
                                        "{\"input\":[1,",
                                        "{\"input\":[1]",
                                        "{\"input\":{",
                                        "{\"delta\":",
                                        "{} "};
    bool cancel;
    struct quota quota = {.reserve = take_any, .release = give_any, .cancel = &cancel};
    char *const body = malloc(LEN + 1);
    ck_assert_ptr_nonnull(body);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        memset(body, ' ', LEN);
        memcpy(body, heads[i], strlen(heads[i]));
        body[LEN - 1] = 'x';
        body[LEN] = '\0';
        for (int round = 0; round < 2; round++) {
            cancel = round == 1;
            response_free(&reply);
            reply = (struct response){0};
            handler_serve(
                &v1_evaluate,
                &(struct request_view){.loss = "huber", .body = body, .len = LEN, .quota = &quota},
                1, &reply);
            ck_assert_msg(reply.status == (cancel ? response_status(LOSS_CANCELLED) : 400),
                          "%s: %d", heads[i], reply.status);
        }
    }
    free(body);
}
END_TEST

START_TEST(response_contains_only_the_requested_results)
{
    answers("mse", "{\"input\":[1,2,3],\"target\":[1,2,5],\"grad\":true}",
            "{\"loss\":1.3333333333333333,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":3,"
            "\"grad\":{\"input\":[0,0,-1."
            "3333334]}}\n");
    answers("mse", "{\"input\":1,\"target\":3}",
            "{\"loss\":4,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    answers("mse",
            "{\"input\":1,\"target\":3,\"reduction\":\"none\",\"grad\":[\"target\",\"input\"],"
            "\"grad_output\":10}",
            "{\"loss\":4,\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":1,\"grad\":{"
            "\"input\":-40,\"target\":40}}\n");
    answers("l1", "{\"input\":[],\"target\":[]}",
            "{\"loss\":\"NaN\",\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":0}\n");
    answers("l1", "{\"input\":[NaN,Infinity],\"target\":[0,0],\"reduction\":\"none\"}",
            "{\"loss\":[\"NaN\",\"Infinity\"],\"reduction\":\"none\",\"dtype\":\"float32\","
            "\"count\":2,\"nonfinite\":2}\n");
    answers("MSELoss", " \r\n\t{ \"input\" : [ 1 , 2 ] , \"target\":[[1,2],[3,4]]}\n",
            "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":4,\"warnings\":["
            "\"the shapes of target and input differ; they are broadcast, which is probably not "
            "intended\"]}\n");
}
END_TEST

START_TEST(tensors_are_returned_in_the_encoding_of_the_request)
{
    answers("l1",
            "{\"input\":{\"shape\":[2,1],\"data\":[5,-5]},\"target\":[[0],[0]],\"grad\":true,"
            "\"reduction\":\"sum\"}",
            "{\"loss\":10,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":2,\"grad\":{"
            "\"input\":{\"shape\":[2,1],\"dtype\":"
            "\"float32\",\"data\":[1,-1]}}}\n");
    answers("l1",
            "{\"input\":{\"data\":[[5],[-5]]},\"target\":[[0],[0]],\"grad\":true,\"reduction\":"
            "\"sum\"}",
            "{\"loss\":10,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":2,\"grad\":{"
            "\"input\":[[1],[-1]]}}\n");
    /* 0.5 and -0.5 */
    answers("l1",
            "{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAL8=\","
            "\"encoding\":\"base64\"}},"
            "\"target\":0,\"grad\":true,\"reduction\":\"none\"}",
            "{\"loss\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAD8=\","
            "\"encoding\":\"base64\"}},\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":2,"
            "\"warnings\":[\"the shapes of target and input differ; they are broadcast, which is "
            "probably not "
            "intended\"],\"grad\":{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{"
            "\"buffer\":\"AACAPwAAgL8=\",\"encoding\":\"base64\"}}}}\n");
    answers("l1", "{\"input\":[5],\"target\":[0],\"grad\":true,\"encoding\":\"flat\"}",
            "{\"loss\":5,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1,\"grad\":{"
            "\"input\":{\"shape\":[1],\"dtype\":"
            "\"float32\","
            "\"data\":[1]}}}\n");
    /* A nested array cannot represent that the rows have three columns. */
    answers("l1",
            "{\"input\":{\"shape\":[0,3],\"data\":[]},\"target\":{\"shape\":[0,3],\"data\":[]},"
            "\"grad\":true,\"encoding\":"
            "\"nested\"}",
            "{\"loss\":\"NaN\",\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":0,\"grad\":{"
            "\"input\":{\"shape\":[0,3],"
            "\"dtype\":"
            "\"float32\",\"data\":[]}}}\n");
}
END_TEST

START_TEST(numbers_are_read_as_json_and_python_write_them)
{
    answers("l1",
            "{\"input\":[100000000000000000000,1e20,-0.0,1E2,true],\"target\":[0,0,0,0,0],"
            "\"reduction\":\"none\",\"dtype\":"
            "\"float64\"}",
            "{\"loss\":[1e20,1e20,0,100,1],\"reduction\":\"none\",\"dtype\":\"float64\",\"count\":"
            "5}\n");
    answers("l1",
            "{\"input\":[null,\"NaN\",\"Infinity\",\"-Infinity\",-Infinity],\"target\":[0,0,0,0,0],"
            "\"grad\":true,\"reduction\":"
            "\"none\"}",
            "{\"loss\":[\"NaN\",\"NaN\",\"Infinity\",\"Infinity\",\"Infinity\"],\"reduction\":"
            "\"none\",\"dtype\":\"float32\","
            "\"count\":5,"
            "\"nonfinite\":5,\"grad\":{\"input\":[0,0,1,-1,-1]}}\n");
    /* rounded to float32 once, directly from the text; rounding to double first would yield 1 */
    answers(
        "l1", "{\"input\":[1.00000005960464477539062500000001],\"target\":[0]}",
        "{\"loss\":1.0000001192092896,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

START_TEST(byte_order_mark_before_the_body_is_ignored)
{
    answers("mse", "\xef\xbb\xbf {\"input\":[1,2],\"target\":[1,0]}",
            "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":2}\n");
}
END_TEST

START_TEST(every_dtype_is_decoded)
{
    const char *const dtypes[] = {"float64", "float32", "float16", "bfloat16", "int64",
                                  "int32",   "int16",   "int8",    "uint64",   "uint32",
                                  "uint16",  "uint8",   "bool"};
    const char *const ones[] = {
        "AAAAAAAA8D8=", "AACAPw==",     "ADw=",     "gD8=", "AQAAAAAAAAA=", "AQAAAA==", "AQA=",
        "AQ==",         "AQAAAAAAAAA=", "AQAAAA==", "AQA=", "AQ==",         "AQ=="};
    char body[300];
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        snprintf(body, sizeof body,
                 "{\"dtype\":\"float32\",\"input\":{\"shape\":[1],\"dtype\":\"%s\",\"data\":[1.0]},"
                 "\"target\":[0]}",
                 dtypes[i]);
        answers("mse", body,
                "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
        snprintf(body, sizeof body,
                 "{\"dtype\":\"float32\",\"input\":{\"shape\":[1],\"dtype\":\"%s\",\"data\":{"
                 "\"encoding\":\"base64\","
                 "\"buffer\":\"%s\"}},"
                 "\"target\":[0]}",
                 dtypes[i], ones[i]);
        answers("mse", body,
                "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    }
    /* PHP escapes slashes: "/////////38=" is -NaN in float64; here 255 in uint8 */
    answers("l1",
            "{\"input\":{\"shape\":[1],\"dtype\":\"uint8\",\"data\":{\"buffer\":\"\\/"
            "w==\",\"encoding\":\"base64\"}},\"target\":[0]}",
            "{\"loss\":255,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

START_TEST(escapes_in_base64_are_decoded)
{
    /* 1 in float64, and an escaped plus sign as .NET writes it: "AAAAAAAA+D8=" is 1.5 */
    answers("l1",
            "{\"input\":{\"shape\":[1],\"dtype\":\"float64\",\"data\":{\"buffer\":"
            "\"AAAAAAAA\\u002bD8=\",\"encoding\":\"base64\"}},"
            "\"target\":[0],\"encoding\":\"flat\"}",
            "{\"loss\":1.5,\"reduction\":\"mean\",\"dtype\":\"float64\",\"count\":1}\n");
    /* the padding as Gson writes it: one of two escaped, and both */
    const char *const padded[] = {"\\u002f\\u002F8=\", \"shape\":[2]",
                                  "\\/\\/8\\u003d\",\"shape\":[2]", "/w=\\u003D\",\"shape\":[1]",
                                  "\\/w\\u003d\\u003d\",\"shape\":[1]"};
    for (size_t i = 0; i < sizeof padded / sizeof padded[0]; i++) {
        char body[200], text[100], *const shape = strstr(strcpy(text, padded[i]), "\"shape");
        const size_t quote = strcspn(text, "\"");
        snprintf(body, sizeof body,
                 "{\"input\":{%s,\"dtype\":\"uint8\",\"data\":{\"buffer\":\"%.*s\",\"encoding\":"
                 "\"base64\"}},\"target\":0,"
                 "\"encoding\":\"flat\"}",
                 shape, (int)quote, text);
        ck_assert_ptr_nonnull(strstr(ask("l1", body), "{\"loss\":255,"));
    }
}
END_TEST

/* All lengths around groups of four characters, without escapes and with an escape at every
 * position. */
START_TEST(base64_of_every_length_is_decoded)
{
    for (size_t len = 0; len < 40; len++) {
        unsigned char bytes[40], back[40];
        char plain[64], text[64 * 6], *to;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (unsigned char)(i * 89 + len * 7);
        base64_encode(plain, bytes, len);
        const size_t n = base64_text_len(len);
        for (size_t escaped = 0; escaped <= n; escaped++) { /* n: none */
            to = text;
            for (size_t i = 0; i < n; i++)
                to += i == escaped ? sprintf(to, "\\u%04x", (unsigned)plain[i])
                                   : sprintf(to, "%c", plain[i]);
            ck_assert_uint_eq(base64_characters(text, to), n);
            memset(back, 0, sizeof back);
            ck_assert_ptr_null(base64_decode(text, to, back, len));
            ck_assert_mem_eq(back, bytes, len);
            ck_assert(len == 0 || base64_decode(text, to, back, len - 1));
        }
        for (size_t wrong = 0; wrong < n; wrong++) {
            memcpy(text, plain, n);
            text[wrong] = wrong % 2 ? '-' : '\xc3';
            ck_assert_ptr_eq(base64_decode(text, text + n, back, len), text + wrong);
        }
    }
}
END_TEST

START_TEST(null_tensors_are_omitted)
{
    answers("bce",
            "{\"input\":[0.5],\"target\":[0.5],\"weight\":null,\"grad_output\":null,\"grad\":true}",
            "{\"loss\":0.6931471805599453,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1,"
            "\"grad\":{\"input\":[0]}}\n");
    refuses("mse", "{\"input\":[1],\"target\":null}", 422,
            "\"target is missing: true values, of shape (*), broadcast against input\"");
}
END_TEST

START_TEST(halves_are_rounded_to_even)
{
    const struct {
        double value;
        unsigned half, brain;
    } cases[] = {
        {1, 0x3c00, 0x3f80},          {-0.0, 0x8000, 0x8000},       {65504, 0x7bff, 0x4780},
        {65519.99, 0x7bff, 0x4780},   {65520, 0x7c00, 0x4780},      {0x1p-24, 0x0001, 0x3380},
        {0x1p-25, 0x0000, 0x3300},    {0x1.8p-25, 0x0001, 0x3340},  {1e40, 0x7c00, 0x7f80},
        {2049, 0x6800, 0x4500},       {2051, 0x6802, 0x4500},       {0x1p-133, 0, 0x0001},
        {0x1.fep127, 0x7c00, 0x7f7f}, {0x1.ffp127, 0x7c00, 0x7f80}, {0x1.ffcp-15, 0x0400, 0x3880}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(half_float16(cases[i].value) == cases[i].half, "%a: %04x", cases[i].value,
                      half_float16(cases[i].value));
        ck_assert_msg(half_bfloat16(cases[i].value) == cases[i].brain, "%a: %04x", cases[i].value,
                      half_bfloat16(cases[i].value));
    }
}
END_TEST

/* Excerpts have quotes and escapes that show where they end, also if they are truncated. */
START_TEST(truncated_excerpts_end_with_their_quote)
{
    refuses("mse", "{\"it's\":0}", 400, "\"mse has no field 'it\\\\'s' (byte 8)\"");
    refuses("mse", "{\"input\":{\"data\":[1],\"shape\":[\"a b\"]}}", 400,
            "\"input/shape: a dimension is \\\"a b\\\"; it must be");
    refuses("mse", "{\"input\":{\"data\":[1],\"shape\":[\"a b]}}", 400,
            "\"input/shape: a dimension is \\\"a...\\\"; it must be");
    refuses("mse", "{\"input\":{\"data\":[1],\"shape\":[x'2]}}", 400,
            "\"input/shape: a dimension is x\\\\'2; it must be");
    refuses("mse", "{\"input\":{\"data\":[1],\"shape\":[[1]]}}", 400,
            "\"input/shape: '[' where a dimension was expected");
}
END_TEST

START_TEST(keys_may_be_escaped)
{
    refuses("mse", "{\"\\ud83d\\ude00\\u00e9\\u20ac\\\"\\\\\\/\\b\\f\\n\\r\\t\":0}", 400,
            "\"mse has no field '\?\?\?\?\?\?\?\?\?\\\"\\\\\\\\/\?\?\?\?\?' (byte "
            "44)\",\"pointer\":\"/\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac");
    refuses("mse", "{\"\\u0000\":0}", 400,
            "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    refuses("mse", "{\"\\ud800\":0}", 400,
            "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    refuses("mse", "{\"\\udc00\\ud800\":0}", 400,
            "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    refuses("mse", "{\"\\ud800\\u0041\":0}", 400,
            "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    answers("l1", "{\"\\u0069nput\":[5],\"t\\u0061rget\":[0],\"reduction\":\"m\\u0065an\"}",
            "{\"loss\":5,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

/* A JSON Pointer truncated within a token would point to another field, or be invalid. */
START_TEST(truncated_pointers_end_with_a_whole_token)
{
    char key[300], body[400], path[16] = "/a";
    for (int len = 100; len < 200; len++) {
        memset(key, len % 2 ? 'k' : '~', sizeof key);
        key[len] = '\0';
        snprintf(body, sizeof body, "{\"%s\":0}", key);
        const char *const pointer = strstr(ask("mse", body), "\"pointer\":\"");
        const int written = len % 2 ? len : 2 * len;
        ck_assert_int_eq(!pointer, written > 126);
        ck_assert(!pointer || pointer[11 + written] != '"');
        ck_assert(!pointer || pointer[12 + written] == '"');
    }
    json_pointer_add(path, sizeof path, "0123456789ab");
    ck_assert_str_eq(path, "/a");
    json_pointer_add(path, sizeof path, "0123456789a");
    ck_assert_str_eq(path, "/a/0123456789a");
    json_pointer_add(path, sizeof path, "");
    ck_assert_str_eq(path, "/a/0123456789a/");
}
END_TEST

START_TEST(parameters_of_every_type_are_accepted)
{
    answers("huber", "{\"input\":[3],\"target\":[0],\"delta\":2}",
            "{\"loss\":4,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    answers("nll", "{\"input\":[[-1,-2],[-3,-4]],\"target\":[0,1],\"ignore_index\":1.0}",
            "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    answers("kl_div",
            "{\"input\":[0],\"target\":[0],\"log_target\":true,\"reduction\":\"batchmean\"}",
            "{\"loss\":0,\"reduction\":\"batchmean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

/* ---- Malformed requests ---- */

START_TEST(invalid_json_is_rejected_at_its_byte)
{
    refuses("mse", "", 400, "\"the end where '{' was expected (byte 0)\",\"offset\":0}");
    refuses("mse", "[1]", 400, "\"'[' where '{' was expected (byte 0)\",\"offset\":0}");
    refuses("mse", "{\"input\":[1,2],\"target\":[1,2]", 400,
            "\"the end where ',' or '}' was expected (byte 29)\"");
    refuses("mse", "{\"input\":[1,2],\"target\":[1,2],}", 400,
            "\"'}' where a field name in quotes was expected (byte 30)\",\"offset\":30}");
    refuses("mse", "{\"input\":[1,2] \"target\":[1,2]}", 400,
            "\"'\\\"' where ',' or '}' was expected (byte 15)\"");
    refuses("mse", "{\"input\":[1,2],\"target\":[1,2]}x", 400,
            "\"'x' where the end was expected (byte 30)\"");
    refuses("mse", "{\"input\":[1,2,],\"target\":[1,2]}", 400,
            "\"input: ']' where a number or an array was expected (byte 14)\"");
    refuses("mse", "{\"input\":[1 2],\"target\":[1,2]}", 400,
            "\"input: '2' where ',' or ']' was expected (byte 12)\"");
    refuses("mse", "{\"input\":[1,2", 400,
            "\"input: the end where ',' or ']' was expected (byte 13)\"");
    refuses("mse", "{\"input\":[1,2},\"target\":[1,2]}", 400,
            "\"input: '}' where ',' or ']' was expected (byte 13)\"");
    refuses("mse", "{\"input\":\"text that is far too long\"}", 400,
            "\"input: '\\\"' where a number, an array or an object was expected");
    refuses("mse", "{'input':[1]}", 400,
            "\"'\\\\'' where a field name in quotes was expected (byte 1)\"");
    refuses("mse", "{\"inp\\x\":[1]}", 400,
            "\"'\\\\\\\\' where the rest of a string was expected (byte 5)\"");
    refuses("mse", "{\"inp\xff\":[1]}", 400,
            "\"byte 0xff where the rest of a string was expected (byte 5)\"");
    refuses("mse", "{\"inp\xc0\xaf\":[1]}", 400, "\"byte 0xc0");
    refuses("mse", "{\"\xed\xa0\x80\":[1]}", 400, "\"byte 0xed");
    refuses("mse", "{\"a\tb\":[1]}", 400, "\"byte 0x09");
    refuses("mse", "\xef\xbb\xbf[]", 400, "\"'[' where '{' was expected (byte 3)");
    refuses("mse", "\xef\xbb\xbf\xef\xbb\xbf{}", 400,
            "\"byte 0xef where '{' was expected (byte 3)");
    refuses("mse", "\xef\xbb{}", 400, "\"byte 0xef where '{' was expected (byte 0)");
    refuses("mse", "{\xef\xbb\xbf}", 400,
            "\"byte 0xef where a field name in quotes was expected (byte 1)");
    ck_assert_str_eq(strstr(ask_sized("mse", "{\"input\":[1]\0}", 14), "byte 0x00"),
                     "byte 0x00 where ',' or '}' was expected (byte "
                     "12)\",\"pointer\":\"/input\",\"offset\":12}\n");
}
END_TEST

START_TEST(numbers_that_json_forbids_are_rejected_at_their_element)
{
    const char *const bad[] = {"01",  "1.",  ".5",  "+1",  "1e",   "0x10",
                               "--1", "nan", "Inf", "tru", "-NaN", "Infinityx"};
    char body[100], expected[200];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(body, sizeof body, "{\"input\":[[1],[%s]],\"target\":[[1],[1]]}", bad[i]);
        snprintf(expected, sizeof expected,
                 "\"input[1][0] is %s; an RFC 8259 number, NaN, Infinity or "
                 "-Infinity was expected\",\"pointer\":\"/input/1/0\","
                 "\"offset\":15}",
                 bad[i]);
        refuses("mse", body, 400, expected);
    }
    refuses("mse", "{\"input\":{\"shape\":[2,1],\"data\":[1,2.]},\"target\":[[1],[1]]}", 400,
            "\"input[1][0] is 2.; an RFC 8259 number, NaN, Infinity or "
            "-Infinity was expected\",\"pointer\":\"/input/data/1\"");
    refuses("mse", "{\"input\":{\"dtype\":\"float32\",\"data\":[true]},\"target\":[1]}", 400,
            "\"input[0] is true; an RFC 8259 number, NaN, Infinity or -Infinity was expected");
}
END_TEST

START_TEST(unknown_duplicate_and_mistyped_fields_are_rejected)
{
    refuses("mse", "{\"inptu\":[1],\"target\":[1]}", 400,
            "\"mse has no field 'inptu'; did you mean 'input'? (byte 9)\",\"pointer\":\"/inptu\"");
    refuses("cross_entropy", "{\"lable_smoothing\":0}", 400,
            "\"cross_entropy has no field 'lable_smoothing'; did you mean 'label_smoothing'?");
    refuses("mse", "{\"a/b~\":0}", 400,
            "\"mse has no field 'a/b~' (byte 8)\",\"pointer\":\"/a~1b~0\"");
    refuses("mse", "{\"size_average\":true}", 400,
            "\"size_average is deprecated in PyTorch and not supported; use reduction (byte 16)\"");
    refuses("mse", "{\"input\":[1],\"input\":[2]}", 400,
            "\"duplicate field 'input' (byte 21)\",\"pointer\":\"/input\"");
    refuses("huber", "{\"delta\":1,\"delta\":1}", 400, "\"duplicate field 'delta'");
    refuses(
        "mse", "{\"grad\":1}", 400,
        "\"grad must be true, false, or a list of tensor names (byte 8)\",\"pointer\":\"/grad\"");
    refuses(
        "mse", "{\"grad\":[1]}", 400,
        "\"grad must be true, false, or a list of tensor names (byte 9)\",\"pointer\":\"/grad/0\"");
    refuses("mse", "{\"grad\":[\"input\",{}]}", 400,
            "\"grad must be true, false, or a list of tensor names (byte 17)\"");
    refuses("mse", "{\"grad\":\"input\"}", 400,
            "\"grad must be true, false, or a list of tensor names (byte 8)\"");
    refuses("mse", "{\"grad\":[\"input\" \"target\"]}", 400,
            "\"'\\\"' where ',' or ']' was expected (byte 17)\"");
    refuses("mse", "{\"grad\":[\"input\",]}", 400,
            "\"grad must be true, false, or a list of tensor names (byte 17)\"");
    refuses("mse", "{\"grad\":truer}", 400, "\"'r' where ',' or '}' was expected (byte 12)\"");
    refuses("mse", "{\"grad\":tru}", 400,
            "\"grad must be true, false, or a list of tensor names (byte 8)\"");
    refuses("mse", "{\"reduction\":[\"mean\"]}", 400, "\"reduction must be a string (byte 13)\"");
    refuses("mse", "{\"reduction\":\"mean}", 400,
            "\"the end where the rest of a string was expected (byte 19)\"");
    refuses("mse", "{\"reduction\":\"\\ud800\"}", 400, "\"reduction is not valid text (byte 13)\"");
    refuses("mse", "{\"reduction\":1}", 400,
            "\"reduction must be a string (byte 13)\",\"pointer\":\"/reduction\"");
    refuses("huber", "{\"delta\":\"1\"}", 400,
            "\"delta must be a number (byte 9)\",\"pointer\":\"/delta\"");
    refuses("huber", "{\"delta\":NaN}", 400, "\"delta must be a number (byte 9)\"");
    refuses("nll", "{\"ignore_index\":1.5}", 400,
            "\"ignore_index must be a whole number (byte 16)\"");
    refuses("kl_div", "{\"log_target\":1}", 400, "\"log_target must be true or false (byte 14)\"");
    refuses("kl_div", "{\"log_target\":truex}", 400, "\"'x' where ',' or '}' was expected");
    refuses("mse", "{\"grad\":[\"input\",\"inputs\"],\"input\":[1],\"target\":[1]}", 422,
            "\"mse has no tensor 'inputs'; did you mean 'input'?\",\"pointer\":\"/grad/1\"");
}
END_TEST

START_TEST(values_that_are_not_in_the_list_are_rejected)
{
    refuses(
        "mse", "{\"reduction\":\"avg\"}", 422,
        "\"reduction is 'avg'; it must be 'mean', 'sum' or 'none'\",\"pointer\":\"/reduction\"");
    refuses("mse", "{\"reduction\":\"Mean\"}", 422,
            "\"reduction is 'Mean'; it must be 'mean', 'sum' or 'none'; did you mean 'mean'?\"");
    refuses("mse",
            "{\"reduction\":\"the mean of all the terms that there are in the batch, and not the "
            "sum or the terms themselves\"}",
            422,
            "\"reduction is 'the mean of all the terms that there are...'; it must be 'mean', "
            "'sum' or 'none'\"");
    refuses("mse", "{\"dtype\":\"float16\"}", 422,
            "\"dtype is 'float16'; it must be 'float32' or 'float64'");
    refuses(
        "mse", "{\"encoding\":\"hex\"}", 422,
        "\"encoding is 'hex'; it must be 'nested', 'flat' or 'base64'\",\"pointer\":\"/encoding\"");
    refuses("huber", "{\"delta\":1e400}", 422, "\"delta is out of range\",\"pointer\":\"/delta\"");
    refuses("nll", "{\"ignore_index\":9223372036854775808}", 422,
            "\"ignore_index is out of range\"");
}
END_TEST

static void *no_memory(size_t size)
{
    (void)size;
    return NULL;
}

START_TEST(fields_are_read_without_memory_of_jansson)
{
    json_malloc_t take;
    json_free_t give;
    json_get_alloc_funcs(&take, &give);
    json_set_alloc_funcs(no_memory, give);
    const char *const bodies[] = {"{\"grad\":null}", "{\"reduction\":1.5}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        ask("mse", bodies[i]);
        ck_assert_int_eq(reply.status, 400);
    }
    ask("mse", "{\"gr\\u0061d\":[\"input\",\"\\u0074arget\"],\"input\":[1],\"target\":[3],"
               "\"reduction\":\"s\\u0075m\"}");
    ck_assert_int_eq(reply.status, 200);
    json_set_alloc_funcs(take, give);
}
END_TEST

/* ---- Invalid tensors ---- */

START_TEST(ragged_arrays_are_rejected_at_the_first_mismatch)
{
    refuses("mse", "{\"input\":[[1,2],[3]]}", 422,
            "\"input[1] has 1 elements where its neighbours have 2; nested arrays must be "
            "rectangular\",\"pointer\":\"/input/1\"");
    refuses("mse", "{\"input\":[[1,2],3]}", 422,
            "\"input[1] is a number where its neighbours are arrays; nested arrays must be "
            "rectangular\"");
    refuses("mse", "{\"input\":[1,[2]]}", 422,
            "\"input[1] is an array where its neighbours are numbers");
    refuses("mse", "{\"input\":[[],[1]]}", 422,
            "\"input[1] has 1 elements where its neighbours have 0");
    refuses("mse", "{\"input\":[[[1]],[]]}", 422,
            "\"input[1] has 0 elements where its neighbours have 1");
    refuses("mse", "{\"input\":[[[1],[2]],[[3],[4,5]]]}", 422,
            "\"input[1][1] has 2 elements where its neighbours have 1");
    refuses("mse", "{\"input\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", 400,
            "\"input has more than 16 dimensions (byte 25)\"");
}
END_TEST

#define EMPTY_ANSWER "{\"loss\":0,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":0}\n"

/* As NumPy's tolist() writes them: np.zeros((1, 0, 5)).tolist() is [[]]. */
START_TEST(lists_of_an_empty_tensor_end_at_its_first_dimension_of_0)
{
    static const char *const fitting[] = {
        "\"shape\":[1,0,5],\"data\":[[]]", "\"data\":[[]],\"shape\":[1,0]",
        "\"shape\":[1,0,5],\"data\":[]",   "\"shape\":[2,0,0],\"data\":[[],[]]",
        "\"shape\":[0,5],\"data\":[]",     "\"shape\":[1,1,0,3,2],\"data\":[[[]]]",
    };
    static const struct {
        const char *tensor, *found, *shape;
    } misfits[] = {
        {"\"shape\":[2,0,5],\"data\":[[]]", "(1, 0)", "(2, 0, 5)"},
        {"\"shape\":[1,5],\"data\":[[]]", "(1, 0)", "(1, 5)"},
        {"\"shape\":[0],\"data\":[[]]", "(1, 0)", "(0,)"},
        {"\"shape\":[1,2,0],\"data\":[[]]", "(1, 0)", "(1, 2, 0)"},
        {"\"shape\":[1,0],\"data\":[[[]]]", "(1, 1, 0)", "(1, 0)"},
        {"\"shape\":[1,2,1],\"data\":[[1,2]]", "(1, 2)", "(1, 2, 1)"},
    };
    char body[256], message[256];
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
        snprintf(body, sizeof body, "{\"input\":{%s},\"target\":{%s},\"reduction\":\"sum\"}",
                 fitting[i], fitting[i]);
        answers("mse", body, EMPTY_ANSWER);
    }
    for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
        snprintf(body, sizeof body, "{\"input\":{%s}}", misfits[i].tensor);
        snprintf(message, sizeof message, "\"input: the data has shape %s, but 'shape' is %s\"",
                 misfits[i].found, misfits[i].shape);
        refuses("mse", body, 422, message);
    }
}
END_TEST

START_TEST(shapes_and_data_must_agree)
{
    refuses(
        "mse", "{\"input\":{\"shape\":[2],\"data\":[1]}}", 422,
        "\"input: the data has 1 elements where shape (2,) has 2\",\"pointer\":\"/input/data\"");
    refuses("mse", "{\"input\":{\"data\":[[1,2]],\"shape\":[2,1]}}", 422,
            "\"input: the data has shape (1, 2), but 'shape' is (2, "
            "1)\",\"pointer\":\"/input/data\"");
    refuses("mse", "{\"input\":{\"shape\":[1]}}", 422,
            "\"input: there is no 'data' in the tensor object\",\"pointer\":\"/input\"");
    refuses("mse", "{\"input\":{\"shape\":[4294967296,4294967296],\"data\":[1]}}", 422,
            "\"input: the shape has more elements than can be "
            "addressed\",\"pointer\":\"/input/shape\"");
    refuses("mse", "{\"input\":{\"shape\":[-1],\"data\":[1]}}", 400,
            "\"input/shape: a dimension is -1; it must be an integer in [0, 2^63) "
            "(byte 19)\"");
    refuses("mse", "{\"input\":{\"shape\":[1.5],\"data\":[1]}}", 400,
            "\"input/shape: a dimension is 1.5; it must be");
    refuses("mse", "{\"input\":{\"shape\":[2, 9223372036854775808],\"data\":[1]}}", 400,
            "\"input/shape: a dimension is 9223372036854775808; it must be");
    refuses("mse", "{\"input\":{\"shape\":[1,],\"data\":[1]}}", 400,
            "\"input/shape: ']' where a dimension was expected (byte 21)\"");
    refuses("mse", "{\"input\":{\"shape\":1,\"data\":[1]}}", 400,
            "\"input/shape: '1' where an array of dimensions was expected (byte 18)\"");
    refuses("mse", "{\"input\":{\"data\":[1],\"shap\":[1]}}", 400,
            "\"a tensor object has no field 'shap'; did you mean "
            "'shape'?\",\"pointer\":\"/input/shap\"");
    refuses("mse", "{\"input\":{\"data\":[1],\"data\":[1]}}", 400,
            "\"input has a duplicate field 'data'");
    refuses("mse", "{\"input\":{\"dtype\":\"float\",\"data\":[1]}}", 422,
            "\"there is no dtype 'float'; the dtypes are float64, float32,");
    refuses("mse", "{\"input\":{}}", 422, "\"input: there is no 'data' in the tensor object\"");
}
END_TEST

/* Checks the error for a float32 tensor of one element whose data is this buffer. */
static void refuses_buffer(const char *buffer, const char *encoding, int status, const char *part)
{
    char body[200];
    snprintf(body, sizeof body,
             "{\"target\":[1],\"input\":{\"shape\":[1],\"dtype\":\"float32\","
             "\"data\":{\"buffer\":\"%s\",\"encoding\":\"%s\"}}}",
             buffer, encoding);
    refuses("mse", body, status, part);
}

START_TEST(buffers_must_be_base64_of_the_right_length)
{
    refuses_buffer(
        "AACAPw=", "base64", 422,
        "\"input: the buffer has 7 base64 characters; 1 elements of float32 are 4 bytes, "
        "which are 8 characters\",\"pointer\":\"/input/data/buffer\"");
    refuses_buffer("AACA*w==", "base64", 400,
                   "\"input/data/buffer is not base64 (byte "
                   "75)\",\"pointer\":\"/input/data/buffer\",\"offset\":75}");
    /* bits after the last byte */
    refuses_buffer("AACAPx==", "base64", 400, "\"input/data/buffer is not base64");
    /* one byte too many */
    refuses_buffer("AACAPwA=", "base64", 400, "\"input/data/buffer is not base64");
    /* an escaped line break, not an n */
    refuses_buffer("AACA\\nw==", "base64", 400, "\"input/data/buffer is not base64");
    refuses_buffer("AACAP===", "base64", 400, "\"input/data/buffer is not base64");
    refuses_buffer("AACAPw==", "hex", 400,
                   "\"the encoding of a buffer must be \\\"base64\\\" (byte");
    refuses(
        "mse",
        "{\"input\":{\"shape\":[1],\"data\":{\"buffer\":\"AACAPw==\",\"encoding\":\"base64\"}}}",
        422, "\"input: a buffer requires a dtype\"");
    refuses("mse",
            "{\"input\":{\"dtype\":\"float32\",\"data\":{\"buffer\":\"AACAPw==\",\"encoding\":"
            "\"base64\"}}}",
            422, "\"input: a buffer requires a shape\"");
    refuses("mse", "{\"input\":{\"data\":{\"buffer\":\"AACAPw==\"}}}", 400,
            "\"input/data must have both 'buffer' and 'encoding'");
}
END_TEST

START_TEST(integers_must_be_whole_and_fit)
{
    refuses("nll", "{\"input\":[[0,0]],\"target\":[0.5]}", 422,
            "\"target[0] is 0.5; a whole number was expected\",\"pointer\":\"/target/0\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":[null]}", 422,
            "\"target[0] is null; a whole number was expected\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":[x]}", 400,
            "\"target[0] is x; a whole number was expected\"");
    refuses(
        "nll", "{\"input\":[[0,0]],\"target\":[1e30]}", 422,
        "\"target[0] is 1e30; the range of int64 is [-9223372036854775808, 9223372036854775807]\"");
    refuses(
        "nll",
        "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint64\",\"data\":[18446744073709551616]}}",
        422,
        "\"target[0] is 18446744073709551616; the range of uint64 is [0, 18446744073709551615]\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint64\",\"data\":[-1]}}", 422,
            "\"target[0] is -1; the range of uint64 is [0, 18446744073709551615]\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint16\",\"data\":[65536]}}", 422,
            "\"target[0] is 65536; the range of uint16 is [0, 65535]\"");
    refuses(
        "nll", "{\"input\":[[0,0]],\"target\":{\"dtype\":\"int8\",\"data\":[300]}}", 422,
        "\"target[0] is 300; the range of int8 is [-128, 127]\",\"pointer\":\"/target/data/0\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint8\",\"data\":[-1]}}", 422,
            "\"target[0] is -1; the range of uint8 is [0, 255]\"");
    refuses("nll", "{\"input\":[[0,0]],\"target\":{\"dtype\":\"bool\",\"data\":[2]}}", 422,
            "\"target[0] is 2; bool holds true, false, 1 and 0\"");
}
END_TEST

START_TEST(strings_among_numbers_are_quoted_to_their_end)
{
    refuses(
        "mse", "{\"input\":[\"1,5\"],\"target\":[1]}", 400,
        "\"input[0] is \\\"1,5\\\"; an RFC 8259 number, NaN, Infinity or -Infinity was expected");
    refuses("mze", "{}", 404, "\"there is no loss 'mze'; did you mean 'mse'?\"");
    refuses("zzzzzzzzz", "{}", 404, "\"there is no loss 'zzzzzzzzz'; GET /v1/losses lists them\"");
}
END_TEST

START_TEST(unsigned_labels_above_int64_are_out_of_range_for_any_ignore_index)
{
    /* As int64 these would be -100, which is ignored, and -1, which ends a list of labels. */
    refuses("nll",
            "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint64\",\"data\":[18446744073709551516]}}",
            422,
            "\"target[0] is 18446744073709551516; class indices must be in [0, 2), or -100 to be "
            "ignored\"");
    refuses(
        "multilabel_margin",
        "{\"input\":[[0,0]],\"target\":{\"dtype\":\"uint64\",\"data\":[[0,18446744073709551615]]}}",
        422,
        "\"target[0][1] is 18446744073709551615; class indices must be in [0, 2), and -1 ends the "
        "list\"");
    refuses("nll",
            "{\"input\":[[0,0]],\"ignore_index\":9223372036854775807,"
            "\"target\":{\"dtype\":\"uint64\",\"data\":[9223372036854775808]}}",
            422,
            "\"target[0] is 9223372036854775808; class indices must be in [0, 2), or "
            "9223372036854775807 to be ignored\"");
    /* The bits of 2^63 are those of -2^63. */
    static const char *const losses[] = {"nll", "cross_entropy"};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        refuses(losses[i],
                "{\"input\":[[0,0]],\"ignore_index\":-9223372036854775808,"
                "\"target\":{\"dtype\":\"uint64\",\"data\":[9223372036854775808]}}",
                422,
                "\"target[0] is 9223372036854775808; class indices must be in [0, 2), "
                "or -9223372036854775808 to be ignored\"");
}
END_TEST

START_TEST(unsigned_numbers_are_rounded_once)
{
    /* 2^63 + 2^10, the midpoint of two doubles; one more; 2^64 - 1 */
    answers("l1",
            "{\"dtype\":\"float64\",\"reduction\":\"none\",\"target\":[0,0,0],\"input\":{\"dtype\":"
            "\"uint64\","
            "\"data\":[9223372036854776832,9223372036854776833,18446744073709551615]}}",
            "{\"loss\":{\"shape\":[3],\"dtype\":\"float64\",\"data\":[9223372036854776000,"
            "9223372036854778000,"
            "18446744073709552000]},\"reduction\":\"none\","
            "\"dtype\":\"float64\",\"count\":3}\n");
    answers("l1",
            "{\"reduction\":\"none\",\"target\":[0,0],\"input\":{\"dtype\":\"uint32\",\"data\":["
            "4294967295,4294967040]}}",
            "{\"loss\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":[4294967300,4294967000]},"
            "\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":2}\n");
}
END_TEST

START_TEST(invalid_elements_are_quoted_as_written)
{
    refuses("nll", "{\"input\":[[0,0],[0,0]],\"target\":[0,7]}", 422,
            "\"target[1] is 7; class indices must be in [0, 2), or -100 to be "
            "ignored\",\"pointer\":\"/target/1\"}");
    refuses("nll", "{\"input\":[[[0,0],[0,0]]],\"target\":{\"shape\":[1,2],\"data\":[0,7]}}", 422,
            "\"target[0][1] is 7; class indices must be in [0, 2), or -100 to be "
            "ignored\",\"pointer\":\"/target/data/1\"}");
    refuses("bce", "{\"input\":{\"data\":[[0.5,1.5]]},\"target\":[[0,0]]}", 422,
            "\"input[0][1] is 1.5; probabilities must be in [0, 1] (use bce_with_logits for "
            "logits)\",\"pointer\":\"/input/data/0/1\"}");
}
END_TEST

START_TEST(broadcasts_over_the_limit_are_rejected)
{
    enum { N = 20000 };
    char *body = malloc(N * 6 + 100), *at = body;
    at += sprintf(at, "{\"input\":[0");
    for (int i = 1; i < N; i++)
        at += sprintf(at, ",0");
    at += sprintf(at, "],\"target\":[[0]");
    for (int i = 1; i < N; i++)
        at += sprintf(at, ",[0]");
    sprintf(at, "]}");
    refuses("mse", body, 422,
            "\"broadcasting expands this request to 400000000 loss terms; the limit is 4194304\"");
    free(body);
}
END_TEST

START_TEST(requests_over_the_work_limit_are_rejected)
{
    const char *const body = "{\"input\":[[1],[2],[3]],\"target\":[1,2,3]}";
    struct request_view view = {.loss = "mse", .body = body, .len = strlen(body)};
    struct loss_error error;
    struct response left = {0};
    ck_assert_int_eq(v1_evaluate.validate_head(&view, &error), LOSS_OK);
    struct prepared *const prepared = handler_prepare(&v1_evaluate, &view, &left);
    ck_assert_ptr_nonnull(prepared);
    ck_assert(prepared_exceeds(prepared, 8));
    ck_assert(!prepared_exceeds(prepared, prepared->work + prepared->transport));
    prepared_free(prepared);
    ck_assert_int_eq(left.status, RESPONSE_NONE);
    ck_assert_ptr_null(left.body.data);
    answers("mse", body,
            "{\"loss\":1.3333333333333333,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":9,"
            "\"warnings\":[\"the shapes of target and input differ; they are broadcast, which is "
            "probably not intended\"]}\n");
}
END_TEST

/* ---- Request heads ---- */

static int head(const char *loss, const char *content_type, const char *accept, const char *query)
{
    response_free(&reply);
    reply = (struct response){0};
    struct request_view view = {
        .loss = loss, .content_type = content_type, .accept = accept, .query = query};
    struct loss_error error;
    if (v1_evaluate.validate_head(&view, &error) == LOSS_OK)
        return 200;
    response_error(&reply, &error);
    return reply.status;
}

START_TEST(media_types_are_negotiated)
{
    ck_assert_int_eq(head("mse", "application/json", NULL, NULL), 200);
    ck_assert_int_eq(head("mse", "Application/JSON; charset=utf-8", "*/*", NULL), 200);
    ck_assert_int_eq(head("mse", "application/vnd.x+json", "text/html, application/*;q=0.1", NULL),
                     200);
    ck_assert_int_eq(head("mse", "text/plain", NULL, NULL), 415);
    ck_assert_int_eq(head("mse", "", NULL, NULL), 415);
    ck_assert_ptr_nonnull(strstr(reply.body.data, "Content-Type is empty; send application/json"));
    ck_assert_int_eq(head("mse", " ; charset=utf-8", NULL, NULL), 415);
    ck_assert_int_eq(head("mse", "application/x-www-form-urlencoded", NULL, NULL), 415);
    ck_assert_ptr_nonnull(strstr(reply.body.data, "curl --json"));
    ck_assert_int_eq(head("mse", NULL, "text/html", NULL), 406);
    ck_assert_int_eq(head("mse", NULL, "application/json;q=0, application/*;q=0", NULL), 406);
    ck_assert_int_eq(head("mse", NULL, NULL, "grad"), 400);
    ck_assert_ptr_nonnull(
        strstr(reply.body.data, "the query has 'grad'; a JSON request has its fields in the body"));
    ck_assert_int_eq(head("mes", NULL, NULL, NULL), 404);
    ck_assert_ptr_nonnull(strstr(reply.body.data, "there is no loss 'mes'; did you mean 'mse'?"));
}
END_TEST

START_TEST(problem_documents_escape_quoted_text)
{
    ck_assert_int_eq(head("a\"\x01\xff+", NULL, NULL, NULL), 404);
    json_t *problem = json_loadb(reply.body.data, reply.body.len, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "detail")),
                     "there is no loss 'a\"??+'; GET /v1/losses lists them");
    json_decref(problem);
}
END_TEST

/* _i is the loss's place in the table. */
START_TEST(every_loss_describes_itself)
{
    const struct loss_descriptor *loss = loss_at((size_t)_i);
    struct response list = {0}, one = {0};
    v1_list(NULL, &list);
    v1_describe(loss->aliases[0], "application/json", &one);
    ck_assert_int_eq(list.status, 200);
    ck_assert_int_eq(one.status, 200);
    json_t *all = json_loadb(list.body.data, list.body.len, 0, NULL),
           *description = json_loadb(one.body.data, one.body.len, 0, NULL);
    ck_assert(json_equal(json_array_get(json_object_get(all, "losses"), (size_t)_i), description));
    ck_assert_str_eq(json_string_value(json_object_get(description, "name")), loss->name);
    ck_assert_uint_eq(json_array_size(json_object_get(description, "tensors")),
                      (size_t)loss_tensor_specs(loss));
    ck_assert_uint_eq(json_array_size(json_object_get(description, "parameters")),
                      (size_t)loss_param_specs(loss));
    for (int k = 0; k < loss_param_specs(loss); k++) {
        const struct loss_param_spec *const spec = &loss->params[k];
        const json_t *const param =
            json_array_get(json_object_get(description, "parameters"), (size_t)k);
        if (spec->type != LOSS_NUMBER)
            continue;
        ck_assert(json_real_value(json_object_get(param, "default")) == spec->default_value.number);
        ck_assert(!spec->has_max || json_object_get(param, "exclusiveMaximum") ||
                  json_real_value(json_object_get(param, "maximum")) == spec->max);
        ck_assert_ptr_null(memmem(one.body.data, one.body.len, "99999", strlen("99999")));
    }
    json_decref(all);
    json_decref(description);
    response_free(&list);
    response_free(&one);
}
END_TEST

/* ---- Long tensors ---- */

static uint64_t random_state = UINT64_C(88172645463325252);
static unsigned random_below(unsigned n) /* xorshift64 (Marsaglia 2003) */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

static char *put_blanks(char *to, bool blank)
{
    for (unsigned n = blank ? random_below(4) * random_below(4) * random_below(8) : 0; n > 0; n--)
        *to++ = " \t\n\r"[random_below(4)];
    return to;
}

/* Returns a random number as text, in one of many notations. */
static char *put_number(char *to, int kind)
{
    const double value = ldexp((double)random_below(1u << 30) - 0x1p29, (int)random_below(60) - 50);
    switch (kind == 0 ? random_below(8) : 1) {
    case 0:
        return to + sprintf(to, "%.*g", (int)random_below(40), value);
    case 2:
        return to + sprintf(to, "%d", (int)random_below(100) - 50);
    case 3:
        return to + sprintf(to, "%s", random_below(4) ? "0" : "-0.0");
    case 4:
        return to + sprintf(to, "%.*f", (int)random_below(30), value);
    case 5:
        return to + sprintf(to, "%.5e", value);
    case 6:
        return random_below(20) ? to + sprintf(to, "%.7g", value)
                                : to + sprintf(to, "%s", "-Infinity");
    default:
        return to + sprintf(to, "%.17g", value);
    }
}

/* Returns nested arrays of a shape in their own allocation. Sets where each element begins. */
static char *tensor_text(int rank, const size_t *shape, int kind, bool blank, size_t *begin)
{
    size_t count = 1;
    for (int axis = 0; axis < rank; axis++)
        count *= shape[axis];
    char *const text = malloc(count * (blank ? 464 : 64) + 1000), *to = text;
    for (size_t i = 0; i < count; i++) {
        size_t run = 1; /* elements of an array at this axis */
        int opened = 0, closed = 0;
        for (int axis = rank; axis-- > 0; opened += i % run == 0, closed += (i + 1) % run == 0)
            run *= shape[axis];
        for (; opened > 0; opened--)
            to = put_blanks(to, blank), *to++ = '[';
        to = put_blanks(to, blank);
        begin[i] = (size_t)(to - text);
        to = put_number(to, kind);
        to = put_blanks(to, blank);
        for (; closed > 0; closed--)
            to = put_blanks(to, blank), *to++ = ']';
        if (i + 1 < count)
            *to++ = ',';
    }
    *to = '\0';
    char *const exact = strdup(text); /* no bytes after the NUL */
    free(text);
    return exact;
}

static void decodes(const char *text, int rank, const size_t *shape, const size_t *begin,
                    int threads)
{
    struct tensor_json tensor;
    struct loss_error error = {.message = ""};
    const char *end;
    const size_t len = strlen(text);
    ck_assert_msg(tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error) ==
                      LOSS_OK,
                  "%s", error.message);
    ck_assert_ptr_eq(end, text + len);
    ck_assert_int_eq(tensor.rank, rank);
    for (int axis = 0; axis < rank; axis++)
        ck_assert_uint_eq(tensor.shape[axis], shape[axis]);
    float *const narrow = malloc(tensor.count * sizeof *narrow + 1);
    double *const wide = malloc(tensor.count * sizeof *wide + 1);
    ck_assert_msg(tensor_json_decode(&tensor, LOSS_FLOAT32, narrow, text, "/input", threads, NULL,
                                     &error) == LOSS_OK,
                  "%s", error.message);
    ck_assert_msg(tensor_json_decode(&tensor, LOSS_FLOAT64, wide, text, "/input", threads, NULL,
                                     &error) == LOSS_OK,
                  "%s", error.message);
    for (size_t i = 0; i < tensor.count; i++) {
        const float narrow_expected = strtof(text + begin[i], NULL);
        const double wide_expected = strtod(text + begin[i], NULL);
        if (memcmp(&narrow[i], &narrow_expected, sizeof *narrow) != 0 ||
            memcmp(&wide[i], &wide_expected, sizeof *wide) != 0)
            ck_abort_msg("element %zu is %a and %a: %.40s", i, (double)narrow[i], wide[i],
                         text + begin[i]);
    }
    free(narrow);
    free(wide);
}

/* All counts around the block sizes, with white space wherever it is allowed. */
START_TEST(tensors_of_every_size_are_decoded)
{
    for (size_t n = 1; n < 140; n++)
        for (int form = 0; form < 8; form++) {
            size_t begin[140 * 3], shape[] = {form & 4 ? 3 : n, form & 4 ? n : 1};
            const int rank = form & 4 ? 2 : 1;
            char *const text = tensor_text(rank, shape, form & 2, form & 1, begin);
            decodes(text, rank, shape, begin, 1);
            free(text);
        }
}
END_TEST

/* Long tensors are divided into the same pieces for any number of threads. */
START_TEST(long_tensors_are_decoded_by_any_number_of_threads)
{
    static const size_t shapes[][3] = {
        {40000, 1, 1}, {500, 80, 1}, {20000, 1, 2}, {7, 1000, 5}, {1, 30000, 1}};
    size_t *const begin = malloc(sizeof *begin * 2000000);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int form = 0; form < 4; form++) {
            const int rank = i == 0 ? 1 : i == 1 || i == 4 ? 2 : 3;
            char *const text = tensor_text(rank, shapes[i], form & 2, form & 1, begin);
            decodes(text, rank, shapes[i], begin, 1);
            decodes(text, rank, shapes[i], begin, 3);
            free(text);
        }
    const size_t longest = 600000; /* more text than the initial number of marks covers */
    char *const text = tensor_text(1, &longest, 1, false, begin);
    decodes(text, 1, &longest, begin, 3);
    free(text);
    free(begin);
}
END_TEST

START_TEST(decoding_of_long_tensors_stops_when_cancelled)
{
    static size_t begin[100000];
    const size_t longest = 100000;
    const bool cancel = true;
    const struct quota quota = {.cancel = &cancel};
    char *const text = tensor_text(1, &longest, 1, false, begin);
    struct tensor_json tensor;
    struct loss_error error = {.message = ""};
    const char *end;
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + strlen(text), "/input", NULL, &end, &error),
        LOSS_OK);
    float *const out = calloc(longest, sizeof *out);
    for (int threads = 1; threads <= 3; threads += 2)
        ck_assert_int_eq(
            tensor_json_decode(&tensor, LOSS_FLOAT32, out, text, "/input", threads, &quota, &error),
            LOSS_CANCELLED);
    for (size_t i = 0; i < longest; i++)
        ck_assert_msg(out[i] == 0, "element %zu was decoded", i);
    free(out);
    free(text);
}
END_TEST

/* Errors in long text are reported at the first position, for any number of threads. */
START_TEST(first_error_of_a_long_tensor_is_reported)
{
    enum { ROWS = 4000, COLUMNS = 5 };
    static const char *const wrong[] = {"01", "1.", "-", "1e", "tru", "1.5.5", "nul", "--1", "1x"};
    static size_t begin[ROWS * COLUMNS + 1];
    const size_t shape[] = {ROWS, COLUMNS};
    for (int round = 0; round < 60; round++) {
        char *const text = tensor_text(2, shape, 1, round % 2, begin);
        const size_t len = strlen(text);
        size_t first = ROWS * COLUMNS;
        for (int mistakes = 1 + round % 3; mistakes > 0; mistakes--) {
            const size_t element = random_below(ROWS * COLUMNS);
            const char *const what = wrong[random_below(sizeof wrong / sizeof wrong[0])];
            memset(text + begin[element], '7', strcspn(text + begin[element], " \t\n\r,]"));
            memcpy(text + begin[element] + strcspn(text + begin[element], " \t\n\r,]") -
                       strlen(what),
                   what, strlen(what));
            memset(text + begin[element], ' ',
                   strcspn(text + begin[element], " \t\n\r,]") - strlen(what));
            first = element < first ? element : first;
        }
        struct tensor_json tensor;
        struct loss_error errors[2];
        const char *end;
        char place[64], path[64];
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &errors[0]),
            LOSS_OK);
        float *const out = malloc(tensor.count * sizeof *out);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(tensor_json_decode(&tensor, LOSS_FLOAT32, out, text, "/input",
                                                i ? 3 : 1, NULL, &errors[i]),
                             LOSS_MALFORMED);
        free(out);
        snprintf(place, sizeof place, "input[%zu][%zu] is ", first / COLUMNS, first % COLUMNS);
        snprintf(path, sizeof path, "/input/%zu/%zu", first / COLUMNS, first % COLUMNS);
        for (int i = 0; i < 2; i++) {
            ck_assert_msg(strncmp(errors[i].message, place, strlen(place)) == 0, "%s, not %s",
                          errors[i].message, place);
            ck_assert_str_eq(errors[i].path, path);
            ck_assert_int_eq(errors[i].offset,
                             (int64_t)(begin[first] + strspn(text + begin[first], " ")));
        }
        ck_assert_str_eq(errors[0].message, errors[1].message);
        free(text);
    }
}
END_TEST

/* It is not scanned to its end, which is invalid. */
START_TEST(scanning_of_long_tensors_stops_when_cancelled)
{
    static const char *const elements[] = {"1,", "[1],", "[[2, 3]],", "\"nan\",", "  \n 1,"};
    enum { LEN = 4 << 20 };
    const size_t size = strlen(elements[_i]);
    const bool cancelled = true;
    const struct quota quota = {.cancel = &cancelled};
    struct tensor_json tensor;
    struct loss_error error;
    const char *end;
    char *const text = malloc(LEN + 1);
    size_t len = 0;
    for (text[len++] = '['; len + size + 1 < LEN; len += size)
        memcpy(text + len, elements[_i], size);
    text[len++] = '}';
    text[len] = '\0';
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + len, "/input", &quota, &end, &error),
        LOSS_CANCELLED);
    ck_assert_int_eq(
        tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
        LOSS_MALFORMED);
    free(text);
}
END_TEST

/* Changes one byte anywhere in a long array. The scan must report the error at that byte. */
START_TEST(structural_errors_are_reported_at_their_byte)
{
    enum { N = 200 };
    size_t begin[N];
    const size_t shape[] = {N};
    for (int round = 0; round < 3000; round++) {
        char *const text = tensor_text(1, shape, round % 3, round % 2, begin);
        const size_t len = strlen(text), at = 1 + begin[random_below(N - 1)];
        size_t comma = at + strcspn(text + at, ",");
        struct tensor_json tensor;
        struct loss_error error;
        const char *end;
        char message[64];
        const unsigned kind = random_below(4);
        text[comma] =
            "; {["[kind]; /* an invalid byte; two elements without a comma; an opening bracket */
        size_t expected = comma + (kind == 1 ? strspn(text + comma, " \t\n\r") : 0);
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
            LOSS_MALFORMED);
        ck_assert_msg(error.offset == (int64_t)expected, "byte %lld, not %zu of %s",
                      (long long)error.offset, expected, text);
        snprintf(message, sizeof message, "where ',' or ']' was expected (byte %zu)", expected);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s: %s", error.message, message);
        text[comma] = ',';
        /* An extra comma. */
        const size_t second = comma + 1 + strspn(text + comma + 1, " \t\n\r");
        memset(text + second, ' ', strcspn(text + second, " \t\n\r,]"));
        ck_assert_int_eq(
            tensor_json_scan(&tensor, text, text, text + len, "/input", NULL, &end, &error),
            LOSS_MALFORMED);
        expected = comma + 1 + strspn(text + comma + 1, " \t\n\r");
        ck_assert_int_eq(error.offset, (int64_t)expected);
        snprintf(message, sizeof message, "where a number or an array was expected (byte %zu)",
                 expected);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s: %s", error.message, message);
        free(text);
    }
}
END_TEST

/* Writes a tensor element by element. */
static void encode_slowly(struct buffer *out, const struct loss_tensor *tensor, int rank,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t run = 1;
        int opened = rank == 1 && i == 0, closed = rank == 1 && i + 1 == count;
        for (int axis = rank; rank > 1 && axis-- > 0;
             opened += i % run == 0, closed += (i + 1) % run == 0)
            run *= tensor->shape[axis];
        for (; opened > 0; opened--)
            buffer_text(out, "[");
        if (tensor->dtype == LOSS_FLOAT64 || !isfinite(((const float *)tensor->data)[i]))
            json_append_number(out, tensor->dtype == LOSS_FLOAT64
                                        ? ((const double *)tensor->data)[i]
                                        : (double)((const float *)tensor->data)[i]);
        else
            out->len += number_write_f32(buffer_reserve(out, NUMBER_TEXT),
                                         ((const float *)tensor->data)[i]);
        for (; closed > 0; closed--)
            buffer_text(out, "]");
        if (i + 1 < count)
            buffer_text(out, ",");
    }
}

START_TEST(long_tensors_are_written_by_any_number_of_threads)
{
    static const size_t shapes[][4] = {
        {1},       {7},        {4095},     {4096},          {4097},        {20000},        {2, 3},
        {3000, 7}, {1, 20000}, {20000, 1}, {10, 20, 30, 5}, {1, 1, 1, 17}, {4096, 1, 1, 5}};
    enum { MOST = 30000 };
    static float narrow[MOST];
    static double wide[MOST];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] * 4; i++) {
        struct loss_tensor tensor = {.data = i & 1 ? (void *)wide : (void *)narrow,
                                     .dtype = i & 1 ? LOSS_FLOAT64 : LOSS_FLOAT32};
        size_t count = 1;
        for (; tensor.rank < 4 && shapes[i / 4][tensor.rank] > 0; tensor.rank++)
            count *= tensor.shape[tensor.rank] = shapes[i / 4][tensor.rank];
        for (size_t k = 0; k < count; k++) {
            wide[k] = ldexp((double)random_below(1u << 30) - 0x1p29, (int)random_below(300) - 170);
            wide[k] = random_below(i & 2 ? 3 : 1000)
                          ? wide[k]
                          : (double[]){0, NAN, INFINITY, -INFINITY, -0.0}[random_below(5)];
            narrow[k] = (float)wide[k];
        }
        for (int threads = 1; threads <= 3; threads += 2)
            for (int flat = 0; flat < 2; flat++) {
                struct buffer out = {0}, expected = {0};
                tensor_json_encode(&out, &tensor, flat ? FORM_FLAT : FORM_NESTED, threads);
                encode_slowly(&expected, &tensor, flat ? 1 : tensor.rank, count);
                ck_assert(!out.failed && !expected.failed);
                const char *text = out.data;
                size_t len = out.len;
                if (flat) {
                    buffer_append(&out, "", 1);
                    text = strstr(out.data, "\"data\":") + strlen("\"data\":");
                    len = (size_t)(out.data + out.len - 2 - text);
                }
                ck_assert_uint_eq(len, expected.len);
                ck_assert(memcmp(text, expected.data, len) == 0);
                buffer_free(&out);
                buffer_free(&expected);
            }
    }
}
END_TEST

Suite *json_suite(void)
{
    Suite *suite = suite_create("json");
    SUITE_ADD(suite, "json_answers", parameters_may_be_infinite_or_null_if_documented,
              white_space_of_a_cancelled_request_is_not_read,
              response_contains_only_the_requested_results,
              tensors_are_returned_in_the_encoding_of_the_request,
              numbers_are_read_as_json_and_python_write_them, every_dtype_is_decoded,
              byte_order_mark_before_the_body_is_ignored, escapes_in_base64_are_decoded,
              base64_of_every_length_is_decoded, null_tensors_are_omitted,
              halves_are_rounded_to_even, keys_may_be_escaped,
              truncated_excerpts_end_with_their_quote, truncated_pointers_end_with_a_whole_token,
              parameters_of_every_type_are_accepted);
    SUITE_ADD(suite, "json_malformed", invalid_json_is_rejected_at_its_byte,
              numbers_that_json_forbids_are_rejected_at_their_element,
              unknown_duplicate_and_mistyped_fields_are_rejected,
              values_that_are_not_in_the_list_are_rejected,
              fields_are_read_without_memory_of_jansson);
    SUITE_ADD(suite, "json_tensors", ragged_arrays_are_rejected_at_the_first_mismatch,
              shapes_and_data_must_agree, lists_of_an_empty_tensor_end_at_its_first_dimension_of_0,
              buffers_must_be_base64_of_the_right_length, integers_must_be_whole_and_fit,
              invalid_elements_are_quoted_as_written, strings_among_numbers_are_quoted_to_their_end,
              unsigned_labels_above_int64_are_out_of_range_for_any_ignore_index,
              unsigned_numbers_are_rounded_once, broadcasts_over_the_limit_are_rejected,
              requests_over_the_work_limit_are_rejected);
    TCase *const lengthy = tcase_create("json_long_tensors");
    tcase_set_timeout(lengthy, 120); /* sanitizers are slow */
    tcase_add_test(lengthy, tensors_of_every_size_are_decoded);
    tcase_add_test(lengthy, long_tensors_are_decoded_by_any_number_of_threads);
    tcase_add_test(lengthy, decoding_of_long_tensors_stops_when_cancelled);
    tcase_add_loop_test(lengthy, scanning_of_long_tensors_stops_when_cancelled, 0, 5);
    tcase_add_test(lengthy, first_error_of_a_long_tensor_is_reported);
    tcase_add_test(lengthy, structural_errors_are_reported_at_their_byte);
    tcase_add_test(lengthy, long_tensors_are_written_by_any_number_of_threads);
    suite_add_tcase(suite, lengthy);
    SUITE_ADD(suite, "json_heads", media_types_are_negotiated,
              problem_documents_escape_quoted_text);
    TCase *descriptions = tcase_create("json_descriptions");
    tcase_add_loop_test(descriptions, every_loss_describes_itself, 0, (int)loss_count());
    suite_add_tcase(suite, descriptions);
    return suite;
}
