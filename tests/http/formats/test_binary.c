/*
 * safetensors files as requests and responses. Results must have the same bits as those of the same
 * request in JSON with base64 tensors.
 */
#include "golden/golden.h"
#include "suites.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "support/tensor_file.h"
#include "json/base64.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server_process server;
static struct http_client client;
static struct http_response response, other;

static void setup(void)
{
    server_process_start(&server, server_process_defaults);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    http_response_free(&other);
    server_process_end(&server);
}

/* ---- Requests ---- */

#define SAFETENSORS "Content-Type: application/vnd.safetensors\r\n"
#define TAKE_JSON   "Accept: application/json\r\n"

static void ask(const char *path, const char *headers, const struct buffer *body)
{
    ck_assert(http_client_ask(&client, "POST", path, headers, body->data, body->len, &response));
}

/* Sends a file and frees it. */
static void ask_file(const char *path, const char *headers, struct buffer file)
{
    ask(path, headers, &file);
    buffer_free(&file);
}

static void expect_type(const char *type)
{
    char found[128];
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Type", found, sizeof found));
    ck_assert_str_eq(found, type);
}

static void expect_problem(int status, const char *text)
{
    ck_assert_msg(response.status == status, "expected status %d with '%s', got: %s", status, text,
                  response.body);
    expect_type("application/problem+json");
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
}

static const float three[] = {0.5F, 0.25F, 2}, others[] = {1, 0.25F, -1};

/* Returns a file of three predictions and targets, and the given members. */
static struct buffer mse_file(const char *members, size_t spaces)
{
    struct tensor_file file = {{0}, {0}};
    if (members)
        tensor_file_add_raw(&file, members);
    tensor_file_add(&file, "input", "F32", "3", three, sizeof three);
    tensor_file_add(&file, "target", "F32", "3", others, sizeof others);
    return tensor_file_end(&file, spaces);
}

/* ---- Responses ---- */

START_TEST(response_has_results_as_tensors_and_the_rest_as_metadata)
{
    size_t len;
    double loss;
    float gradient[3];
    ask_file("/v1/losses/mse?grad=true&hess=true&reduction=sum", SAFETENSORS, mse_file(NULL, 0));
    ck_assert_msg(response.status == 200, "%s", response.body);
    expect_type("application/vnd.safetensors");
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    memcpy(&loss, tensor_answer_data(&answer, "loss", "F64", "", &len), sizeof loss);
    ck_assert_double_eq(loss, 9.25);
    memcpy(gradient, tensor_answer_data(&answer, "grad_input", "F32", "3", &len), sizeof gradient);
    ck_assert_float_eq(gradient[0], -1);
    ck_assert_float_eq(gradient[1], 0);
    ck_assert_float_eq(gradient[2], 6);
    memcpy(gradient, tensor_answer_data(&answer, "hess_input", "F32", "3", &len), sizeof gradient);
    ck_assert_float_eq(gradient[2], 2);
    ck_assert_str_eq(tensor_answer_metadata(&answer, "count"), "3");
    ck_assert_str_eq(tensor_answer_metadata(&answer, "reduction"), "sum");
    ck_assert_str_eq(tensor_answer_metadata(&answer, "dtype"), "float32");
    ck_assert_ptr_null(tensor_answer_metadata(&answer, "nonfinite"));
    ck_assert_ptr_null(tensor_answer_metadata(&answer, "warnings"));
    tensor_answer_free(&answer);
}
END_TEST

START_TEST(response_without_reduction_has_the_shape_and_dtype_of_the_terms)
{
    size_t len;
    float terms[3];
    ask_file("/v1/losses/l1?reduction=none", SAFETENSORS, mse_file(NULL, 0));
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    memcpy(terms, tensor_answer_data(&answer, "loss", "F32", "3", &len), sizeof terms);
    ck_assert_float_eq(terms[0], 0.5F);
    ck_assert_float_eq(terms[2], 3);
    tensor_answer_free(&answer);

    const double number = 4;
    struct tensor_file file = {{0}, {0}};
    tensor_file_add(&file, "input", "F64", "", &number, sizeof number);
    tensor_file_add(&file, "target", "F32", "", three, sizeof *three);
    ask_file("/v1/losses/l1?reduction=none", SAFETENSORS, tensor_file_end(&file, 0));
    answer = tensor_answer_read(response.body, response.body_len);
    ck_assert_double_eq(*(const double *)tensor_answer_data(&answer, "loss", "F64", "", &len), 3.5);
    tensor_answer_free(&answer);
}
END_TEST

