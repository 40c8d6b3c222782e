/*
 * The Open Inference Protocol v2, with the exact bytes that NVIDIA's tritonclient.http and KServe's
 * client send, and the responses that they expect. Results must have the same bits as those of the
 * same request to /v1.
 */
#include "loss.h"
#include "memory/buffer.h"
#include "suites.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "json/base64.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server_process server;
static struct http_client client;
static struct http_response response;
static json_t *tree; /* the JSON of the response */

static void setup(void)
{
    server_process_start(&server, (const char *const[]){"--log-level", "warning", "--threads", "2",
                                                        "--max-body", "1M", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    tree = NULL;
}

static void teardown(void)
{
    json_decref(tree);
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
}

/* ---- Requests ---- */

enum { NAME = 64 };

/* Reads the JSON of a response. A header gives its length if binary data follows. */
static size_t read_tree(void)
{
    char value[NAME], type[NAME];
    json_error_t error;
    const bool binary =
        http_response_header(&response, "Inference-Header-Content-Length", value, sizeof value);
    const size_t len = binary ? strtoul(value, NULL, 10) : response.body_len;
    ck_assert_uint_le(len, response.body_len);
    ck_assert_ptr_nonnull(http_response_header(&response, "Content-Type", type, sizeof type));
    ck_assert_str_eq(type, binary ? "application/octet-stream" : "application/json");
    json_decref(tree);
    tree = json_loadb(response.body, len, 0, &error);
    ck_assert_msg(tree != NULL, "%s in %.*s", error.text, (int)len, response.body);
    return len;
}

/* Sends a request without Content-Type, as tritonclient does. Returns the length of the JSON in the
   response. */
static size_t ask(const char *method, const char *path, const char *headers, const char *body,
                  size_t len)
{
    ck_assert(http_client_ask(&client, method, path, headers, body, len, &response));
    return read_tree();
}

static void get(const char *path)
{
    ask("GET", path, NULL, NULL, 0);
}

static void infer(const char *model, const char *json)
{
    char path[NAME];
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    ask("POST", path, NULL, json, strlen(json));
}

/* Sends JSON followed by bytes. */
static size_t infer_bytes(const char *model, const char *json, const void *bytes, size_t len)
{
    char path[NAME], header[NAME];
    struct buffer body = {0};
    snprintf(path, sizeof path, "/v2/models/%s/infer", model);
    snprintf(header, sizeof header, "inference-header-content-length: %zu\r\n", strlen(json));
    buffer_text(&body, json);
    buffer_append(&body, bytes, len);
    const size_t json_len = ask("POST", path, header, body.data, body.len);
    buffer_free(&body);
    return json_len;
}

static void expect_error(int status, const char *text)
{
    const char *error = json_string_value(json_object_get(tree, "error"));
    ck_assert_msg(response.status == status, "expected status %d with '%s', got %d: %s", status,
                  text, response.status, response.body);
    ck_assert_ptr_nonnull(error);
    ck_assert_uint_eq(json_object_size(tree), 1);
    ck_assert_msg(strstr(error, text) != NULL, "'%s' is not in '%s'", text, error);
}

static json_t *output_at(size_t index, const char *name, const char *datatype)
{
    json_t *output = json_array_get(json_object_get(tree, "outputs"), index);
    ck_assert_msg(response.status == 200 && output, "%s", response.body);
    ck_assert_str_eq(json_string_value(json_object_get(output, "name")), name);
    ck_assert_str_eq(json_string_value(json_object_get(output, "datatype")), datatype);
    return output;
}

static double data_at(const json_t *output, size_t index)
{
    return json_number_value(json_array_get(json_object_get(output, "data"), index));
}

static int64_t integer_at(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

#define INPUT(name, shape, datatype, rest)                                                         \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" datatype "\"," rest "}"
#define BYTES(count) "\"parameters\":{\"binary_data_size\":" count "}"
#define THREE                                                                                      \
    "\"inputs\":[" INPUT("input", "[3]", "FP32", "\"data\":[0.5,0.25,2]") "," INPUT(               \
        "target", "[3]", "FP32", "\"data\":[1,0.25,-1]") "]"
#define THREE_BYTES                                                                                \
    "\"inputs\":[" INPUT("input", "[3]", "FP32", BYTES("12")) "," INPUT("target", "[3]", "FP32",   \
                                                                        BYTES("12")) "]"

static const float three[] = {0.5F, 0.25F, 2, 1, 0.25F, -1};

/* ---- Infer ---- */

START_TEST(infer_in_json_returns_the_requested_outputs_in_order)
{
    infer("mse",
          "{" THREE
          ",\"id\":\"a \\\"7\\\"\",\"outputs\":[{\"name\":\"grad_input\"},{\"name\":\"loss\"}],"
          "\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "outputs")), 2);
    ck_assert_double_eq(data_at(output_at(0, "grad_input", "FP32"), 2), 6);
    ck_assert_double_eq(data_at(output_at(1, "loss", "FP64"), 0), 9.25);
    ck_assert_str_eq(json_string_value(json_object_get(tree, "model_name")), "mse");
    ck_assert_str_eq(json_string_value(json_object_get(tree, "model_version")), "1");
    ck_assert_str_eq(json_string_value(json_object_get(tree, "id")), "a \"7\"");
    ck_assert_int_eq(integer_at(json_object_get(tree, "parameters"), "count"), 3);
}
END_TEST

START_TEST(infer_without_outputs_returns_only_the_loss)
{
    infer("MSELoss", "{" THREE "}");
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "outputs")), 1);
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    ck_assert_ptr_null(json_object_get(tree, "id"));
    infer("mse", "{" THREE ",\"id\":null,\"outputs\":null,\"parameters\":null}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    infer("mse", "\xef\xbb\xbf{" THREE "}"); /* a byte order mark */
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 9.25 / 3);
}
END_TEST

START_TEST(infer_without_reduction_has_the_shape_of_the_terms)
{
    infer("l1", "{\"inputs\":[" INPUT("input", "[2,1]", "FP32", "\"data\":[[1],[2]]") "," INPUT(
                    "target", "[2,1]", "FP64",
                    "\"data\":[4,4]") "],\"parameters\":{\"reduction\":\"none\"}}");
    json_t *output = output_at(0, "loss", "FP32"), *shape = json_object_get(output, "shape");
    ck_assert_uint_eq(json_array_size(shape), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 0)), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 1)), 1);
    ck_assert_double_eq(data_at(output, 1), 2);
}
END_TEST

