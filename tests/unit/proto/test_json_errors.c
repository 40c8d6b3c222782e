/* Errors in requests in JSON: their messages, and the field and byte that they report. */
#include "suites.h"
#include "unit/proto/evaluate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Malformed requests ---- */

START_TEST(invalid_json_is_rejected_at_its_byte)
{
    evaluate_expect_problem("mse", "", 400,
                            "\"the end where '{' was expected (byte 0)\",\"offset\":0}");
    evaluate_expect_problem("mse", "[1]", 400,
                            "\"'[' where '{' was expected (byte 0)\",\"offset\":0}");
    evaluate_expect_problem("mse", "{\"input\":[1,2],\"target\":[1,2]", 400,
                            "\"the end where ',' or '}' was expected (byte 29)\"");
    evaluate_expect_problem(
        "mse", "{\"input\":[1,2],\"target\":[1,2],}", 400,
        "\"'}' where a field name in quotes was expected (byte 30)\",\"offset\":30}");
    evaluate_expect_problem("mse", "{\"input\":[1,2] \"target\":[1,2]}", 400,
                            "\"'\\\"' where ',' or '}' was expected (byte 15)\"");
    evaluate_expect_problem("mse", "{\"input\":[1,2],\"target\":[1,2]}x", 400,
                            "\"'x' where the end was expected (byte 30)\"");
    evaluate_expect_problem("mse", "{\"input\":[1,2,],\"target\":[1,2]}", 400,
                            "\"input: ']' where a number or an array was expected (byte 14)\"");
    evaluate_expect_problem("mse", "{\"input\":[1 2],\"target\":[1,2]}", 400,
                            "\"input: '2' where ',' or ']' was expected (byte 12)\"");
    evaluate_expect_problem("mse", "{\"input\":[1,2", 400,
                            "\"input: the end where ',' or ']' was expected (byte 13)\"");
    evaluate_expect_problem("mse", "{\"input\":[1,2},\"target\":[1,2]}", 400,
                            "\"input: '}' where ',' or ']' was expected (byte 13)\"");
    evaluate_expect_problem("mse", "{\"input\":\"text that is far too long\"}", 400,
                            "\"input: '\\\"' where a number, an array or an object was expected");
    evaluate_expect_problem("mse", "{'input':[1]}", 400,
                            "\"'\\\\'' where a field name in quotes was expected (byte 1)\"");
    evaluate_expect_problem("mse", "{\"inp\\x\":[1]}", 400,
                            "\"'\\\\\\\\' where the rest of a string was expected (byte 5)\"");
    evaluate_expect_problem("mse", "{\"inp\xff\":[1]}", 400,
                            "\"byte 0xff where the rest of a string was expected (byte 5)\"");
    evaluate_expect_problem("mse", "{\"inp\xc0\xaf\":[1]}", 400, "\"byte 0xc0");
    evaluate_expect_problem("mse", "{\"\xed\xa0\x80\":[1]}", 400, "\"byte 0xed");
    evaluate_expect_problem("mse", "{\"a\tb\":[1]}", 400, "\"byte 0x09");
    evaluate_expect_problem("mse", "\xef\xbb\xbf[]", 400, "\"'[' where '{' was expected (byte 3)");
    evaluate_expect_problem("mse", "\xef\xbb\xbf\xef\xbb\xbf{}", 400,
                            "\"byte 0xef where '{' was expected (byte 3)");
    evaluate_expect_problem("mse", "\xef\xbb{}", 400,
                            "\"byte 0xef where '{' was expected (byte 0)");
    evaluate_expect_problem("mse", "{\xef\xbb\xbf}", 400,
                            "\"byte 0xef where a field name in quotes was expected (byte 1)");
    ck_assert_str_eq(strstr(evaluate_bytes("mse", "{\"input\":[1]\0}", 14), "byte 0x00"),
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
                 "\"input[1][0] is %s; an RFC 8259 number, null, NaN, Infinity or "
                 "-Infinity was expected\",\"pointer\":\"/input/1/0\","
                 "\"offset\":15}",
                 bad[i]);
        evaluate_expect_problem("mse", body, 400, expected);
    }
    evaluate_expect_problem(
        "mse", "{\"input\":{\"shape\":[2,1],\"data\":[1,2.]},\"target\":[[1],[1]]}", 400,
        "\"input[1][0] is 2.; an RFC 8259 number, null, NaN, Infinity or "
        "-Infinity was expected\",\"pointer\":\"/input/data/1\"");
    evaluate_expect_problem(
        "mse", "{\"input\":{\"dtype\":\"float32\",\"data\":[true]},\"target\":[1]}", 400,
        "\"input[0] is true; an RFC 8259 number, null, NaN, Infinity or -Infinity was expected");
}
END_TEST

