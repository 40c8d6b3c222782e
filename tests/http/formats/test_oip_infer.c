/*
 * Inference with the Open Inference Protocol v2, with requests such as NVIDIA's tritonclient.http
 * and KServe's client send, and the responses that they expect. Results must have the same bits as
 * those of the same request to /v1.
 */
#include "http/formats/oip_fixture.h"
#include "memory/buffer.h"
#include "suites.h"
#include "json/base64.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

START_TEST(infer_in_json_returns_the_requested_outputs_in_order)
{
    oip_infer_json(
        "mse",
        "{" THREE
        ",\"id\":\"a \\\"7\\\"\",\"outputs\":[{\"name\":\"grad_input\"},{\"name\":\"loss\"}],"
        "\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_uint_eq(json_array_size(json_object_get(oip_tree, "outputs")), 2);
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "grad_input", "FP32"), 2), 6);
    ck_assert_double_eq(oip_data_at(oip_output_at(1, "loss", "FP64"), 0), 9.25);
    ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "model_name")), "mse");
    ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "model_version")), "1");
    ck_assert_str_eq(json_string_value(json_object_get(oip_tree, "id")), "a \"7\"");
    ck_assert_int_eq(oip_integer_at(json_object_get(oip_tree, "parameters"), "count"), 3);
}
END_TEST

START_TEST(infer_without_outputs_returns_only_the_loss)
{
    oip_infer_json("MSELoss", "{" THREE "}");
    ck_assert_uint_eq(json_array_size(json_object_get(oip_tree, "outputs")), 1);
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    ck_assert_ptr_null(json_object_get(oip_tree, "id"));
    oip_infer_json("mse", "{" THREE ",\"id\":null,\"outputs\":null,\"parameters\":null}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    oip_infer_json("mse", "\xef\xbb\xbf{" THREE "}"); /* a byte order mark */
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 9.25 / 3);
}
END_TEST

START_TEST(infer_without_reduction_has_the_shape_of_the_terms)
{
    oip_infer_json("l1",
                   "{" INPUTS(INPUT("input", "[2,1]", "FP32", "\"data\":[[1],[2]]"),
                              INPUT("target", "[2,1]", "FP64",
                                    "\"data\":[4,4]")) ",\"parameters\":{\"reduction\":\"none\"}}");
    json_t *output = oip_output_at(0, "loss", "FP32"), *shape = json_object_get(output, "shape");
    ck_assert_uint_eq(json_array_size(shape), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 0)), 2);
    ck_assert_int_eq(json_integer_value(json_array_get(shape, 1)), 1);
    ck_assert_double_eq(oip_data_at(output, 1), 2);
}
END_TEST

START_TEST(binary_output_works_with_json_inputs)
{
    double loss;
    oip_infer_json("mse", "{" THREE ",\"parameters\":{\"binary_data_output\":true}}");
    json_t *output = oip_output_at(0, "loss", "FP64");
    ck_assert_int_eq(oip_integer_at(json_object_get(output, "parameters"), "binary_data_size"), 8);
    ck_assert_ptr_null(json_object_get(output, "data"));
    memcpy(&loss, response.body + response.body_len - sizeof loss, sizeof loss);
    ck_assert_double_eq(loss, 9.25 / 3);
}
END_TEST