START_TEST(binary_output_works_with_json_inputs)
{
    double loss;
    infer("mse", "{" THREE ",\"parameters\":{\"binary_data_output\":true}}");
    json_t *output = output_at(0, "loss", "FP64");
    ck_assert_int_eq(integer_at(json_object_get(output, "parameters"), "binary_data_size"), 8);
    ck_assert_ptr_null(json_object_get(output, "data"));
    memcpy(&loss, response.body + response.body_len - sizeof loss, sizeof loss);
    ck_assert_double_eq(loss, 9.25 / 3);
}
END_TEST

START_TEST(binary_outputs_follow_the_json_in_order_and_without_gaps)
{
    float gradient[3];
    double loss;
    const size_t len =
        infer_bytes("mse",
                    "{" THREE_BYTES
                    ",\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}},"
                    "{\"name\":\"loss\",\"parameters\":{\"binary_data\":true}}]}",
                    three, sizeof three);
    ck_assert_int_eq(integer_at(json_object_get(output_at(0, "grad_input", "FP32"), "parameters"),
                                "binary_data_size"),
                     12);
    ck_assert_uint_eq(response.body_len, len + 12 + 8);
    memcpy(gradient, response.body + len, sizeof gradient);
    memcpy(&loss, response.body + len + 12, sizeof loss);
    ck_assert_double_eq(loss, 9.25 / 3);
    ck_assert_float_eq(gradient[0], -1.0F / 3);
    ck_assert_float_eq(gradient[1], 0);
    ck_assert_float_eq(gradient[2], 2);
}
END_TEST