START_TEST(unknown_duplicate_and_mistyped_fields_are_rejected)
{
    evaluate_expect_problem(
        "mse", "{\"inptu\":[1],\"target\":[1]}", 400,
        "\"mse has no field 'inptu'; did you mean 'input'? (byte 9)\",\"pointer\":\"/inptu\"");
    evaluate_expect_problem(
        "cross_entropy", "{\"lable_smoothing\":0}", 400,
        "\"cross_entropy has no field 'lable_smoothing'; did you mean 'label_smoothing'?");
    evaluate_expect_problem("mse", "{\"a/b~\":0}", 400,
                            "\"mse has no field 'a/b~' (byte 8)\",\"pointer\":\"/a~1b~0\"");
    evaluate_expect_problem(
        "mse", "{\"size_average\":true}", 400,
        "\"size_average is deprecated in PyTorch and not supported; use reduction (byte 16)\"");
    evaluate_expect_problem("mse", "{\"input\":[1],\"input\":[2]}", 400,
                            "\"duplicate field 'input' (byte 21)\",\"pointer\":\"/input\"");
    evaluate_expect_problem("huber", "{\"delta\":1,\"delta\":1}", 400, "\"duplicate field 'delta'");
    evaluate_expect_problem("mse", "{\"grad\":1}", 400,
                            "\"grad is 1; it must be true, false, or a list of tensor names (byte "
                            "8)\",\"pointer\":\"/grad\"");
    evaluate_expect_problem(
        "mse", "{\"grad\":[1]}", 400,
        "\"grad[0] is 1; it must be the name of a tensor (byte 9)\",\"pointer\":\"/grad/0\"");
    evaluate_expect_problem("mse", "{\"grad\":[\"input\",{}]}", 400,
                            "\"grad[1] is an object; it must be the name of a tensor (byte 17)\"");
    evaluate_expect_problem(
        "mse", "{\"grad\":\"input\"}", 400,
        "\"grad is \\\"input\\\"; it must be true, false, or a list of tensor names (byte 8)\"");
    evaluate_expect_problem("mse", "{\"grad\":[\"input\" \"target\"]}", 400,
                            "\"'\\\"' where ',' or ']' was expected (byte 17)\"");
    evaluate_expect_problem("mse", "{\"grad\":[\"input\",]}", 400,
                            "\"grad[1] is ']'; it must be the name of a tensor (byte 17)\"");
    evaluate_expect_problem("mse", "{\"grad\":truer}", 400,
                            "\"'r' where ',' or '}' was expected (byte 12)\"");
    evaluate_expect_problem(
        "mse", "{\"grad\":tru}", 400,
        "\"grad is tru; it must be true, false, or a list of tensor names (byte 8)\"");
    evaluate_expect_problem("mse", "{\"reduction\":[\"mean\"]}", 400,
                            "\"reduction is an array; it must be a string (byte 13)\"");
    evaluate_expect_problem("mse", "{\"reduction\":\"mean}", 400,
                            "\"the end where the rest of a string was expected (byte 19)\"");
    evaluate_expect_problem("mse", "{\"reduction\":\"\\ud800\"}", 400,
                            "\"reduction is not valid text (byte 13)\"");
    evaluate_expect_problem(
        "mse", "{\"reduction\":1}", 400,
        "\"reduction is 1; it must be a string (byte 13)\",\"pointer\":\"/reduction\"");
    evaluate_expect_problem(
        "huber", "{\"delta\":\"1\"}", 400,
        "\"delta is \\\"1\\\"; it must be a number (byte 9)\",\"pointer\":\"/delta\"");
    evaluate_expect_problem("huber", "{\"delta\":NaN}", 400,
                            "\"delta is NaN; it must be a number (byte 9)\"");
    evaluate_expect_problem("nll", "{\"ignore_index\":1.5}", 400,
                            "\"ignore_index is 1.5; it must be a whole number or null (byte 16)\"");
    evaluate_expect_problem("kl_div", "{\"log_target\":1}", 400,
                            "\"log_target is 1; it must be true or false (byte 14)\"");
    evaluate_expect_problem("kl_div", "{\"log_target\":truex}", 400,
                            "\"'x' where ',' or '}' was expected");
    evaluate_expect_problem(
        "mse", "{\"grad\":[\"input\",\"inputs\"],\"input\":[1],\"target\":[1]}", 422,
        "\"mse has no tensor 'inputs'; did you mean 'input'?\",\"pointer\":\"/grad/1\"");
}
END_TEST

