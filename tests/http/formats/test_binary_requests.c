/* safetensors files as requests and responses: parameters, media types, errors. */
#include "http/formats/binary_fixture.h"
#include "suites.h"
#include "support/tensor_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sends a file and frees it. */
static void binary_ask_file(const char *path, const char *headers, struct buffer file)
{
    binary_ask(path, headers, &file);
    buffer_free(&file);
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
    binary_ask_file("/v1/losses/mse?grad=true&hess=true&reduction=sum", SAFETENSORS,
                    mse_file(NULL, 0));
    ck_assert_msg(response.status == 200, "%s", response.body);
    expect_header("Content-Type", "application/vnd.safetensors");
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
    binary_ask_file("/v1/losses/l1?reduction=none", SAFETENSORS, mse_file(NULL, 0));
    struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
    memcpy(terms, tensor_answer_data(&answer, "loss", "F32", "3", &len), sizeof terms);
    ck_assert_float_eq(terms[0], 0.5F);
    ck_assert_float_eq(terms[2], 3);
    tensor_answer_free(&answer);

    const double number = 4;
    struct tensor_file file = {{0}, {0}};
    tensor_file_add(&file, "input", "F64", "", &number, sizeof number);
    tensor_file_add(&file, "target", "F32", "", three, sizeof *three);
    binary_ask_file("/v1/losses/l1?reduction=none", SAFETENSORS, tensor_file_end(&file, 0));
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
    binary_ask_file("/v1/losses/mse?grad=true", SAFETENSORS, tensor_file_end(&file, 0));
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
    binary_ask_file("/v1/losses/mse?grad=true&reduction=none", SAFETENSORS,
                    tensor_file_end(&file, 0));
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
    binary_ask_file(path, SAFETENSORS TAKE_JSON, file);
    ck_assert_int_eq(response.status, 200);
    expect_header("Content-Type", "application/json");
    ck_assert_msg(strstr(response.body, text) != NULL, "\"%s\" is not in %s", text, response.body);
}

#define METADATA(fields) "\"__metadata__\":{" fields "}"

START_TEST(null_metadata_is_ignored)
{
    expect_json("/v1/losses/mse?reduction=sum", mse_file("\"__metadata__\":null", 0),
                "\"loss\":9.25");
    binary_ask_file("/v1/losses/mse", SAFETENSORS TAKE_JSON, mse_file("\"__metadata__\":nul", 0));
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
        {"grad=", "grad is ''; it must be true, false, or names of tensors separated by commas",
         400},
        {"grad=input,", "huber has no tensor ''", 422},
        {"dtype=float16", "dtype is 'float16'; it must be 'float32' or 'float64'", 422},
        {"input=1", "input is a tensor; it cannot be given as a parameter", 400},
        {"grad_output=x", "grad_output is 'x'; it must be a number", 400},
        {"grad_output=1e999", "grad_output is 1e999, which is out of the range of float64", 422},
        {"delta=1&delta=2", "duplicate field 'delta'", 400},
        {"delta=%4", "the query has an invalid percent escape: 'delta=%4'", 400},
        {"delta=%00", "the query contains a NUL byte", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "/v1/losses/huber?%s", cases[i].query);
        binary_ask_file(path, SAFETENSORS, mse_file(NULL, 0));
        expect_problem(cases[i].status, cases[i].text);
    }
    binary_ask_file("/v1/losses/nll?ignore_index=1.5", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(400, "ignore_index is '1.5'; it must be a whole number or null");
    binary_ask_file("/v1/losses/kl_div?log_target=1", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(400, "log_target is '1'; it must be true or false");
    binary_ask_file("/v1/losses/triplet_margin?distance=cosin", SAFETENSORS, mse_file(NULL, 0));
    expect_problem(422, "did you mean 'cosine'?");
    for (int zeros = 507; zeros <= 508; zeros++) { /* 511 and 512 bytes */
        char members[640];
        snprintf(members, sizeof members, METADATA("\"delta\":\"1.%0*de1\""), zeros, 0);
        binary_ask_file("/v1/losses/huber", SAFETENSORS, mse_file(members, 0));
        if (zeros == 507)
            ck_assert_int_eq(response.status, 200);
        else
            expect_problem(400, "delta has more than 511 bytes");
    }
    binary_ask_file("/v1/losses/huber", SAFETENSORS, mse_file(METADATA("\"delta\":\"a\""), 0));
    expect_problem(400,
                   "delta is 'a'; it must be a number\",\"pointer\":\"/delta\",\"offset\":33}");
    binary_ask_file("/v1/losses/huber", SAFETENSORS,
                    mse_file(METADATA("\"grad\":\"true\",\"grad\":\"true\""), 0));
    expect_problem(400, "duplicate field 'grad'");
}
END_TEST

START_TEST(json_requests_reject_a_query)
{
    static const char json[] = "{\"input\":1,\"target\":2}";
    const struct buffer body = {.data = (char *)(uintptr_t)json, .len = sizeof json - 1};
    binary_ask("/v1/losses/mse?grad=true", "Content-Type: application/json\r\n", &body);
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
        binary_ask("/v1/losses/mse", headers, &body);
        buffer_free(&body);
        if (!expected) {
            expect_problem(406, "responses are application/json, application/vnd.safetensors or "
                                "application/octet-stream; Accept '");
            continue;
        }
        ck_assert_int_eq(response.status, 200);
        /* A file may be sent as an octet stream; the response names its format unless Accept
           selects application/octet-stream. */
        expect_header("Content-Type", expected);
    }
}
END_TEST