START_TEST(binary_outputs_and_others_can_be_mixed)
{
    float gradient[3];
    const size_t len = infer_bytes(
        "mse",
        "{\"inputs\":[" INPUT("target", "[3]", "FP32", "\"data\":[1,0.25,-1]") "," INPUT(
            "input", "[3]", "FP32",
            BYTES("12")) "],"
                         "\"outputs\":[{\"name\":\"loss\",\"parameters\":{\"binary_data\":false}},{"
                         "\"name\":\"grad_input\"}],"
                         "\"parameters\":{\"binary_data_output\":true}}",
        three, 12);
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    output_at(1, "grad_input", "FP32");
    ck_assert_uint_eq(response.body_len, len + sizeof gradient);
    memcpy(gradient, response.body + len, sizeof gradient);
    ck_assert_float_eq(gradient[2], 2);
}
END_TEST

START_TEST(tensors_without_elements_have_no_bytes)
{
    infer_bytes("mse",
                "{\"inputs\":[" INPUT("input", "[0,3]", "FP32", BYTES("0")) "," INPUT(
                    "target", "[0,3]", "FP32",
                    BYTES("0")) "],"
                                "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_"
                                "data\":true}},{\"name\":\"loss\"}],"
                                "\"parameters\":{\"reduction\":\"sum\"}}",
                "", 0);
    ck_assert_int_eq(integer_at(json_object_get(output_at(0, "grad_input", "FP32"), "parameters"),
                                "binary_data_size"),
                     0);
    ck_assert_double_eq(data_at(output_at(1, "loss", "FP64"), 0), 0);
    infer("mse",
          "{\"inputs\":[" INPUT("input", "[0]", "FP32", "\"data\":[]") "," INPUT(
              "target", "[0]", "FP32", "\"data\":[]") "],\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 0);
}
END_TEST

START_TEST(nonfinite_numbers_are_returned_as_strings)
{
    infer("mse",
          "{\"inputs\":[" INPUT("input", "[3]", "FP32", "\"data\":[NaN,Infinity,1]") "," INPUT(
              "target", "[3]", "FP32",
              "\"data\":[null,\"-Infinity\",2]") "],"
                                                 "\"outputs\":[{\"name\":\"loss\"},{\"name\":"
                                                 "\"grad_input\"}]}");
    json_t *gradient = json_object_get(output_at(1, "grad_input", "FP32"), "data");
    ck_assert_str_eq(json_string_value(json_array_get(gradient, 0)), "NaN");
    ck_assert_str_eq(json_string_value(json_array_get(gradient, 1)), "Infinity");
    ck_assert_int_eq(integer_at(json_object_get(tree, "parameters"), "nonfinite"), 2);
}
END_TEST

START_TEST(parameters_may_be_strings_and_protocol_parameters_are_ignored)
{
    infer("huber",
          "{" THREE
          ",\"parameters\":{\"delta\":\"0.5\",\"priority\":3,\"timeout\":1000,\"sequence_id\":0,"
          "\"triton_enable_empty_final_response\":true,\"reduction\":\"sum\"}}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 0.125 + 1.375);
    infer("kl_div", "{" THREE ",\"parameters\":{\"log_target\":true,\"reduction\":\"batchmean\"}}");
    ck_assert_int_eq(response.status, 200);
    infer("huber", "{" THREE ",\"parameters\":{\"delta\":0.5,\"reduction\":\"sum\"}}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 0.125 + 1.375);
    infer("huber", "{" THREE ",\"parameters\":{\"delta\":Infinity,\"reduction\":\"sum\"}}");
    const double half = data_at(output_at(0, "loss", "FP64"), 0);
    infer("huber", "{" THREE ",\"parameters\":{\"delta\":\"Infinity\",\"reduction\":\"sum\"}}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), half);
    infer("mse", "{" THREE ",\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 2 * half);
}
END_TEST

START_TEST(warnings_are_returned)
{
    infer("mse", "{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "," INPUT(
                     "target", "[1]", "FP32", "\"data\":[1]") "]}");
    const char *warnings =
        json_string_value(json_object_get(json_object_get(tree, "parameters"), "warnings"));
    ck_assert_ptr_nonnull(warnings);
    ck_assert_ptr_nonnull(strstr(warnings, "broadcast"));
}
END_TEST

/* Additional fields that KServe's client sends. */
START_TEST(model_names_in_the_body_are_ignored)
{
    infer("mse",
          "{\"id\":\"5\",\"model_name\":\"mse\",\"model_version\":null,\"inputs\":["
          "{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{},\"data\":[3]},"
          "{\"name\":\"target\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":null,\"data\":["
          "1]}]}");
    ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), 4);
    ck_assert_int_eq(ask("POST", "/v2/models/mse/versions/1/infer",
                         "Content-Type: application/json\r\n", "{" THREE "}",
                         strlen("{" THREE "}")) > 0,
                     true);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* ---- Comparison with v1 ---- */

/* Bytes that are small numbers in every dtype: only low bits of the highest byte are set. */
static void fill(unsigned char *bytes, size_t count, size_t size, unsigned high)
{
    memset(bytes, 0, count * size);
    for (size_t i = 0; i < count; i++)
        bytes[i * size + size - 1] = (unsigned char)(high + i % 3);
}

static const struct {
    const char *datatype, *dtype;
    size_t size;
    unsigned high;
} dtypes[] = {
    {"FP64", "float64", 8, 0x3f},  {"FP32", "float32", 4, 0x3f}, {"FP16", "float16", 2, 0x3a},
    {"BF16", "bfloat16", 2, 0x3e}, {"INT64", "int64", 8, 0},     {"INT32", "int32", 4, 0},
    {"INT16", "int16", 2, 0},      {"INT8", "int8", 1, 0},       {"UINT8", "uint8", 1, 0},
    {"UINT64", "uint64", 8, 0},    {"UINT32", "uint32", 4, 0},   {"UINT16", "uint16", 2, 0},
};

static const char *const compared[] = {"mse", "huber", "bce_with_logits", "kl_div"};

static void append_base64(struct buffer *to, const void *bytes, size_t len)
{
    char *text = buffer_reserve(to, base64_text_len(len));
    ck_assert_ptr_nonnull(text);
    base64_encode(text, bytes, len);
    to->len += base64_text_len(len);
}

/* Requests the gradient of the same tensors from /v1 as base64. Returns its text in the response.
 */
static const char *v1_gradient(const char *loss, const char *const dtype[2],
                               const unsigned char *bytes, const size_t len[2])
{
    static const char *const names[] = {"input", "target"};
    struct buffer body = {0};
    char path[NAME];
    snprintf(path, sizeof path, "/v1/losses/%s", loss);
    buffer_text(&body, "{\"grad\":true");
    for (size_t i = 0; i < 2; i++) {
        buffer_printf(&body,
                      ",\"%s\":{\"shape\":[2,3],\"dtype\":\"%s\",\"data\":{\"encoding\":\"base64\","
                      "\"buffer\":\"",
                      names[i], dtype[i]);
        append_base64(&body, bytes + (i == 0 ? 0 : len[0]), len[i]);
        buffer_text(&body, "\"}}");
    }
    buffer_text(&body, "}");
    ck_assert(http_client_ask(&client, "POST", path, "Content-Type: application/json\r\n",
                              body.data, body.len, &response));
    ck_assert_msg(response.status == 200, "%s of %s: %s", loss, dtype[0], response.body);
    buffer_free(&body);
    const char *at = strstr(response.body, "\"buffer\":\"");
    ck_assert_ptr_nonnull(at);
    return at + strlen("\"buffer\":\"");
}

enum {
    LOSSES = sizeof compared / sizeof *compared,
    DTYPES = sizeof dtypes / sizeof *dtypes,
    FLOATS = 4,
    FP32 = 1
};

/* Floating point dtypes are those of the input, all others those of the target. The other tensor is
 * FP32. */
START_TEST(bits_are_those_of_v1_for_every_dtype)
{
    const char *const loss = compared[_i % LOSSES];
    const size_t k = (size_t)_i / LOSSES, input = k < FLOATS ? k : FP32,
                 target = k < FLOATS ? FP32 : k;
    const size_t len[] = {6 * dtypes[input].size, 6 * dtypes[target].size};
    unsigned char bytes[2 * 6 * 8];
    char json[512];
    fill(bytes, 6, dtypes[input].size, dtypes[input].high);
    fill(bytes + len[0], 6, dtypes[target].size, dtypes[target].high);
    snprintf(json, sizeof json,
             "{\"inputs\":[{\"name\":\"input\",\"shape\":[2,3],\"datatype\":\"%s\",\"parameters\":{"
             "\"binary_data_size\":%zu}},"
             "{\"name\":\"target\",\"shape\":[2,3],\"datatype\":\"%s\",\"parameters\":{\"binary_"
             "data_size\":%zu}}],"
             "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}}]}",
             dtypes[input].datatype, len[0], dtypes[target].datatype, len[1]);
    const size_t json_len = infer_bytes(loss, json, bytes, len[0] + len[1]);
    ck_assert_msg(response.status == 200, "%s", response.body);
    struct buffer text = {0};
    append_base64(&text, response.body + json_len, response.body_len - json_len);
    ck_assert_uint_gt(text.len, 0);
    const char *expected = v1_gradient(
        loss, (const char *const[]){dtypes[input].dtype, dtypes[target].dtype}, bytes, len);
    ck_assert_int_eq(strncmp(text.data, expected, text.len), 0);
    buffer_free(&text);
}
END_TEST

START_TEST(class_indices_of_every_integer_dtype_are_accepted)
{
    static const char *const types[] = {"INT64",  "INT32",  "INT16", "INT8", "UINT64",
                                        "UINT32", "UINT16", "UINT8", "BOOL"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char json[400];
        snprintf(json, sizeof json,
                 "{\"inputs\":[{\"name\":\"input\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":["
                 "[0,0],[0,0]]},"
                 "{\"name\":\"target\",\"shape\":[2],\"datatype\":\"%s\",\"data\":[%s]}]}",
                 types[i], strcmp(types[i], "BOOL") == 0 ? "true,false" : "1,0");
        infer("cross_entropy", json);
        ck_assert_double_eq(data_at(output_at(0, "loss", "FP64"), 0), log(2));
    }
}
END_TEST

/* ---- Errors ---- */

static const struct {
    const char *json, *text;
} mistakes[] = {
    {"", "'{'"},
    {"[]", "'{'"},
    {"{}", "no inputs"},
    {"{\"inputs\":3}", "'['"},
    {"{\"inputs\":[]}", "input"},
    {"{\"inputs\":[{}]}", "inputs[0] has no name"},
    {"{\"inputs\":[{\"name\":\"input\"}]}", "inputs[0] (input) has no shape"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1]}]}", "has no datatype"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\"}]}",
     "neither data nor binary_data_size"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]," BYTES(
         "4") "}]}",
     "both data and"},
    {"{\"inputs\":[{\"name\":\"inputs\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "did you mean 'input'"},
    {"{\"inputs\":[{\"name\":\"reduction\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "parameters"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP33\",\"data\":[1]}]}",
     "datatype 'FP33'"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"a\"]}]}",
     "datatype 'BYTES'"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[-1],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "must be an integer in [0, 2^63)"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1.5],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "must be an integer in [0, 2^63)"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[4294967296,4294967296],\"datatype\":\"FP32\","
     "\"data\":[1]}]}",
     "addressed"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "(1,), but its shape is (2,)"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[2,1],\"datatype\":\"FP32\",\"data\":[[1,2]]}]}",
     "data of shape (1, 2)"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":{}}]}",
     "an array of numbers"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"date\":[1]}]}",
     "did you mean 'data'"},
    {"{\"inputs\":[{\"name\":\"input\",\"name\":\"input\"}]}", "duplicate field 'name'"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\"," BYTES("4") "}]}",
     "all of the body is JSON"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{"
     "\"shared_memory_region\":\"a\"}}]}",
     "shared memory"},
    {"{" THREE "}}", "the end"},
    {"{" THREE "} x", "the end"},
    {"{" THREE ",\"input\":[]}", "no field 'input'; did you mean 'inputs'?"},
    {"{" THREE ",\"inputs\":[]}", "duplicate field 'inputs'"},
    {"{" THREE ",\"id\":7}", "a string as id"},
    {"{" THREE ",\"outputs\":[{\"name\":\"grad\"}]}", "no output 'grad'"},
    {"{" THREE ",\"outputs\":[{\"name\":\"grad_inputs\"}]}", "did you mean 'grad_input'?"},
    {"{" THREE ",\"outputs\":[{\"name\":\"loss\"},{\"name\":\"loss\"}]}", "requested twice"},
    {"{" THREE ",\"outputs\":[{}]}", "outputs[0] has no name"},
    {"{" THREE ",\"outputs\":[{\"name\":\"loss\",\"parameters\":{\"classification\":2}}]}",
     "classification"},
    {"{" THREE ",\"outputs\":[{\"name\":\"loss\",\"parameters\":{\"binary_data\":1}}]}",
     "true or false"},
    {"{" THREE ",\"parameters\":{\"delta\":1}}", "delta"},
    {"{" THREE ",\"parameters\":{\"grad\":true}}", "request the outputs"},
    {"{" THREE ",\"parameters\":{\"encoding\":\"flat\"}}", "binary_data_output"},
    {"{" THREE ",\"parameters\":{\"reduction\":\"men\"}}", "did you mean 'mean'"},
    {"{" THREE ",\"parameters\":{\"reduction\":[\"mean\"]}}", "a string, a number or a boolean"},
    {"{" THREE ",\"parameters\":{\"binary_data_output\":\"yes\"}}", "true or false"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "," INPUT(
         "input", "[2]", "FP32", "\"data\":[1,2]") "]}",
     "twice"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "]}", "target"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "," INPUT(
         "target", "[3]", "FP32", "\"data\":[1,2,3]") "]}",
     "target"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "," INPUT(
         "target", "[2]", "FP32", "\"data\":[1,x]") "]}",
     "target[1] is x"},
};