START_TEST(binary_outputs_follow_the_json_in_order_and_without_gaps)
{
    float gradient[3];
    double loss;
    const size_t len = oip_infer_bytes(
        "mse",
        "{" THREE_BYTES
        ",\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}},"
        "{\"name\":\"loss\",\"parameters\":{\"binary_data\":true}}]}",
        oip_three, sizeof oip_three);
    ck_assert_int_eq(
        oip_integer_at(json_object_get(oip_output_at(0, "grad_input", "FP32"), "parameters"),
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
    const size_t len = oip_infer_bytes(
        "mse",
        "{" INPUTS(INPUT("target", "[3]", "FP32", "\"data\":[1,0.25,-1]"),
                   INPUT("input", "[3]", "FP32",
                         BYTES("12"))) ","
                                       "\"outputs\":[{\"name\":\"loss\",\"parameters\":{\"binary_"
                                       "data\":false}},{"
                                       "\"name\":\"grad_input\"}],"
                                       "\"parameters\":{\"binary_data_output\":true}}",
        oip_three, 12);
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 9.25 / 3);
    oip_output_at(1, "grad_input", "FP32");
    ck_assert_uint_eq(response.body_len, len + sizeof gradient);
    memcpy(gradient, response.body + len, sizeof gradient);
    ck_assert_float_eq(gradient[2], 2);
}
END_TEST

START_TEST(tensors_without_elements_have_no_bytes)
{
    oip_infer_bytes(
        "mse",
        "{" INPUTS(
            INPUT("input", "[0,3]", "FP32", BYTES("0")),
            INPUT("target", "[0,3]", "FP32",
                  BYTES("0"))) ","
                               "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_"
                               "data\":true}},{\"name\":\"loss\"}],"
                               "\"parameters\":{\"reduction\":\"sum\"}}",
        "", 0);
    ck_assert_int_eq(
        oip_integer_at(json_object_get(oip_output_at(0, "grad_input", "FP32"), "parameters"),
                       "binary_data_size"),
        0);
    ck_assert_double_eq(oip_data_at(oip_output_at(1, "loss", "FP64"), 0), 0);
    oip_infer_json("mse",
                   "{" INPUTS(INPUT("input", "[0]", "FP32", "\"data\":[]"),
                              INPUT("target", "[0]", "FP32",
                                    "\"data\":[]")) ",\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 0);
}
END_TEST

START_TEST(nonfinite_numbers_are_returned_as_strings)
{
    oip_infer_json(
        "mse",
        "{" INPUTS(
            INPUT("input", "[3]", "FP32", "\"data\":[NaN,Infinity,1]"),
            INPUT("target", "[3]", "FP32",
                  "\"data\":[null,\"-Infinity\",2]")) ","
                                                      "\"outputs\":[{\"name\":\"loss\"},{\"name\":"
                                                      "\"grad_input\"}]}");
    json_t *gradient = json_object_get(oip_output_at(1, "grad_input", "FP32"), "data");
    ck_assert_str_eq(json_string_value(json_array_get(gradient, 0)), "NaN");
    ck_assert_str_eq(json_string_value(json_array_get(gradient, 1)), "Infinity");
    ck_assert_int_eq(oip_integer_at(json_object_get(oip_tree, "parameters"), "nonfinite"), 2);
}
END_TEST

START_TEST(parameters_may_be_strings_and_protocol_parameters_are_ignored)
{
    oip_infer_json(
        "huber",
        "{" THREE
        ",\"parameters\":{\"delta\":\"0.5\",\"priority\":3,\"timeout\":1000,\"sequence_id\":0,"
        "\"triton_enable_empty_final_response\":true,\"reduction\":\"sum\"}}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 0.125 + 1.375);
    oip_infer_json("kl_div",
                   "{" THREE ",\"parameters\":{\"log_target\":true,\"reduction\":\"batchmean\"}}");
    ck_assert_int_eq(response.status, 200);
    oip_infer_json("huber", "{" THREE ",\"parameters\":{\"delta\":0.5,\"reduction\":\"sum\"}}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 0.125 + 1.375);
    oip_infer_json("huber",
                   "{" THREE ",\"parameters\":{\"delta\":Infinity,\"reduction\":\"sum\"}}");
    const double half = oip_data_at(oip_output_at(0, "loss", "FP64"), 0);
    oip_infer_json("huber",
                   "{" THREE ",\"parameters\":{\"delta\":\"Infinity\",\"reduction\":\"sum\"}}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), half);
    oip_infer_json("mse", "{" THREE ",\"parameters\":{\"reduction\":\"sum\"}}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 2 * half);
}
END_TEST

START_TEST(warnings_are_returned)
{
    oip_infer_json("mse", "{" INPUTS(INPUT("input", "[2]", "FP32", "\"data\":[1,2]"),
                                     INPUT("target", "[1]", "FP32", "\"data\":[1]")) "}");
    const char *warnings =
        json_string_value(json_object_get(json_object_get(oip_tree, "parameters"), "warnings"));
    ck_assert_ptr_nonnull(warnings);
    ck_assert_ptr_nonnull(strstr(warnings, "broadcast"));
}
END_TEST

/* Additional fields that KServe's client sends. */
START_TEST(model_names_in_the_body_are_ignored)
{
    oip_infer_json(
        "mse",
        "{\"id\":\"5\",\"model_name\":\"mse\",\"model_version\":null,\"inputs\":["
        "{\"name\":\"input\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{},\"data\":[3]},"
        "{\"name\":\"target\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":null,\"data\":["
        "1]}]}");
    ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), 4);
    ck_assert_int_eq(oip_ask("POST", "/v2/models/mse/versions/1/infer",
                             "Content-Type: application/json\r\n", "{" THREE "}",
                             strlen("{" THREE "}")) > 0,
                     true);
    ck_assert_int_eq(response.status, 200);
}
END_TEST

/* ---- Comparison with v1 ---- */

/* Writes numbers whose bytes are 0 except the most significant one: `high`, plus 0, 1 or 2. */
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
    char path[OIP_NAME];
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
    const size_t json_len = oip_infer_bytes(loss, json, bytes, len[0] + len[1]);
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
        oip_infer_json("cross_entropy", json);
        ck_assert_double_eq(oip_data_at(oip_output_at(0, "loss", "FP64"), 0), log(2));
    }
}
END_TEST

Suite *oip_infer_suite(void)
{
    Suite *suite = suite_create("oip_infer");
    TCase *tcase = SUITE_ADD(
        suite, "oip_infer", infer_in_json_returns_the_requested_outputs_in_order,
        infer_without_outputs_returns_only_the_loss,
        infer_without_reduction_has_the_shape_of_the_terms, binary_output_works_with_json_inputs,
        binary_outputs_follow_the_json_in_order_and_without_gaps,
        binary_outputs_and_others_can_be_mixed, tensors_without_elements_have_no_bytes,
        nonfinite_numbers_are_returned_as_strings,
        parameters_may_be_strings_and_protocol_parameters_are_ignored, warnings_are_returned,
        model_names_in_the_body_are_ignored, class_indices_of_every_integer_dtype_are_accepted);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, oip_setup, oip_teardown);
    tcase_add_loop_test(tcase, bits_are_those_of_v1_for_every_dtype, 0, LOSSES * DTYPES);
    return suite;
}
