/* Errors of the Open Inference Protocol v2. */
#include "http/formats/oip_fixture.h"
#include "suites.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
    {"{\"inputs\":[" INPUT("inputs", "[1]", "FP32", "\"data\":[1]") "]}", "did you mean 'input'"},
    {"{\"inputs\":[" INPUT("reduction", "[1]", "FP32", "\"data\":[1]") "]}", "parameters"},
    {"{\"inputs\":[" INPUT("input", "[1]", "FP33", "\"data\":[1]") "]}", "datatype 'FP33'"},
    {"{\"inputs\":[" INPUT("input", "[1]", "BYTES", "\"data\":[\"a\"]") "]}", "datatype 'BYTES'"},
    {"{\"inputs\":[" INPUT("input", "[-1]", "FP32", "\"data\":[1]") "]}",
     "must be an integer in [0, 2^63)"},
    {"{\"inputs\":[" INPUT("input", "[1.5]", "FP32", "\"data\":[1]") "]}",
     "must be an integer in [0, 2^63)"},
    {"{\"inputs\":[{\"name\":\"input\",\"shape\":[4294967296,4294967296],\"datatype\":\"FP32\","
     "\"data\":[1]}]}",
     "addressed"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1]") "]}",
     "(1,), but its shape is (2,)"},
    {"{\"inputs\":[" INPUT("input", "[2,1]", "FP32", "\"data\":[[1,2]]") "]}",
     "data of shape (1, 2)"},
    {"{\"inputs\":[" INPUT("input", "[1]", "FP32", "\"data\":{}") "]}", "an array of numbers"},
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
    {"{" THREE ",\"input\":[]}",
     "the request has an unknown field 'input'; did you mean 'inputs'?"},
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
    {"{" THREE ",\"parameters\":{\"reduction\":[\"mean\"]}}",
     "reduction is an array; it must be a string, a number or a boolean"},
    {"{" THREE ",\"parameters\":{\"binary_data_output\":\"yes\"}}",
     "is \"yes\"; it must be true or false"},
    {"{" INPUTS(INPUT("input", "[2]", "FP32", "\"data\":[1,2]"),
                INPUT("input", "[2]", "FP32", "\"data\":[1,2]")) "}",
     "twice"},
    {"{\"inputs\":[" INPUT("input", "[2]", "FP32", "\"data\":[1,2]") "]}", "target"},
    {"{" INPUTS(INPUT("input", "[2]", "FP32", "\"data\":[1,2]"),
                INPUT("target", "[3]", "FP32", "\"data\":[1,2,3]")) "}",
     "target"},
    {"{" INPUTS(INPUT("input", "[2]", "FP32", "\"data\":[1,2]"),
                INPUT("target", "[2]", "FP32", "\"data\":[1,x]")) "}",
     "target[1] is x"},
};

START_TEST(errors_report_the_cause)
{
    oip_infer_json("mse", mistakes[_i].json);
    oip_expect_error(400, mistakes[_i].text);
    oip_infer_json("mse", "{" THREE "}"); /* on the same connection */
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(bodies_longer_or_shorter_than_declared_are_rejected)
{
    oip_infer_bytes("mse", "{" THREE_BYTES "}", oip_three, sizeof oip_three - 4);
    oip_expect_error(400, "expecting 4 additional bytes");
    oip_infer_bytes("mse", "{" THREE_BYTES "}", "0123456789abcdef0123456789abcdef",
                    sizeof oip_three + 2);
    oip_expect_error(400, "unexpected additional input data: 2 bytes");
    oip_infer_bytes("mse",
                    "{" INPUTS(INPUT("input", "[3]", "FP32", BYTES("8")),
                               INPUT("target", "[3]", "FP32", BYTES("16"))) "}",
                    oip_three, sizeof oip_three);
    oip_expect_error(400, "inputs[0] (input) has binary_data_size 8; shape (3,) of FP32 takes 12");
    oip_infer_bytes("mse", "{" THREE "}", "x", 1);
    oip_expect_error(400, "unexpected additional input data");
}
END_TEST

START_TEST(header_length_must_be_where_the_json_ends)
{
    static const struct {
        const char *length, *text;
    } lengths[] = {
        {"0", "is 0"},
        {"-1", "decimal digits"},
        {"+5", "decimal digits"},
        {"0x10", "decimal digits"},
        {"5 5", "decimal digits"},
        {"", "decimal digits"},
        {"99999999999999999999999", "decimal digits"},
        {"4294967497", "but the body has"},
        {"9000", "but the body has"},
        {"10", "Inference-Header-Content-Length"},
    };
    const char body[] = "{" THREE "}";
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char header[OIP_NAME * 2];
        snprintf(header, sizeof header, "Inference-Header-Content-Length: %s\r\n",
                 lengths[i].length);
        oip_ask("POST", "/v2/models/mse/infer", header, body, strlen(body));
        oip_expect_error(400, lengths[i].text);
    }
    char header[OIP_NAME * 2];
    snprintf(header, sizeof header, "Inference-Header-Content-Length: \t%zu \t\r\n",
             strlen(body)); /* as HTTP allows */
    oip_ask("POST", "/v2/models/mse/infer", header, body, strlen(body));
    ck_assert_int_eq(response.status, 200);
}
END_TEST