START_TEST(errors_name_the_cause)
{
    infer("mse", mistakes[_i].json);
    expect_error(400, mistakes[_i].text);
    infer("mse", "{" THREE "}"); /* on the same connection */
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(every_byte_of_the_body_is_accounted_for)
{
    infer_bytes("mse", "{" THREE_BYTES "}", three, sizeof three - 4);
    expect_error(400, "expecting 4 additional bytes");
    infer_bytes("mse", "{" THREE_BYTES "}", "0123456789abcdef0123456789abcdef", sizeof three + 2);
    expect_error(400, "unexpected additional input data: 2 bytes");
    infer_bytes("mse",
                "{\"inputs\":[" INPUT("input", "[3]", "FP32", BYTES("8")) "," INPUT(
                    "target", "[3]", "FP32", BYTES("16")) "]}",
                three, sizeof three);
    expect_error(400, "inputs[0] (input) has binary_data_size 8; shape (3,) of FP32 takes 12");
    infer_bytes("mse", "{" THREE "}", "x", 1);
    expect_error(400, "unexpected additional input data");
}
END_TEST

START_TEST(header_length_must_be_where_the_json_ends)
{
    static const struct {
        const char *length, *text;
    } lengths[] = {
        {"0", "is 0"},
        {"-1", "plain digits"},
        {"+5", "plain digits"},
        {"0x10", "plain digits"},
        {"5 5", "plain digits"},
        {"", "plain digits"},
        {"99999999999999999999999", "plain digits"},
        {"4294967497", "but the body has"},
        {"9000", "but the body has"},
        {"10", "Inference-Header-Content-Length"},
    };
    const char body[] = "{" THREE "}";
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char header[NAME * 2];
        snprintf(header, sizeof header, "Inference-Header-Content-Length: %s\r\n",
                 lengths[i].length);
        ask("POST", "/v2/models/mse/infer", header, body, strlen(body));
        expect_error(400, lengths[i].text);
    }
    char header[NAME * 2];
    snprintf(header, sizeof header, "Inference-Header-Content-Length: \t%zu \t\r\n",
             strlen(body)); /* as HTTP allows */
    ask("POST", "/v2/models/mse/infer", header, body, strlen(body));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(invalid_values_are_named_by_element)
{
    infer("cross_entropy",
          "{\"inputs\":[" INPUT("input", "[1,3]", "FP32", "\"data\":[1,2,3]") "," INPUT(
              "target", "[1]", "INT64", "\"data\":[3]") "]}");
    expect_error(400, "target[0] is 3; class indices must be in [0, 3)");
}
END_TEST

START_TEST(errors_on_v2_have_its_error_format)
{
    get("/v2/models/msee");
    expect_error(404, "did you mean 'mse'");
    get("/v2/models/mse/versions/2");
    expect_error(404, "the only version is 1");
    ask("POST", "/v2/models/mse/versions/2/infer", NULL, "{}", 2);
    expect_error(404, "the only version is 1");
    get("/v2/nothing");
    expect_error(404, "/v2/nothing");
    get("/v2/models/mse/infer");
    expect_error(405, "POST");
    ask("POST", "/v2/models/mse", NULL, "{}", 2);
    expect_error(405, "GET");
    ask("POST", "/v2/models/mse/infer", "Content-Encoding: br\r\n", "{}", 2);
    expect_error(415, "br");
    ask("POST", "/v2/repository/models/mse/load", NULL, "{}", 2);
    expect_error(400, "always ready");
    ask("POST", "/v2/repository/models/mse/unload", NULL,
        "{\"parameters\":{\"unload_dependents\":false}}", 43);
    expect_error(400, "always ready");
}
END_TEST

START_TEST(bodies_over_the_limit_are_rejected_in_its_error_format)
{
    ck_assert(http_client_send_text(&client, "POST /v2/models/mse/infer HTTP/1.1\r\nHost: "
                                             "localhost\r\nContent-Length: 1048577\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    read_tree();
    expect_error(413, "--max-body");
}
END_TEST

/* ---- Health and metadata ---- */

START_TEST(health_is_reported_by_status_and_body)
{
    get("/v2/health/live");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(tree, "live")));
    get("/v2/health/ready");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(tree, "ready")));
    get("/v2/models/MSELoss/ready");
    ck_assert_int_eq(response.status, 200);
    ck_assert(json_is_true(json_object_get(tree, "ready")));
    get("/v2/models/mse/versions/1/ready");
    ck_assert_int_eq(response.status, 200);
    get("/v2/models/other/ready");
    ck_assert_int_eq(response.status, 404);
}
END_TEST