START_TEST(values_that_are_not_in_the_list_are_rejected)
{
    evaluate_expect_problem(
        "mse", "{\"reduction\":\"avg\"}", 422,
        "\"reduction is 'avg'; it must be 'mean', 'sum' or 'none'\",\"pointer\":\"/reduction\"");
    evaluate_expect_problem(
        "mse", "{\"reduction\":\"Mean\"}", 422,
        "\"reduction is 'Mean'; it must be 'mean', 'sum' or 'none'; did you mean 'mean'?\"");
    evaluate_expect_problem(
        "mse",
        "{\"reduction\":\"the mean of all the terms that there are in the batch, and not the "
        "sum or the terms themselves\"}",
        422,
        "\"reduction is 'the mean of all the terms that there are...'; it must be 'mean', "
        "'sum' or 'none'\"");
    evaluate_expect_problem("mse", "{\"dtype\":\"float16\"}", 422,
                            "\"dtype is 'float16'; it must be 'float32' or 'float64'");
    evaluate_expect_problem(
        "mse", "{\"encoding\":\"hex\"}", 422,
        "\"encoding is 'hex'; it must be 'nested', 'flat' or 'base64'\",\"pointer\":\"/encoding\"");
    evaluate_expect_problem(
        "huber", "{\"delta\":1e400}", 422,
        "\"delta is 1e400, which is out of the range of float64\",\"pointer\":\"/delta\"");
    evaluate_expect_problem(
        "nll", "{\"ignore_index\":9223372036854775808}", 422,
        "\"ignore_index is 9223372036854775808, which is out of the range of int64\"");
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
        evaluate_text("mse", bodies[i]);
        ck_assert_int_eq(evaluate_response.status, 400);
    }
    evaluate_text("mse",
                  "{\"gr\\u0061d\":[\"input\",\"\\u0074arget\"],\"input\":[1],\"target\":[3],"
                  "\"reduction\":\"s\\u0075m\"}");
    ck_assert_int_eq(evaluate_response.status, 200);
    json_set_alloc_funcs(take, give);
}
END_TEST

/* ---- Invalid tensors ---- */

START_TEST(ragged_arrays_are_rejected_at_the_first_mismatch)
{
    evaluate_expect_problem(
        "mse", "{\"input\":[[1,2],[3]]}", 422,
        "\"input[1] has 1 elements where its neighbors have 2; nested arrays must be "
        "rectangular\",\"pointer\":\"/input/1\"");
    evaluate_expect_problem(
        "mse", "{\"input\":[[1,2],3]}", 422,
        "\"input[1] is a number where its neighbors are arrays; nested arrays must be "
        "rectangular\"");
    evaluate_expect_problem("mse", "{\"input\":[1,[2]]}", 422,
                            "\"input[1] is an array where its neighbors are numbers");
    evaluate_expect_problem("mse", "{\"input\":[[],[1]]}", 422,
                            "\"input[1] has 1 elements where its neighbors have 0");
    evaluate_expect_problem("mse", "{\"input\":[[[1]],[]]}", 422,
                            "\"input[1] has 0 elements where its neighbors have 1");
    evaluate_expect_problem("mse", "{\"input\":[[[1],[2]],[[3],[4,5]]]}", 422,
                            "\"input[1][1] has 2 elements where its neighbors have 1");
    evaluate_expect_problem("mse", "{\"input\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", 400,
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
        evaluate_expect("mse", body, EMPTY_ANSWER);
    }
    for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
        snprintf(body, sizeof body, "{\"input\":{%s}}", misfits[i].tensor);
        snprintf(message, sizeof message, "\"input: the data has shape %s, but 'shape' is %s\"",
                 misfits[i].found, misfits[i].shape);
        evaluate_expect_problem("mse", body, 422, message);
    }
}
END_TEST