START_TEST(invalid_values_are_reported_by_element)
{
    oip_infer_json("cross_entropy",
                   "{" INPUTS(INPUT("input", "[1,3]", "FP32", "\"data\":[1,2,3]"),
                              INPUT("target", "[1]", "INT64", "\"data\":[3]")) "}");
    oip_expect_error(400, "target[0] is 3; class indices must be in [0, 3)");
}
END_TEST

START_TEST(long_parameters_are_not_truncated)
{
    char body[1024];
    for (int quoted = 0; quoted < 2; quoted++) {
        const char *const quote = quoted ? "\"" : "";
        for (int zeros = 507; zeros <= 508; zeros++) { /* 511 and 512 bytes */
            snprintf(body, sizeof body, "{" THREE ",\"parameters\":{\"delta\":%s1.%0*de1%s}}",
                     quote, zeros, 0, quote);
            oip_infer_json("huber", body);
            if (zeros == 507)
                ck_assert_int_eq(response.status, 200);
            else
                oip_expect_error(400, "delta has more than 511 bytes");
        }
    }
}
END_TEST

START_TEST(errors_on_v2_have_its_error_format)
{
    oip_get("/v2/models/msee");
    oip_expect_error(404, "did you mean 'mse'");
    oip_get("/v2/models/mse/versions/2");
    oip_expect_error(404, "the only version is 1");
    oip_ask("POST", "/v2/models/mse/versions/2/infer", NULL, "{}", 2);
    oip_expect_error(404, "the only version is 1");
    oip_get("/v2/nothing");
    oip_expect_error(404, "/v2/nothing");
    oip_get("/v2/models/mse/infer");
    oip_expect_error(405, "POST");
    oip_ask("POST", "/v2/models/mse", NULL, "{}", 2);
    oip_expect_error(405, "GET");
    oip_ask("POST", "/v2/models/mse/infer", "Content-Encoding: br\r\n", "{}", 2);
    oip_expect_error(415, "br");
    oip_ask("POST", "/v2/repository/models/mse/load", NULL, "{}", 2);
    oip_expect_error(400, "always ready");
    oip_ask("POST", "/v2/repository/models/mse/unload", NULL,
            "{\"parameters\":{\"unload_dependents\":false}}", 43);
    oip_expect_error(400, "always ready");
}
END_TEST

START_TEST(bodies_over_the_limit_are_rejected_in_its_error_format)
{
    ck_assert(http_client_send_text(&client, "POST /v2/models/mse/infer HTTP/1.1\r\nHost: "
                                             "localhost\r\nContent-Length: 1048577\r\n\r\n"));
    ck_assert(http_client_read(&client, &response, false));
    oip_read_tree();
    oip_expect_error(413, "--max-body");
}
END_TEST

Suite *oip_errors_suite(void)
{
    Suite *suite = suite_create("oip_errors");
    TCase *tcase =
        SUITE_ADD(suite, "oip_errors", bodies_longer_or_shorter_than_declared_are_rejected,
                  header_length_must_be_where_the_json_ends, invalid_values_are_reported_by_element,
                  long_parameters_are_not_truncated, errors_on_v2_have_its_error_format,
                  bodies_over_the_limit_are_rejected_in_its_error_format);
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, oip_setup, oip_teardown);
    tcase_add_loop_test(tcase, errors_report_the_cause, 0,
                        (int)(sizeof mistakes / sizeof *mistakes));
    return suite;
}