START_TEST(server_metadata_names_the_extensions)
{
    for (int i = 0; i < 2; i++) {
        get(i == 0 ? "/v2" : "/v2/");
        ck_assert_str_eq(json_string_value(json_object_get(tree, "name")), "lossd");
        ck_assert_str_eq(json_string_value(json_object_get(tree, "version")), LOSS_VERSION);
        ck_assert_str_eq(json_string_value(json_array_get(json_object_get(tree, "extensions"), 0)),
                         "binary_tensor_data");
    }
}
END_TEST

static bool has_named(const json_t *list, const char *name)
{
    size_t i;
    json_t *each;
    json_array_foreach(list, i, each) if (strcmp(json_string_value(json_object_get(each, "name")),
                                                 name) == 0) return true;
    return false;
}

START_TEST(every_loss_is_a_model_with_its_tensors)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    char path[NAME], name[NAME];
    for (int config = 0; config < 2; config++) {
        snprintf(path, sizeof path, "/v2/models/%s%s", loss->name, config ? "/config" : "");
        get(path);
        ck_assert_str_eq(json_string_value(json_object_get(tree, "name")), loss->name);
        ck_assert_str_eq(json_string_value(json_object_get(tree, "platform")), "lossd_loss");
        const json_t *inputs = json_object_get(tree, config ? "input" : "inputs");
        const json_t *outputs = json_object_get(tree, config ? "output" : "outputs");
        ck_assert_uint_eq(json_array_size(inputs), (size_t)loss_tensor_specs(loss));
        ck_assert(has_named(outputs, "loss"));
        for (int k = 0; k < loss_tensor_specs(loss); k++) {
            snprintf(name, sizeof name, "grad_%s", loss->tensors[k].name);
            ck_assert(has_named(inputs, loss->tensors[k].name));
            ck_assert(has_named(outputs, name) == loss->tensors[k].differentiable);
        }
    }
    ask("POST", "/v2/repository/index", NULL, "", 0);
    ck_assert(has_named(tree, loss->name));
    ck_assert_uint_eq(json_array_size(tree), loss_count());
    ask("POST", "/v2/repository/index", NULL, "{\"ready\":true}", 14);
    ck_assert_uint_eq(json_array_size(tree), loss_count());
}
END_TEST