START_TEST(json_request_can_get_a_safetensors_response)
{
    static const char json[] =
        "{\"input\":[1,2],\"target\":[2,4],\"grad\":true,\"dtype\":\"float64\"}";
    const struct buffer body = {.data = (char *)(uintptr_t)json, .len = sizeof json - 1};
    size_t len;
    binary_ask("/v1/losses/mse",
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
        {"{\"input\":{\"dtype\":\"F32\"}", 0, "input: 'shape' is missing"},
        {"{\"input\":{}}", 0, "input: 'dtype' is missing"},
        {"{} x", 0, "'x' where the end of the header was expected (byte 11)"},
        {"{" TENSOR("input", "F33", "3", "0", "12") "}", 12,
         "input: dtype 'F33' is not supported; F64, F32, F16, BF16"},
        {"{" TENSOR("input", "U63", "3", "0", "24") "}", 24, "input: dtype 'U63' is not supported"},
        {"{" TENSOR("input", "F32", "3", "0", "10") "}", 10,
         "input: data_offsets [0, 10] span 10 bytes; shape (3,) of F32 takes 12 (byte 59)"},
        {"{" TENSOR("input", "F32", "3", "0", "12") "}", 10,
         "input: data_offsets end at 12; 10 bytes follow the header"},
        {"{" TENSOR("input", "F32", "3", "12", "0") "}", 12,
         "input: data_offsets are [12, 0]; the end must not be less than the start"},
        {"{" TENSOR("input", "F32", "3", "0", "12,12") "}", 12,
         "input: data_offsets has more than 2 numbers"},
        {"{\"input\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0]}}", 12,
         "input: the length of data_offsets is 1; it must be 2"},
        {"{" TENSOR("input", "F32", "-3", "0", "12") "}", 12,
         "input: shape[0] is -3; it must be an integer in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "1.5", "0", "12") "}", 12,
         "input: shape[0] is 1.5; it must be an integer in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "99999999999999999999", "0", "12") "}", 12,
         "input: shape[0] is 99999999999999999999; it must be an integer in [0, 2^63)"},
        {"{" TENSOR("input", "F32", "4294967296,4294967296", "0", "12") "}", 12,
         "input: shape (4294967296, 4294967296) has more elements than can be addressed"},
        {"{" TENSOR("input", "F32", "9223372036854775807,9223372036854775807,0", "0", "0") "}", 0,
         "has more elements than can be addressed"},
        {"{" TENSOR("input", "F32", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "0", "4") "}", 4,
         "input: shape has more than 16 numbers"},
        {"{" TENSOR("input", "F32", "1", "0", "4") "," TENSOR("input", "F32", "1", "4", "8") "}", 8,
         "duplicate tensor 'input' (byte 74)"},
        {"{\"input\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, "input: duplicate field 'dtype'"},
        {"{\"input\":{\"dtyp\":\"F32\"}}", 0,
         "input: unknown field 'dtyp'; a tensor has dtype, shape and data_offsets"},
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
         "'t' where a string, like all metadata, was expected (byte 32)"},
        {"{\"__metadata__\":[]}", 0, "'[' where '{' was expected (byte 24)"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate '__metadata__'"},
        {"{\"__metadata__\":{\"input\":\"1\"}}", 0,
         "input is a tensor; it cannot be given as a parameter"},
        {"{\"\xff\":{}}", 0, "byte 0xff where the rest of a string was expected (byte 10)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        binary_ask_file("/v1/losses/mse", SAFETENSORS,
                        tensor_file_raw(cases[i].header, cases[i].len));
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
        binary_ask("/v1/losses/mse", SAFETENSORS, &body);
        expect_problem(400, cases[i].text);
    }
    binary_ask_file("/v1/losses/mse", SAFETENSORS, mse_file(NULL, 2 << 20));
    expect_problem(400, "; the limit is 1048576 (byte 0)");
}
END_TEST

