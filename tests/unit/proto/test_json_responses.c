/*
 * Responses to valid requests in JSON: values, encodings, and the rules for tensors and fields. The
 * golden cases cover values and the three encodings of tensors.
 */
#include "number/float16.h"
#include "suites.h"
#include "support/unlimited_quota.h"
#include "unit/proto/evaluate.h"
#include "json/base64.h"
#include "json/scanner.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Responses ---- */

#define PAIR            "\"input\":[3,-4],\"target\":[0,0],"
#define HALF_OF_SQUARES "{\"loss\":6.25,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":2}\n"

START_TEST(parameters_may_be_infinite_or_null_if_documented)
{
    evaluate_expect("huber", "{" PAIR "\"delta\":Infinity}", HALF_OF_SQUARES);
    evaluate_expect("huber", "{" PAIR "\"delta\":\"Infinity\"}", HALF_OF_SQUARES);
    evaluate_expect_problem("huber", "{" PAIR "\"delta\":\"-Infinity\"}", 422,
                            "\"delta is -Infinity; it must be greater than 0\"");
    evaluate_expect_problem("huber", "{" PAIR "\"delta\":\"NaN\"}", 400,
                            "\"delta is \\\"NaN\\\"; it must be a number (byte 39)\"");
    evaluate_expect_problem("huber", "{" PAIR "\"delta\":\"inf\"}", 400,
                            "\"delta is \\\"inf\\\"; it must be a number (byte 39)\"");
    evaluate_expect_problem("huber", "{" PAIR "\"delta\":null}", 400,
                            "\"delta is null; it must be a number (byte 39)\"");
    evaluate_expect_problem("smooth_l1", "{" PAIR "\"beta\":Infinity}", 422,
                            "\"beta is Infinity; it must be finite\"");
    evaluate_expect("nll", "{\"input\":[[-1,-2]],\"target\":[1],\"ignore_index\":null}",
                    "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    evaluate_expect_problem("nll", "{\"input\":[[-1,-2]],\"target\":[-100],\"ignore_index\":null}",
                            422, "\"target[0] is -100; class indices must be in [0, 2)\"");
    evaluate_expect_problem(
        "cross_entropy",
        "{\"input\":[[-1,-2]],\"target\":[-9223372036854775808],\"ignore_index\":null}", 422,
        "\"target[0] is -9223372036854775808; class indices must be in [0, 2)\"");
}
END_TEST

/* The body is 8 MiB of white space that ends in invalid JSON: a parser that reads all of it returns
   400, even if the request is cancelled. */
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
    struct quota quota = unlimited_quota(&cancel);
    char *const body = malloc(LEN + 1);
    ck_assert_ptr_nonnull(body);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        memset(body, ' ', LEN);
        memcpy(body, heads[i], strlen(heads[i]));
        body[LEN - 1] = 'x';
        body[LEN] = '\0';
        for (int round = 0; round < 2; round++) {
            cancel = round == 1;
            response_free(&evaluate_response);
            evaluate_response = (struct response){0};
            handler_serve(
                &v1_evaluate,
                &(struct request_view){.loss = "huber", .body = body, .len = LEN, .quota = &quota},
                1, &evaluate_response);
            ck_assert_msg(evaluate_response.status ==
                              (cancel ? response_status(LOSS_CANCELLED) : 400),
                          "%s: %d", heads[i], evaluate_response.status);
        }
    }
    free(body);
}
END_TEST