static json_t *stats_of(const char *path)
{
    get(path);
    return json_array_get(json_object_get(tree, "model_stats"), 0);
}

static int64_t times(const json_t *stats, const char *what)
{
    return integer_at(json_object_get(json_object_get(stats, "inference_stats"), what), "count");
}

START_TEST(statistics_count_requests_of_all_protocols)
{
    ck_assert_int_eq(integer_at(stats_of("/v2/models/mse/stats"), "last_inference"), 0);
    infer("mse", "{" THREE "}");
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/MSELoss",
                              "Content-Type: application/json\r\n",
                              "{\"input\":[1],\"target\":[2]}", 26, &response));
    infer("mse", "{}");
    json_t *stats = stats_of("/v2/models/mse/versions/1/stats");
    ck_assert_str_eq(json_string_value(json_object_get(stats, "version")), "1");
    ck_assert_int_eq(integer_at(stats, "inference_count"), 2);
    ck_assert_int_gt(integer_at(stats, "last_inference"), 1600000000000);
    ck_assert_int_eq(times(stats, "success"), 2);
    ck_assert_int_eq(times(stats, "compute_infer"), 2);
    ck_assert_int_eq(times(stats, "fail"), 1);
    ck_assert_int_eq(times(stats, "queue"), 3);
    ck_assert_int_gt(
        integer_at(json_object_get(json_object_get(stats, "inference_stats"), "success"), "ns"),
        integer_at(json_object_get(json_object_get(stats, "inference_stats"), "compute_infer"),
                   "ns"));
    get("/v2/models/stats");
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "model_stats")), loss_count());
}
END_TEST