START_TEST(response_reports_nonfinite_values_and_warnings)
{
    const float numbers[] = {1, INFINITY, NAN};
    size_t len;
    struct tensor_file file = {{0}, {0}};
    tensor_file_add(&file, "input", "F32", "3", numbers, sizeof numbers);
    tensor_file_add(&file, "target", "F32", "1", numbers, sizeof *numbers);
    ask_file("/v1/losses/mse?grad=true", SAFETENSORS, tensor_file_end(&file, 0));
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    ck_assert(isnan(*(const double *)tensor_answer_data(&answer, "loss", "F64", "", &len)));
    ck_assert_str_eq(tensor_answer_metadata(&answer, "nonfinite"), "2");
    ck_assert_ptr_nonnull(strstr(tensor_answer_metadata(&answer, "warnings"), "broadcast"));
    tensor_answer_free(&answer);
}
END_TEST

START_TEST(empty_tensors_are_accepted_and_returned)
{
    size_t len;
    struct tensor_file file = {{0}, {0}};
    tensor_file_add(&file, "input", "F32", "0,4", "", 0);
    tensor_file_add(&file, "target", "F32", "0,4", "", 0);
    ask_file("/v1/losses/mse?grad=true&reduction=none", SAFETENSORS, tensor_file_end(&file, 0));
    ck_assert_int_eq(response.status, 200);
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    tensor_answer_data(&answer, "grad_input", "F32", "0,4", &len);
    ck_assert_uint_eq(len, 0);
    tensor_answer_free(&answer);
}
END_TEST

/* ---- Parameters ---- */

static void expect_json(const char *path, struct buffer file, const char *text)
{
    ask_file(path, SAFETENSORS TAKE_JSON, file);
    ck_assert_int_eq(response.status, 200);
    expect_type("application/json");
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
}

#define METADATA(fields) "\"__metadata__\":{" fields "}"

START_TEST(null_metadata_is_ignored)
{
    expect_json("/v1/losses/mse?reduction=sum", mse_file("\"__metadata__\":null", 0),
                "\"loss\":9.25");
    ask_file("/v1/losses/mse", SAFETENSORS TAKE_JSON, mse_file("\"__metadata__\":nul", 0));
    expect_problem(400, "__metadata__");
}
END_TEST

START_TEST(query_parameters_override_metadata)
{
    expect_json("/v1/losses/mse", mse_file(METADATA("\"reduction\":\"sum\""), 0), "\"loss\":9.25");
    expect_json("/v1/losses/mse",
                mse_file(METADATA("\"format\":\"pt\",\"reduction\": \"s\\u0075m\" "), 0),
                "\"loss\":9.25");
    expect_json("/v1/losses/mse?reduction=none", mse_file(METADATA("\"reduction\":\"sum\""), 0),
                "\"loss\":[0.25,0,9]");
    expect_json("/v1/losses/mse?grad_output=2", mse_file(METADATA("\"grad\":\"input,target\""), 0),
                "\"target\":[0.6666667,");
    expect_json("/v1/losses/mse?gr%61d=in%70ut", mse_file(METADATA("\"dtype\":\"float64\""), 0),
                "\"grad\":{\"input\":[-0.3333333333");
    expect_json("/v1/losses/huber?delta=5e-1&&reduction=sum", mse_file(NULL, 3), "\"loss\":1.5");
    for (size_t i = 0; i < 2; i++) {
        static const char *const paths[] = {"/v1/losses/huber?delta=Infinity",
                                            "/v1/losses/huber?delta=inf"};
        expect_json(paths[i], mse_file(NULL, 3), "\"loss\":1.541");
    }
    expect_json("/v1/losses/mse?encoding=flat&reduction=none", mse_file(NULL, 3),
                "\"loss\":{\"shape\":[3],\"dtype\":\"float32\",\"data\":[0.25,0,9]}");
    expect_json("/v1/losses/kl_div?log_target=true&reduction=sum",
                mse_file(METADATA("\"log_target\":\"False\""), 0), "\"loss\"");
}
END_TEST