START_TEST(response_contains_only_the_requested_results)
{
    evaluate_expect(
        "mse", "{\"input\":[1,2,3],\"target\":[1,2,5],\"grad\":true}",
        "{\"loss\":1.3333333333333333,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":3,"
        "\"grad\":{\"input\":[0,0,-1."
        "3333334]}}\n");
    evaluate_expect("mse", "{\"input\":1,\"target\":3}",
                    "{\"loss\":4,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    evaluate_expect(
        "mse",
        "{\"input\":1,\"target\":3,\"reduction\":\"none\",\"grad\":[\"target\",\"input\"],"
        "\"grad_output\":10}",
        "{\"loss\":4,\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":1,\"grad\":{"
        "\"input\":-40,\"target\":40}}\n");
    evaluate_expect(
        "l1", "{\"input\":[],\"target\":[]}",
        "{\"loss\":\"NaN\",\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":0}\n");
    evaluate_expect("l1", "{\"input\":[NaN,Infinity],\"target\":[0,0],\"reduction\":\"none\"}",
                    "{\"loss\":[\"NaN\",\"Infinity\"],\"reduction\":\"none\",\"dtype\":\"float32\","
                    "\"count\":2,\"nonfinite\":2}\n");
    evaluate_expect(
        "MSELoss", " \r\n\t{ \"input\" : [ 1 , 2 ] , \"target\":[[1,2],[3,4]]}\n",
        "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":4,\"warnings\":["
        "\"the shapes of target and input differ; they are broadcast, which is probably not "
        "intended\"]}\n");
}
END_TEST