/* ---- Suite ---- */

Suite *oip_suite(void)
{
    Suite *suite = suite_create("oip");
    TCase *tcase = tcase_create("oip");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, infer_in_json_returns_the_requested_outputs_in_order);
    tcase_add_test(tcase, infer_without_outputs_returns_only_the_loss);
    tcase_add_test(tcase, infer_without_reduction_has_the_shape_of_the_terms);
    tcase_add_test(tcase, binary_output_works_with_json_inputs);
    tcase_add_test(tcase, binary_outputs_follow_the_json_in_order_and_without_gaps);
    tcase_add_test(tcase, binary_outputs_and_others_can_be_mixed);
    tcase_add_test(tcase, tensors_without_elements_have_no_bytes);
    tcase_add_test(tcase, nonfinite_numbers_are_returned_as_strings);
    tcase_add_test(tcase, parameters_may_be_strings_and_protocol_parameters_are_ignored);
    tcase_add_test(tcase, warnings_are_returned);
    tcase_add_test(tcase, model_names_in_the_body_are_ignored);
    tcase_add_loop_test(tcase, bits_are_those_of_v1_for_every_dtype, 0, LOSSES * DTYPES);
    tcase_add_test(tcase, class_indices_of_every_integer_dtype_are_accepted);
    tcase_add_loop_test(tcase, errors_name_the_cause, 0, (int)(sizeof mistakes / sizeof *mistakes));
    tcase_add_test(tcase, every_byte_of_the_body_is_accounted_for);
    tcase_add_test(tcase, header_length_must_be_where_the_json_ends);
    tcase_add_test(tcase, invalid_values_are_named_by_element);
    tcase_add_test(tcase, errors_on_v2_have_its_error_format);
    tcase_add_test(tcase, bodies_over_the_limit_are_rejected_in_its_error_format);
    tcase_add_test(tcase, health_is_reported_by_status_and_body);
    tcase_add_test(tcase, server_metadata_names_the_extensions);
    tcase_add_loop_test(tcase, every_loss_is_a_model_with_its_tensors, 0, (int)loss_count());
    tcase_add_test(tcase, statistics_count_requests_of_all_protocols);
    suite_add_tcase(suite, tcase);
    return suite;
}