START_TEST(invalid_parameters_get_the_errors_of_json_fields)
{
    static const struct {
        const char *query, *text;
        int status;
    } cases[] = {
        {"delta=a", "delta is 'a'; it must be a number", 400},
        {"delta=1x", "delta is '1x'; it must be a number", 400},
        {"delta=", "delta is ''; it must be a number", 400},
        {"delta=-1", "delta is -1; it must be greater than 0", 422},
        {"delt=1", "huber has no field 'delt'; did you mean 'delta'?\",\"pointer\":\"/delt\"", 400},
        {"reduce=1", "reduce is deprecated in PyTorch and not supported; use reduction", 400},
        {"reduction=sun",
         "reduction is 'sun'; it must be 'mean', 'sum' or 'none'; did you mean 'sum'?", 422},
        {"reduction=sum,mean", "reduction is 'sum,mean'; it must be", 422},
        {"grad=input,targe", "huber has no tensor 'targe'; did you mean 'target'?", 422},
        {"grad=",
         "grad is ''; it must be true, false, or names of tensors with commas between them", 400},
        {"grad=input,", "huber has no tensor ''", 422},
        {"dtype=float16", "dtype is 'float16'; it must be 'float32' or 'float64'", 422},
        {"input=1", "input is a tensor: send it in the body, not among the parameters", 400},
        {"grad_output=x", "grad_output is 'x'; it must be a number", 400},
        {"grad_output=1e999", "grad_output is out of range", 422},
        {"delta=1&delta=2", "duplicate field 'delta'", 400},
        {"delta=%4", "the query holds a broken percent escape: 'delta=%4'", 400},
        {"delta=%00", "the query holds a NUL byte", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "/v1/losses/huber?%s", cases[i].query);
        ask_file(path, SAFETENSORS, mse_file(NULL, 0));
        expect_problem(cases[i].status, cases[i].text);
    }
    ask_file("/v1/losses/nll?ignore_index=1.5", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(400, "ignore_index is '1.5'; it must be a whole number");
    ask_file("/v1/losses/kl_div?log_target=1", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(400, "log_target is '1'; it must be true or false");
    ask_file("/v1/losses/triplet_margin?distance=cosin", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(422, "did you mean 'cosine'?");
    ask_file("/v1/losses/huber", SAFETENSORS, mse_file(METADATA("\"delta\":\"a\""), 0));
    expect_problem(400,
                   "delta is 'a'; it must be a number\",\"pointer\":\"/delta\",\"offset\":33}");
    ask_file("/v1/losses/huber", SAFETENSORS,
             mse_file(METADATA("\"grad\":\"true\",\"grad\":\"true\""), 0));
    expect_problem(400, "duplicate field 'grad'");
}
END_TEST

START_TEST(json_requests_reject_a_query)
{
    static const char json[] = "{\"input\":1,\"target\":2}";
    const struct buffer body = {.data = (char *)(uintptr_t)json, .len = sizeof json - 1};
    ask("/v1/losses/mse?grad=true", "Content-Type: application/json\r\n", &body);
    expect_problem(400, "a JSON request has its fields in the body");
}
END_TEST

START_TEST(invalid_query_is_rejected_before_the_body)
{
    ck_assert(http_client_send_text(
        &client, "POST /v1/losses/mse?redction=sum HTTP/1.1\r\nHost: localhost\r\n" SAFETENSORS
                 "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    expect_problem(400, "mse has no field 'redction'; did you mean 'reduction'?");
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* ---- Media types ---- */

START_TEST(accept_selects_json_or_safetensors)
{
    static const char json[] = "{\"input\":[1,2],\"target\":[2,4]}";
    static const struct {
        const char *accept, *for_json, *for_safetensors;
    } cases[] = {
        {"", "application/json", "application/vnd.safetensors"},
        {"Accept: */*\r\n", "application/json", "application/vnd.safetensors"},
        {"Accept: application/*\r\n", "application/json", "application/vnd.safetensors"},
        {"Accept: application/json\r\n", "application/json", "application/json"},
        {"Accept: application/vnd.safetensors\r\n", "application/vnd.safetensors",
         "application/vnd.safetensors"},
        {"Accept: application/octet-stream\r\n", "application/octet-stream",
         "application/octet-stream"},
        {"Accept: application/json;q=0.5, application/vnd.safetensors;q=0.6\r\n",
         "application/vnd.safetensors", "application/vnd.safetensors"},
        {"Accept: application/json;q=0.6, application/vnd.safetensors;q=0.5\r\n",
         "application/json", "application/json"},
        {"Accept: application/json, application/vnd.safetensors\r\n", "application/json",
         "application/vnd.safetensors"},
        {"Accept: application/json, */*;q=0.5\r\n", "application/json", "application/json"},
        {"Accept: application/json;q=0.9, application/vnd.safetensors;q=nan\r\n",
         "application/vnd.safetensors", "application/vnd.safetensors"},
        {"Accept: application/json;q=0, */*\r\n", "application/vnd.safetensors",
         "application/vnd.safetensors"},
        {"Accept: application/vnd.safetensors;q=0, application/octet-stream;q=0, */*\r\n",
         "application/json", "application/json"},
        {"Accept: text/html\r\n", NULL, NULL},
        {"Accept: */*;q=0\r\n", NULL, NULL},
        /* Commas and semicolons within quotes do not separate. */
        {"Accept: text/html;x=\"a, */*, b\"\r\n", NULL, NULL},
        {"Accept: application/*;x=\"1,2\";q=0\r\n", NULL, NULL},
        {"Accept: */*;x=\"\\\",;q=0\"\r\n", "application/json", "application/vnd.safetensors"},
        {"Accept: text/html;x=\"a, */*\r\n", NULL, NULL},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const bool binary = i % 2;
        const char *const expected = binary ? cases[i / 2].for_safetensors : cases[i / 2].for_json;
        char headers[256];
        struct buffer body = {0};
        snprintf(headers, sizeof headers, "Content-Type: application/%s\r\n%s",
                 binary ? "octet-stream" : "json", cases[i / 2].accept);
        if (binary)
            body = mse_file(NULL, 0);
        else
            buffer_text(&body, json);
        ask("/v1/losses/mse", headers, &body);
        buffer_free(&body);
        if (!expected) {
            expect_problem(
                406, "responses are application/json or application/vnd.safetensors; Accept '");
            continue;
        }
        ck_assert_int_eq(response.status, 200);
        /* A file may be sent as an octet stream, but the response names the format. */
        expect_type(expected);
    }
}
END_TEST

START_TEST(json_request_can_get_a_safetensors_response)
{
    static const char json[] =
        "{\"input\":[1,2],\"target\":[2,4],\"grad\":true,\"dtype\":\"float64\"}";
    const struct buffer body = {.data = (char *)(uintptr_t)json, .len = sizeof json - 1};
    size_t len;
    ask("/v1/losses/mse",
        "Content-Type: application/json\r\nAccept: application/vnd.safetensors\r\n", &body);
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    ck_assert_double_eq(*(const double *)tensor_answer_data(&answer, "loss", "F64", "", &len), 2.5);
    ck_assert_double_eq(
        ((const double *)tensor_answer_data(&answer, "grad_input", "F64", "2", &len))[1], -2);
    tensor_answer_free(&answer);
}
END_TEST

/* ---- Invalid files ---- */

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end \
    "]}"

START_TEST(malformed_file_is_rejected_with_the_position)
{
    static const struct {
        const char *header;
        size_t len;
        const char *text;
    } cases[] = {
        {"", 0, "the end where '{' was expected (byte 8)"},
        {" {}", 0, "byte 0x20 where '{' was expected (byte 8)"},
        {"[]", 0, "'[' where '{' was expected (byte 8)"},
        {"{", 0, "the end where a field name in quotes was expected (byte 9)"},
        {"{\"input\":1}", 0, "'1' where '{' was expected (byte 17)"},
        {"{\"input\":{\"dtype\":\"F32\"}", 0, "input: there is no 'shape'"},
        {"{\"input\":{}}", 0, "input: there is no 'dtype'"},
        {"{} x", 0, "'x' where the end of the header was expected (byte 11)"},
        {"{" TENSOR("input", "F33", "3", "0", "12") "}", 12,
         "input: dtype 'F33' is not supported; F64, F32, F16, BF16"},
        {"{" TENSOR("input", "U63", "3", "0", "24") "}", 24, "input: dtype 'U63' is not supported"},
        {"{" TENSOR("input", "F32", "3", "0", "10") "}", 10,
         "input: data_offsets [0, 10] span 10 bytes; shape (3,) of F32 takes 12 (byte 59)"},
        {"{" TENSOR("input", "F32", "3", "0", "12") "}", 10,
         "input: data_offsets end at 12; after the header there are 10 bytes"},
        {"{" TENSOR("input", "F32", "3", "12", "0") "}", 12,
         "input: data_offsets [12, 0] end before they begin"},
        {"{" TENSOR("input", "F32", "3", "0", "12,12") "}", 12,
         "input: there are more than 2 numbers in this array"},
        {"{\"input\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0]}}", 12,
         "input: data_offsets are two numbers"},
        {"{" TENSOR("input", "F32", "-3", "0", "12") "}", 12,
         "input: shape and data_offsets must be integers in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "1.5", "0", "12") "}", 12,
         "input: shape and data_offsets must be integers in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "99999999999999999999", "0", "12") "}", 12,
         "input: shape and data_offsets must be integers in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "4294967296,4294967296", "0", "12") "}", 12,
         "input: shape (4294967296, 4294967296) has more elements than can be addressed"},
        {"{" TENSOR("input", "F32", "9223372036854775807,9223372036854775807,0", "0", "0") "}", 0,
         "has more elements than can be addressed"},
        {"{" TENSOR("input", "F32", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "0", "4") "}", 4,
         "input: there are more than 16 numbers in this array"},
        {"{" TENSOR("input", "F32", "1", "0", "4") "," TENSOR("input", "F32", "1", "4", "8") "}", 8,
         "duplicate tensor 'input' (byte 74)"},
        {"{\"input\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, "input: duplicate field 'dtype'"},
        {"{\"input\":{\"dtyp\":\"F32\"}}", 0,
         "input: a tensor has dtype, shape and data_offsets, but no 'dtyp'"},
        {"{\"input\":{\"dtype\":7}}", 0,
         "'7' where the name of a dtype in quotes was expected (byte 26)"},
        {"{\"input\":{\"shape\":7}}", 0, "'7' where an array was expected (byte 26)"},
        {"{" TENSOR("inputs", "F32", "1", "0", "4") "}", 4,
         "mse has no tensor 'inputs'; did you mean 'input'?"},
        {"{" TENSOR("reduction", "F32", "1", "0", "4") "}", 4,
         "reduction is not a tensor: send it in the query or in __metadata__"},
        {"{" TENSOR("input", "F32", "2", "0", "8") "," TENSOR("target", "F32", "2", "4", "12") "}",
         12, "target: its bytes begin at 4, before 8, where those of input end (byte 117)"},
        {"{" TENSOR("input", "F32", "2", "0", "8") "," TENSOR("target", "F32", "2", "12", "20") "}",
         20,
         "target: its bytes begin at 12; there is a gap after 8, where those of input end (byte "
         "117)"},
        {"{" TENSOR("input", "F32", "2", "4", "12") "}", 12,
         "input: its bytes begin at 4; those of the first tensor must begin at 0"},
        {"{" TENSOR("input", "F32", "2", "0", "8") "}", 12,
         "the last 4 bytes of the file belong to no tensor\",\"offset\":74}"},
        {"{\"__metadata__\":{\"grad\":true}}", 0,
         "'t' where a string, as all metadata are, was expected (byte 32)"},
        {"{\"__metadata__\":[]}", 0, "'[' where '{' was expected (byte 24)"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "there are two '__metadata__'"},
        {"{\"__metadata__\":{\"input\":\"1\"}}", 0,
         "input is a tensor: send it in the body, not among the parameters"},
        {"{\"\xff\":{}}", 0, "byte 0xff where the rest of a string was expected (byte 10)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask_file("/v1/losses/mse", SAFETENSORS, tensor_file_raw(cases[i].header, cases[i].len));
        expect_problem(400, cases[i].text);
    }
}
END_TEST

START_TEST(wrong_header_length_is_rejected)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"", 0,
         "a safetensors file begins with 8 bytes, the length of its header; the body has 0 (byte "
         "0)"},
        {"\2\0\0\0\0\0\0", 7, "the body has 7 (byte 0)"},
        {"\3\0\0\0\0\0\0\0{}", 10, "the header is declared to have 3 bytes, but 2 follow (byte 0)"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
         "the header is declared to have 18446744073709551615 bytes, but 2 follow"},
        {"{\"input\": [1], \"target\": [1]}", 29, "a safetensors file was expected"},
        {"\1\0\0\0\0\0\0\0{}", 10, "the end where a field name in quotes was expected (byte 9)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct buffer body = {.data = (char *)(uintptr_t)cases[i].bytes, .len = cases[i].len};
        ask("/v1/losses/mse", SAFETENSORS, &body);
        expect_problem(400, cases[i].text);
    }
    ask_file("/v1/losses/mse", SAFETENSORS, mse_file(NULL, 2 << 20));
    expect_problem(400, "; the limit is 1048576 (byte 0)");
}
END_TEST

START_TEST(missing_tensors_and_invalid_values_get_the_errors_of_json)
{
    const int64_t classes[] = {0, 2};
    const float probability = 1.5F;
    struct tensor_file file = {{0}, {0}};
    ask_file("/v1/losses/mse", SAFETENSORS,
             tensor_file_raw("{" TENSOR("input", "F32", "1", "0", "4") "}", 4));
    expect_problem(422, "target is missing");
    tensor_file_add(&file, "input", "F32", "2,2", "0123456789abcdef", 16);
    tensor_file_add(&file, "target", "I64", "2", classes, sizeof classes);
    struct buffer whole = tensor_file_end(&file, 0);
    char offset[64];
    snprintf(offset, sizeof offset, "\"pointer\":\"/target/1\",\"offset\":%zu", whole.len - 8);
    ask_file("/v1/losses/cross_entropy", SAFETENSORS, whole);
    expect_problem(422, "target[1] is 2; class indices must be in [0, 2)");
    expect_problem(422, offset);
    tensor_file_add(&file, "input", "F32", "", &probability, 4);
    tensor_file_add(&file, "target", "F32", "", &probability, 4);
    ask_file("/v1/losses/bce", SAFETENSORS, tensor_file_end(&file, 0));
    expect_problem(422, "input is 1.5; ");
}
END_TEST

/* ---- Comparison with JSON ---- */

/* A request in both formats. */
struct twin {
    struct tensor_file file;
    json_t *json; /* owned */
    struct buffer query;
};

static const char *dtype_of_file(enum loss_dtype dtype)
{
    static const char *const names[LOSS_DTYPE_COUNT] = {NULL,  "F64", "F32", "F16", "BF16",
                                                        "I64", "I32", "I16", "I8",  "U64",
                                                        "U32", "U16", "U8",  "BOOL"};
    return names[dtype];
}

static void twin_add(struct twin *twin, const char *name, const struct loss_tensor *tensor)
{
    const size_t len = loss_tensor_bytes(tensor);
    char shape[256] = "", *text = calloc(base64_text_len(len) + 1, 1);
    json_t *sizes = json_array();
    for (int axis = 0; axis < tensor->rank; axis++) {
        snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%zu", axis ? "," : "",
                 tensor->shape[axis]);
        json_array_append_new(sizes, json_integer((json_int_t)tensor->shape[axis]));
    }
    base64_encode(text, tensor->data, len);
    json_object_set_new(twin->json, name,
                        json_pack("{s:o,s:s,s:{s:s,s:s}}", "shape", sizes, "dtype",
                                  loss_dtype_name(tensor->dtype), "data", "buffer", text,
                                  "encoding", "base64"));
    tensor_file_add(&twin->file, name, dtype_of_file(tensor->dtype), shape, tensor->data, len);
    free(text);
}

/* Sets a parameter; steals the reference to the value. */
static void twin_set(struct twin *twin, const char *name, json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    buffer_printf(&twin->query, "%c%s=%s", twin->query.len ? '&' : '?', name,
                  json_is_string(value) ? json_string_value(value) : text);
    json_object_set_new(twin->json, name, value);
    free(text);
}

static void expect_same_bytes(const struct tensor_answer *answer, const char *name,
                              const json_t *json, const char *what)
{
    size_t len;
    const void *const data = tensor_answer_data(answer, name, NULL, NULL, &len);
    const char *const buffer =
        json_string_value(json_object_get(json_object_get(json, "data"), "buffer"));
    char *const text = calloc(base64_text_len(len) + 1, 1);
    base64_encode(text, data, len);
    if (json_is_number(json))
        ck_assert_msg(*(const double *)data == json_number_value(json), "%s: %s", what, name);
    else if (buffer)
        ck_assert_msg(strcmp(text, buffer) == 0, "%s: %s is %s where JSON has %s", what, name, text,
                      buffer);
    free(text);
}

/* Checks that the safetensors response in `response` equals the JSON response in `other`. */
static void expect_same_answer(const char *what)
{
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    json_t *const json = json_loads(other.body, 0, NULL), *value;
    const char *name;
    char full[64];
    expect_same_bytes(&answer, "loss", json_object_get(json, "loss"), what);
    json_object_foreach(json_object_get(json, "grad"), name, value)
    {
        snprintf(full, sizeof full, "grad_%s", name);
        expect_same_bytes(&answer, full, value, what);
    }
    json_object_foreach(json_object_get(json, "hess"), name, value)
    {
        snprintf(full, sizeof full, "hess_%s", name);
        expect_same_bytes(&answer, full, value, what);
    }
    ck_assert_int_eq(strtoll(tensor_answer_metadata(&answer, "count"), NULL, 10),
                     json_integer_value(json_object_get(json, "count")));
    json_decref(json);
    tensor_answer_free(&answer);
}

/* Sends JSON and expects JSON in `other`. Sends a file with that many spaces before its data, and
   expects JSON and a file. All results must be equal. Frees the twin. */
static void expect_twins_alike(struct twin *twin, const char *loss, size_t spaces, const char *what)
{
    char path[640];
    char *const text = json_dumps(twin->json, JSON_REAL_PRECISION(17));
    struct buffer file = tensor_file_end(&twin->file, spaces);
    snprintf(path, sizeof path, "/v1/losses/%s", loss);
    ck_assert(http_client_ask(&client, "POST", path, "Content-Type: application/json\r\n", text,
                              strlen(text), &other));
    snprintf(path, sizeof path, "/v1/losses/%s%.*s&encoding=base64", loss, (int)twin->query.len,
             twin->query.data);
    ask(path, SAFETENSORS TAKE_JSON, &file);
    ck_assert_msg(response.status == other.status, "%s: %s, but JSON has %s", what, response.body,
                  other.body);
    if (response.status == 200) {
        ck_assert_msg(strcmp(response.body, other.body) == 0, "%s: %s, but JSON has %s", what,
                      response.body, other.body);
        ask(path, SAFETENSORS, &file);
        expect_same_answer(what);
    }
    json_decref(twin->json);
    buffer_free(&twin->query);
    buffer_free(&file);
    free(text);
}

/* Returns a golden tensor with data; the caller frees it. */
static struct loss_tensor filled(const json_t *json)
{
    struct golden_tensor golden = golden_tensor(json);
    struct loss_tensor tensor = golden.shape;
    tensor.data = malloc(golden.count * 8 + 1);
    for (size_t i = 0; i < golden.count; i++)
        if (tensor.dtype == LOSS_INT64)
            ((int64_t *)tensor.data)[i] = (int64_t)golden.value[i];
        else
            ((double *)tensor.data)[i] = golden.value[i];
    golden_tensor_free(&golden);
    return tensor;
}

static void append_name(struct buffer *list, const json_t *expect, const char *prefix,
                        const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s_%s", prefix, name);
    if (json_object_get(expect, full))
        buffer_printf(list, list->len ? ",%s" : "%s", name);
}

static void twin_set_names(struct twin *twin, const char *field, struct buffer *list)
{
    json_t *names = json_array();
    buffer_append(list, "", 1);
    buffer_printf(&twin->query, "%c%s=%s", twin->query.len ? '&' : '?', field,
                  list->len > 1 ? list->data : "false");
    char *rest = list->data, *name;
    while ((name = strsep(&rest, ",")) && *name)
        json_array_append_new(names, json_string(name));
    json_object_set_new(twin->json, field, names);
    buffer_free(list);
}

static struct twin twin_of_case(const json_t *test)
{
    struct twin twin = {.json = json_object()};
    struct buffer grad = {0}, hess = {0};
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(test, "inputs"), name, value)
    {
        const struct loss_tensor tensor = filled(value);
        twin_add(&twin, name, &tensor);
        free(tensor.data);
        append_name(&grad, json_object_get(test, "expect"), "grad", name);
        append_name(&hess, json_object_get(test, "expect"), "hess", name);
    }
    json_object_foreach(json_object_get(test, "params"), name, value)
    {
        if (json_is_object(value)) {
            const struct loss_tensor tensor = filled(value);
            twin_add(&twin, name, &tensor);
            free(tensor.data);
        } else {
            twin_set(&twin, name, json_incref(value));
        }
    }
    twin_set_names(&twin, "grad", &grad);
    twin_set_names(&twin, "hess", &hess);
    return twin;
}

/* _i is the index of the loss. Header lengths vary, so some data are not aligned. */
START_TEST(golden_cases_have_the_bits_of_json)
{
    const char *const loss = loss_at((size_t)_i)->name;
    json_t *const cases = golden_cases(loss);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        struct twin twin = twin_of_case(json_array_get(cases, i));
        expect_twins_alike(&twin, loss, i % 9,
                           json_string_value(json_object_get(json_array_get(cases, i), "id")));
    }
    json_decref(cases);
}
END_TEST