START_TEST(missing_tensors_and_invalid_values_get_the_errors_of_json)
{
    const int64_t classes[] = {0, 2};
    const float probability = 1.5F;
    struct tensor_file file = {{0}, {0}};
    binary_ask_file("/v1/losses/mse", SAFETENSORS,
                    tensor_file_raw("{" TENSOR("input", "F32", "1", "0", "4") "}", 4));
    expect_problem(422, "target is missing");
    tensor_file_add(&file, "input", "F32", "2,2", "0123456789abcdef", 16);
    tensor_file_add(&file, "target", "I64", "2", classes, sizeof classes);
    struct buffer whole = tensor_file_end(&file, 0);
    char offset[64];
    snprintf(offset, sizeof offset, "\"pointer\":\"/target/1\",\"offset\":%zu", whole.len - 8);
    binary_ask_file("/v1/losses/cross_entropy", SAFETENSORS, whole);
    expect_problem(422, "target[1] is 2; class indices must be in [0, 2)");
    expect_problem(422, offset);
    tensor_file_add(&file, "input", "F32", "", &probability, 4);
    tensor_file_add(&file, "target", "F32", "", &probability, 4);
    binary_ask_file("/v1/losses/bce", SAFETENSORS, tensor_file_end(&file, 0));
    expect_problem(422, "input is 1.5; ");
}
END_TEST

/* Adds the fixture that starts a server for a test case. */
static void with_server(TCase *tcase)
{
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, binary_setup, end_server);
}

Suite *binary_requests_suite(void)
{
    Suite *suite = suite_create("binary_requests");
    with_server(SUITE_ADD(
        suite, "binary_answer", response_has_results_as_tensors_and_the_rest_as_metadata,
        response_without_reduction_has_the_shape_and_dtype_of_the_terms,
        response_reports_nonfinite_values_and_warnings, empty_tensors_are_accepted_and_returned));
    with_server(SUITE_ADD(suite, "binary_parameters", null_metadata_is_ignored,
                          query_parameters_override_metadata,
                          invalid_parameters_get_the_errors_of_json_fields,
                          json_requests_reject_a_query, invalid_query_is_rejected_before_the_body));
    with_server(SUITE_ADD(suite, "binary_media", accept_selects_json_or_safetensors,
                          json_request_can_get_a_safetensors_response));
    with_server(SUITE_ADD(suite, "binary_malformed", malformed_file_is_rejected_with_the_position,
                          wrong_header_length_is_rejected,
                          missing_tensors_and_invalid_values_get_the_errors_of_json));
    return suite;
}