START_TEST(shapes_and_data_must_agree)
{
    evaluate_expect_problem(
        "mse", "{\"input\":{\"shape\":[2],\"data\":[1]}}", 422,
        "\"input: the data has 1 elements where shape (2,) has 2\",\"pointer\":\"/input/data\"");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[[1,2]],\"shape\":[2,1]}}", 422,
                            "\"input: the data has shape (1, 2), but 'shape' is (2, "
                            "1)\",\"pointer\":\"/input/data\"");
    evaluate_expect_problem(
        "mse", "{\"input\":{\"shape\":[1]}}", 422,
        "\"input: the tensor object lacks the field 'data'\",\"pointer\":\"/input\"");
    evaluate_expect_problem("mse", "{\"input\":{\"shape\":[4294967296,4294967296],\"data\":[1]}}",
                            422,
                            "\"input: the shape has more elements than can be "
                            "addressed\",\"pointer\":\"/input/shape\"");
    evaluate_expect_problem("mse", "{\"input\":{\"shape\":[-1],\"data\":[1]}}", 400,
                            "\"input/shape: a dimension is -1; it must be an integer in [0, 2^63) "
                            "(byte 19)\"");
    evaluate_expect_problem("mse", "{\"input\":{\"shape\":[1.5],\"data\":[1]}}", 400,
                            "\"input/shape: a dimension is 1.5; it must be");
    evaluate_expect_problem("mse", "{\"input\":{\"shape\":[2, 9223372036854775808],\"data\":[1]}}",
                            400, "\"input/shape: a dimension is 9223372036854775808; it must be");
    evaluate_expect_problem("mse", "{\"input\":{\"shape\":[1,],\"data\":[1]}}", 400,
                            "\"input/shape: ']' where a dimension was expected (byte 21)\"");
    evaluate_expect_problem(
        "mse", "{\"input\":{\"shape\":1,\"data\":[1]}}", 400,
        "\"input/shape: '1' where an array of dimensions was expected (byte 18)\"");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"shap\":[1]}}", 400,
                            "\"a tensor object has no field 'shap'; did you mean "
                            "'shape'?\",\"pointer\":\"/input/shap\"");
    evaluate_expect_problem("mse", "{\"input\":{\"data\":[1],\"data\":[1]}}", 400,
                            "\"input has a duplicate field 'data'");
    evaluate_expect_problem("mse", "{\"input\":{\"dtype\":\"float\",\"data\":[1]}}", 422,
                            "\"no such dtype 'float'; the dtypes are float64, float32,");
    evaluate_expect_problem("mse", "{\"input\":{}}", 422,
                            "\"input: the tensor object lacks the field 'data'\"");
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
    evaluate_expect_problem("mse", body, status, part);
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
                   "\"the encoding of a buffer is \\\"hex\\\"; it must be \\\"base64\\\" (byte");
    evaluate_expect_problem(
        "mse",
        "{\"input\":{\"shape\":[1],\"data\":{\"buffer\":\"AACAPw==\",\"encoding\":\"base64\"}}}",
        422, "\"input: a buffer requires a dtype\"");
    evaluate_expect_problem(
        "mse",
        "{\"input\":{\"dtype\":\"float32\",\"data\":{\"buffer\":\"AACAPw==\",\"encoding\":"
        "\"base64\"}}}",
        422, "\"input: a buffer requires a shape\"");
    evaluate_expect_problem(
        "mse", "{\"input\":{\"data\":{\"buffer\":\"AACAPw==\"}}}", 400,
        "\"input/data lacks 'encoding'; it must have both 'buffer' and 'encoding'");
}
END_TEST

/* Checks the error for a request of two classes whose labels are of this dtype. */
static void refuses_labels(const char *loss, const char *dtype, const char *labels,
                           const char *part)
{
    char body[200];
    snprintf(body, sizeof body, "{\"input\":[[0,0]],\"target\":{\"dtype\":\"%s\",\"data\":%s}}",
             dtype, labels);
    evaluate_expect_problem(loss, body, 422, part);
}

START_TEST(integers_must_be_whole_and_fit)
{
    evaluate_expect_problem(
        "nll", "{\"input\":[[0,0]],\"target\":[0.5]}", 422,
        "\"target[0] is 0.5; a whole number was expected\",\"pointer\":\"/target/0\"");
    evaluate_expect_problem("nll", "{\"input\":[[0,0]],\"target\":[null]}", 422,
                            "\"target[0] is null; a whole number was expected\"");
    evaluate_expect_problem("nll", "{\"input\":[[0,0]],\"target\":[x]}", 400,
                            "\"target[0] is x; a whole number was expected\"");
    evaluate_expect_problem(
        "nll", "{\"input\":[[0,0]],\"target\":[1e30]}", 422,
        "\"target[0] is 1e30; the range of int64 is [-9223372036854775808, 9223372036854775807]\"");
    refuses_labels(
        "nll", "uint64", "[18446744073709551616]",
        "\"target[0] is 18446744073709551616; the range of uint64 is [0, 18446744073709551615]\"");
    refuses_labels("nll", "uint64", "[-1]",
                   "\"target[0] is -1; the range of uint64 is [0, 18446744073709551615]\"");
    refuses_labels("nll", "uint16", "[65536]",
                   "\"target[0] is 65536; the range of uint16 is [0, 65535]\"");
    refuses_labels(
        "nll", "int8", "[300]",
        "\"target[0] is 300; the range of int8 is [-128, 127]\",\"pointer\":\"/target/data/0\"");
    refuses_labels("nll", "uint8", "[-1]", "\"target[0] is -1; the range of uint8 is [0, 255]\"");
    refuses_labels("nll", "bool", "[2]", "\"target[0] is 2; bool accepts true, false, 1 and 0\"");
}
END_TEST