/* Numbers that all dtypes represent, most of them exactly: 0, 1, 1, 0, 1. */
static struct loss_tensor of_dtype(enum loss_dtype dtype, void *room)
{
    static const unsigned char one[LOSS_DTYPE_COUNT][8] = {
        [LOSS_FLOAT64] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f},
        [LOSS_FLOAT32] = {0, 0, 0x80, 0x3f},
        [LOSS_FLOAT16] = {0, 0x3c},
        [LOSS_BFLOAT16] = {0x80, 0x3f},
        [LOSS_INT64] = {1},
        [LOSS_INT32] = {1},
        [LOSS_INT16] = {1},
        [LOSS_INT8] = {1},
        [LOSS_UINT64] = {1},
        [LOSS_UINT32] = {1},
        [LOSS_UINT16] = {1},
        [LOSS_UINT8] = {1},
        [LOSS_BOOL] = {1}};
    static const bool pattern[] = {false, true, true, false, true};
    struct loss_tensor tensor = {.data = room, .dtype = dtype, .rank = 1, .shape = {5}};
    memset(room, 0, 40);
    for (size_t i = 0; i < 5; i++)
        if (pattern[i])
            memcpy((char *)room + i * loss_dtype_size(dtype), one[dtype], loss_dtype_size(dtype));
    return tensor;
}