START_TEST(tensors_are_returned_in_the_encoding_of_the_request)
{
    evaluate_expect(
        "l1",
        "{\"input\":{\"shape\":[2,1],\"data\":[5,-5]},\"target\":[[0],[0]],\"grad\":true,"
        "\"reduction\":\"sum\"}",
        "{\"loss\":10,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":2,\"grad\":{"
        "\"input\":{\"shape\":[2,1],\"dtype\":"
        "\"float32\",\"data\":[1,-1]}}}\n");
    evaluate_expect(
        "l1",
        "{\"input\":{\"data\":[[5],[-5]]},\"target\":[[0],[0]],\"grad\":true,\"reduction\":"
        "\"sum\"}",
        "{\"loss\":10,\"reduction\":\"sum\",\"dtype\":\"float32\",\"count\":2,\"grad\":{"
        "\"input\":[[1],[-1]]}}\n");
    /* 0.5 and -0.5 */
    evaluate_expect(
        "l1",
        "{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAL8=\","
        "\"encoding\":\"base64\"}},"
        "\"target\":0,\"grad\":true,\"reduction\":\"none\"}",
        "{\"loss\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAD8=\","
        "\"encoding\":\"base64\"}},\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":2,"
        "\"warnings\":[\"the shapes of target and input differ; they are broadcast, which is "
        "probably not "
        "intended\"],\"grad\":{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{"
        "\"buffer\":\"AACAPwAAgL8=\",\"encoding\":\"base64\"}}}}\n");
    evaluate_expect(
        "l1", "{\"input\":[5],\"target\":[0],\"grad\":true,\"encoding\":\"flat\"}",
        "{\"loss\":5,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1,\"grad\":{"
        "\"input\":{\"shape\":[1],\"dtype\":"
        "\"float32\","
        "\"data\":[1]}}}\n");
    /* A nested array cannot represent that the rows have three columns. */
    evaluate_expect(
        "l1",
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
    evaluate_expect(
        "l1",
        "{\"input\":[100000000000000000000,1e20,-0.0,1E2,true],\"target\":[0,0,0,0,0],"
        "\"reduction\":\"none\",\"dtype\":"
        "\"float64\"}",
        "{\"loss\":[1e20,1e20,0,100,1],\"reduction\":\"none\",\"dtype\":\"float64\",\"count\":"
        "5}\n");
    evaluate_expect(
        "l1",
        "{\"input\":[null,\"NaN\",\"Infinity\",\"-Infinity\",-Infinity],\"target\":[0,0,0,0,0],"
        "\"grad\":true,\"reduction\":"
        "\"none\"}",
        "{\"loss\":[\"NaN\",\"NaN\",\"Infinity\",\"Infinity\",\"Infinity\"],\"reduction\":"
        "\"none\",\"dtype\":\"float32\","
        "\"count\":5,"
        "\"nonfinite\":5,\"grad\":{\"input\":[0,0,1,-1,-1]}}\n");
    /* rounded to float32 once, directly from the text; rounding to double first would yield 1 */
    evaluate_expect(
        "l1", "{\"input\":[1.00000005960464477539062500000001],\"target\":[0]}",
        "{\"loss\":1.0000001192092896,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

START_TEST(byte_order_mark_before_the_body_is_ignored)
{
    evaluate_expect("mse", "\xef\xbb\xbf {\"input\":[1,2],\"target\":[1,0]}",
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
        evaluate_expect("mse", body,
                        "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
        snprintf(body, sizeof body,
                 "{\"dtype\":\"float32\",\"input\":{\"shape\":[1],\"dtype\":\"%s\",\"data\":{"
                 "\"encoding\":\"base64\","
                 "\"buffer\":\"%s\"}},"
                 "\"target\":[0]}",
                 dtypes[i], ones[i]);
        evaluate_expect("mse", body,
                        "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    }
    /* PHP escapes slashes: "/////////38=" is NaN in float64; here 255 in uint8 */
    evaluate_expect("l1",
                    "{\"input\":{\"shape\":[1],\"dtype\":\"uint8\",\"data\":{\"buffer\":\"\\/"
                    "w==\",\"encoding\":\"base64\"}},\"target\":[0]}",
                    "{\"loss\":255,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

START_TEST(escapes_in_base64_are_decoded)
{
    /* "AAAAAAAA+D8=", 1.5 in float64, with the plus sign escaped as .NET writes it */
    evaluate_expect("l1",
                    "{\"input\":{\"shape\":[1],\"dtype\":\"float64\",\"data\":{\"buffer\":"
                    "\"AAAAAAAA\\u002bD8=\",\"encoding\":\"base64\"}},"
                    "\"target\":[0],\"encoding\":\"flat\"}",
                    "{\"loss\":1.5,\"reduction\":\"mean\",\"dtype\":\"float64\",\"count\":1}\n");
    /* slashes and padding, escaped or not, as PHP and Gson write them */
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
        ck_assert_ptr_nonnull(strstr(evaluate_text("l1", body), "{\"loss\":255,"));
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
    evaluate_expect(
        "bce",
        "{\"input\":[0.5],\"target\":[0.5],\"weight\":null,\"grad_output\":null,\"grad\":true}",
        "{\"loss\":0.6931471805599453,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1,"
        "\"grad\":{\"input\":[0]}}\n");
    evaluate_expect_problem(
        "mse", "{\"input\":[1],\"target\":null}", 422,
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
    evaluate_expect_problem("mse", "{\"it's\":0}", 400, "\"mse has no field 'it\\\\'s' (byte 8)\"");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"shape\":[\"a b\"]}}", 400,
                            "\"input/shape: a dimension is \\\"a b\\\"; it must be");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"shape\":[\"a b]}}", 400,
                            "\"input/shape: a dimension is \\\"a...\\\"; it must be");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"shape\":[x'2]}}", 400,
                            "\"input/shape: a dimension is x\\\\'2; it must be");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"shape\":[[1]]}}", 400,
                            "\"input/shape: '[' where a dimension was expected");
}
END_TEST

START_TEST(keys_may_be_escaped)
{
    evaluate_expect_problem("mse", "{\"\\ud83d\\ude00\\u00e9\\u20ac\\\"\\\\\\/\\b\\f\\n\\r\\t\":0}",
                            400,
                            "\"mse has no field '\?\?\?\?\?\?\?\?\?\\\"\\\\\\\\/\?\?\?\?\?' (byte "
                            "44)\",\"pointer\":\"/\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac");
    evaluate_expect_problem(
        "mse", "{\"\\u0000\":0}", 400,
        "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    evaluate_expect_problem(
        "mse", "{\"\\ud800\":0}", 400,
        "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    evaluate_expect_problem(
        "mse", "{\"\\udc00\\ud800\":0}", 400,
        "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    evaluate_expect_problem(
        "mse", "{\"\\ud800\\u0041\":0}", 400,
        "\"the name of a field has more than 255 bytes, or is not valid text (byte 1)\"");
    evaluate_expect("l1", "{\"\\u0069nput\":[5],\"t\\u0061rget\":[0],\"reduction\":\"m\\u0065an\"}",
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
        const char *const pointer = strstr(evaluate_text("mse", body), "\"pointer\":\"");
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
    evaluate_expect("huber", "{\"input\":[3],\"target\":[0],\"delta\":2}",
                    "{\"loss\":4,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    evaluate_expect("nll", "{\"input\":[[-1,-2],[-3,-4]],\"target\":[0,1],\"ignore_index\":1.0}",
                    "{\"loss\":1,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}\n");
    evaluate_expect(
        "kl_div", "{\"input\":[0],\"target\":[0],\"log_target\":true,\"reduction\":\"batchmean\"}",
        "{\"loss\":0,\"reduction\":\"batchmean\",\"dtype\":\"float32\",\"count\":1}\n");
}
END_TEST

/* ---- Request heads ---- */

static int head(const char *loss, const char *content_type, const char *accept, const char *query)
{
    response_free(&evaluate_response);
    evaluate_response = (struct response){0};
    struct request_view view = {
        .loss = loss, .content_type = content_type, .accept = accept, .query = query};
    struct loss_error error;
    if (v1_evaluate.validate_head(&view, &error) == LOSS_OK)
        return 200;
    response_error(&evaluate_response, &error);
    return evaluate_response.status;
}

START_TEST(media_types_are_negotiated)
{
    ck_assert_int_eq(head("mse", "application/json", NULL, NULL), 200);
    ck_assert_int_eq(head("mse", "Application/JSON; charset=utf-8", "*/*", NULL), 200);
    ck_assert_int_eq(head("mse", "application/vnd.x+json", "text/html, application/*;q=0.1", NULL),
                     200);
    ck_assert_int_eq(head("mse", "text/plain", NULL, NULL), 415);
    ck_assert_int_eq(head("mse", "", NULL, NULL), 415);
    ck_assert_ptr_nonnull(strstr(evaluate_response.body.data,
                                 "Content-Type has no media type; send application/json"));
    ck_assert_int_eq(head("mse", " ; charset=utf-8", NULL, NULL), 415);
    ck_assert_int_eq(head("mse", "application/x-www-form-urlencoded", NULL, NULL), 415);
    ck_assert_ptr_nonnull(strstr(evaluate_response.body.data, "curl --json"));
    ck_assert_int_eq(head("mse", NULL, "text/html", NULL), 406);
    ck_assert_int_eq(head("mse", NULL, "application/json;q=0, application/*;q=0", NULL), 406);
    ck_assert_int_eq(head("mse", NULL, NULL, "grad"), 400);
    ck_assert_ptr_nonnull(
        strstr(evaluate_response.body.data,
               "the query has 'grad'; a JSON request has its fields in the body"));
    ck_assert_int_eq(head("mes", NULL, NULL, NULL), 404);
    ck_assert_ptr_nonnull(
        strstr(evaluate_response.body.data, "no such loss 'mes'; did you mean 'mse'?"));
}
END_TEST

START_TEST(problem_documents_escape_quoted_text)
{
    ck_assert_int_eq(head("a\"\x01\xff+", NULL, NULL, NULL), 404);
    json_t *problem = json_loadb(evaluate_response.body.data, evaluate_response.body.len, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "detail")),
                     "no such loss 'a\"??+'; GET /v1/losses lists them");
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

Suite *json_responses_suite(void)
{
    Suite *suite = suite_create("json_responses");
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
    SUITE_ADD(suite, "json_heads", media_types_are_negotiated,
              problem_documents_escape_quoted_text);
    TCase *descriptions = suite_add_case(suite, "json_descriptions", 60, NULL, NULL);
    tcase_add_loop_test(descriptions, every_loss_describes_itself, 0, (int)loss_count());
    return suite;
}