START_TEST(strings_among_numbers_are_quoted_to_their_end)
{
    evaluate_expect_problem("mse", "{\"input\":[\"1,5\"],\"target\":[1]}", 400,
                            "\"input[0] is \\\"1,5\\\"; an RFC 8259 number, null, NaN, Infinity or "
                            "-Infinity was expected");
    evaluate_expect_problem("mze", "{}", 404, "\"no such loss 'mze'; did you mean 'mse'?\"");
    evaluate_expect_problem("zzzzzzzzz", "{}", 404,
                            "\"no such loss 'zzzzzzzzz'; GET /v1/losses lists them\"");
}
END_TEST

START_TEST(unsigned_labels_above_int64_are_out_of_range_for_any_ignore_index)
{
    /* As int64 these would be -100, which is ignored, and -1, which ends a list of labels. */
    refuses_labels(
        "nll", "uint64", "[18446744073709551516]",
        "\"target[0] is 18446744073709551516; class indices must be in [0, 2), or -100 to be "
        "ignored\"");
    refuses_labels(
        "multilabel_margin", "uint64", "[[0,18446744073709551615]]",
        "\"target[0][1] is 18446744073709551615; class indices must be in [0, 2), and -1 ends the "
        "list\"");
    evaluate_expect_problem(
        "nll",
        "{\"input\":[[0,0]],\"ignore_index\":9223372036854775807,"
        "\"target\":{\"dtype\":\"uint64\",\"data\":[9223372036854775808]}}",
        422,
        "\"target[0] is 9223372036854775808; class indices must be in [0, 2), or "
        "9223372036854775807 to be ignored\"");
    /* The bits of 2^63 are those of -2^63. */
    static const char *const losses[] = {"nll", "cross_entropy"};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        evaluate_expect_problem(
            losses[i],
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
    evaluate_expect(
        "l1",
        "{\"dtype\":\"float64\",\"reduction\":\"none\",\"target\":[0,0,0],\"input\":{\"dtype\":"
        "\"uint64\","
        "\"data\":[9223372036854776832,9223372036854776833,18446744073709551615]}}",
        "{\"loss\":{\"shape\":[3],\"dtype\":\"float64\",\"data\":[9223372036854776000,"
        "9223372036854778000,"
        "18446744073709552000]},\"reduction\":\"none\","
        "\"dtype\":\"float64\",\"count\":3}\n");
    evaluate_expect(
        "l1",
        "{\"reduction\":\"none\",\"target\":[0,0],\"input\":{\"dtype\":\"uint32\",\"data\":["
        "4294967295,4294967040]}}",
        "{\"loss\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":[4294967300,4294967000]},"
        "\"reduction\":\"none\",\"dtype\":\"float32\",\"count\":2}\n");
}
END_TEST

START_TEST(invalid_elements_are_quoted_as_written)
{
    evaluate_expect_problem("nll", "{\"input\":[[0,0],[0,0]],\"target\":[0,7]}", 422,
                            "\"target[1] is 7; class indices must be in [0, 2), or -100 to be "
                            "ignored\",\"pointer\":\"/target/1\"}");
    evaluate_expect_problem(
        "nll", "{\"input\":[[[0,0],[0,0]]],\"target\":{\"shape\":[1,2],\"data\":[0,7]}}", 422,
        "\"target[0][1] is 7; class indices must be in [0, 2), or -100 to be "
        "ignored\",\"pointer\":\"/target/data/1\"}");
    evaluate_expect_problem(
        "bce", "{\"input\":{\"data\":[[0.5,1.5]]},\"target\":[[0,0]]}", 422,
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
    evaluate_expect_problem(
        "mse", body, 422,
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
    evaluate_expect(
        "mse", body,
        "{\"loss\":1.3333333333333333,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":9,"
        "\"warnings\":[\"the shapes of target and input differ; they are broadcast, which is "
        "probably not intended\"]}\n");
}
END_TEST

Suite *json_errors_suite(void)
{
    Suite *suite = suite_create("json_errors");
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
    return suite;
}