START_TEST(every_dtype_is_accepted_aligned_or_not)
{
    char room[40], logits[40 * 2], what[128];
    static const float numbers[] = {0.5F, 1, -2, 3, 0.25F, -0.75F, 1, 2, 3, 4};
    memcpy(logits, numbers, sizeof numbers);
    const struct loss_tensor rows = {
        .data = logits, .dtype = LOSS_FLOAT32, .rank = 2, .shape = {5, 2}};
    for (int i = 0; i < 9 * LOSS_DTYPE_COUNT * LOSS_DTYPE_COUNT; i++) {
        const enum loss_dtype of_input = (enum loss_dtype)(i % LOSS_DTYPE_COUNT);
        const enum loss_dtype of_target =
            (enum loss_dtype)(i / LOSS_DTYPE_COUNT % LOSS_DTYPE_COUNT);
        const size_t spaces = (size_t)(i / LOSS_DTYPE_COUNT / LOSS_DTYPE_COUNT);
        if (of_input == LOSS_ANY || of_target == LOSS_ANY)
            continue;
        snprintf(what, sizeof what, "%s, %s, %zu spaces", loss_dtype_name(of_input),
                 loss_dtype_name(of_target), spaces);
        struct twin twin = {.json = json_object()};
        const struct loss_tensor input = of_dtype(of_input, room);
        twin_add(&twin, "input", &input);
        const struct loss_tensor target = of_dtype(of_target, room);
        twin_add(&twin, "target", &target);
        twin_set(&twin, "grad", loss_dtype_is_float(of_input) ? json_true() : json_false());
        expect_twins_alike(&twin, "bce_with_logits", spaces, what);
        if (of_input != LOSS_FLOAT32)
            continue;
        twin = (struct twin){.json = json_object()};
        twin_add(&twin, "input", &rows);
        twin_add(&twin, "target", &target);
        twin_set(&twin, "reduction", json_string("none"));
        expect_twins_alike(&twin, "cross_entropy", spaces, what);
    }
}
END_TEST

/* Large enough for the executor and for copying on several threads. */
START_TEST(large_requests_have_the_bits_of_json)
{
    enum { COUNT = 200 * 1000 };
    static float input[COUNT], target[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        input[i] = (float)((i * 7919) % 1000) * 0.01F;
        target[i] = (float)((i * 104729) % 1000) * 0.01F;
    }
    for (size_t spaces = 0; spaces < 4; spaces++) {
        struct twin twin = {.json = json_object()};
        twin_add(&twin, "input",
                 &(struct loss_tensor){
                     .data = input, .dtype = LOSS_FLOAT32, .rank = 2, .shape = {COUNT / 4, 4}});
        twin_add(&twin, "target",
                 &(struct loss_tensor){
                     .data = target, .dtype = LOSS_FLOAT32, .rank = 2, .shape = {COUNT / 4, 4}});
        twin_set(&twin, "grad", json_true());
        twin_set(&twin, "reduction", json_string(spaces % 2 ? "none" : "mean"));
        expect_twins_alike(&twin, "huber", spaces, "large");
    }
}
END_TEST

START_TEST(real_files_have_the_values_of_pytorch)
{
    static const struct {
        const char *file, *path;
        double loss; /* from tests/real/README.md */
    } cases[] = {
        {"digits", "cross_entropy", 0.24232260580943},
        {"breast_cancer", "bce_with_logits", 0.0979331621478671},
        {"diabetes", "mse", 3139.95456763805},
        {"diabetes", "l1", 44.846349707556},
        {"diabetes", "huber", 44.3483098246321},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128], bytes[65536];
        size_t len;
        snprintf(path, sizeof path, "tests/real/%s.safetensors", cases[i].file);
        FILE *const file = fopen(path, "rb");
        ck_assert_msg(file != NULL, "%s", path);
        const struct buffer body = {.data = bytes, .len = fread(bytes, 1, sizeof bytes, file)};
        fclose(file);
        snprintf(path, sizeof path, "/v1/losses/%s?dtype=float64&grad=true", cases[i].path);
        ask(path, SAFETENSORS, &body);
        struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
        const double loss = *(const double *)tensor_answer_data(&answer, "loss", "F64", "", &len);
        ck_assert_double_eq_tol(loss / cases[i].loss, 1, 1e-12);
        tensor_answer_data(&answer, "grad_input", "F64", NULL, &len);
        ck_assert_uint_gt(len, 0);
        tensor_answer_free(&answer);
    }
}
END_TEST

static TCase *server_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

Suite *binary_suite(void)
{
    Suite *suite = suite_create("binary");
    TCase *tcase = server_case(suite, "binary_answer");
    tcase_add_test(tcase, response_has_results_as_tensors_and_the_rest_as_metadata);
    tcase_add_test(tcase, response_without_reduction_has_the_shape_and_dtype_of_the_terms);
    tcase_add_test(tcase, response_reports_nonfinite_values_and_warnings);
    tcase_add_test(tcase, empty_tensors_are_accepted_and_returned);
    tcase = server_case(suite, "binary_parameters");
    tcase_add_test(tcase, null_metadata_is_ignored);
    tcase_add_test(tcase, query_parameters_override_metadata);
    tcase_add_test(tcase, invalid_parameters_get_the_errors_of_json_fields);
    tcase_add_test(tcase, json_requests_reject_a_query);
    tcase_add_test(tcase, invalid_query_is_rejected_before_the_body);
    tcase = server_case(suite, "binary_media");
    tcase_add_test(tcase, accept_selects_json_or_safetensors);
    tcase_add_test(tcase, json_request_can_get_a_safetensors_response);
    tcase = server_case(suite, "binary_malformed");
    tcase_add_test(tcase, malformed_file_is_rejected_with_the_position);
    tcase_add_test(tcase, wrong_header_length_is_rejected);
    tcase_add_test(tcase, missing_tensors_and_invalid_values_get_the_errors_of_json);
    tcase = server_case(suite, "binary_bits");
    tcase_add_test(tcase, every_dtype_is_accepted_aligned_or_not);
    tcase_add_test(tcase, large_requests_have_the_bits_of_json);
    tcase_add_test(tcase, real_files_have_the_values_of_pytorch);
    tcase = server_case(suite, "binary_golden");
    tcase_add_loop_test(tcase, golden_cases_have_the_bits_of_json, 0, (int)loss_count());
    return suite;
}
