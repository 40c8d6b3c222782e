/*
 * Several losses in one request: each result must be byte-identical to that of a request of its
 * own, and errors must point to where the client wrote the value.
 */
#include "loss.h"
#include "memory/buffer.h"
#include "suites.h"
#include "support/server_fixture.h"

#include <stdlib.h>
#include <string.h>

static struct http_response single;

static void setup(void)
{
    start_server(server_process_defaults);
}

static void teardown(void)
{
    http_response_free(&single);
    end_server();
}

static void ask_many(const char *body)
{
    ask("POST", "/v1/evaluate", NULL, body);
}

/* Sends a request for one loss. Its response is in `single`. */
static void ask_single(const char *loss, const char *body)
{
    char path[96];
    snprintf(path, sizeof path, "/v1/losses/%s", loss);
    ck_assert(http_client_ask(&client, "POST", path, NULL, body, strlen(body), &single));
    ck_assert_msg(single.status == 200, "%s: %s", loss, single.body);
}

/* Appends the response to a request for one loss, in the format of /v1/evaluate. */
static void append_single(struct buffer *expected, const char *loss, const char *body)
{
    ask_single(loss, body);
    buffer_text(expected, expected->len == 0 ? "{\"results\":[" : ",");
    buffer_append(expected, single.body, strlen(single.body) - 1); /* without its newline */
}

static void expect_results(struct buffer *expected)
{
    buffer_append(expected, "]}\n", 4);
    ck_assert(!expected->failed);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(response.body, expected->data);
    buffer_free(expected);
}

/* ---- Responses ---- */

#define NESTED "\"input\": [[0.5, 0.25], [0.75, 0.125]], \"target\": [[1, 0], [0, 1]]"
#define FLAT                                                                                       \
    "\"input\": {\"shape\": [2, 2], \"data\": [0.5, 0.25, 0.75, 0.125]}, \"target\": {\"shape\": " \
    "[2, 2], \"data\": [1, 0, 0, "                                                                 \
    "1]}"
#define BASE64                                                                                     \
    "\"input\": {\"shape\": [2], \"dtype\": \"float32\", \"data\": {\"buffer\": "                  \
    "\"AAAAPwAAgD4=\", \"encoding\": "                                                             \
    "\"base64\"}}, "                                                                               \
    "\"target\": {\"shape\": [2], \"dtype\": \"uint8\", \"data\": {\"buffer\": \"AQA=\", "         \
    "\"encoding\": \"base64\"}}"

static const char *const alike[] = {
    "mse", "l1", "smooth_l1", "huber", "bce", "bce_with_logits", "kl_div", "MSELoss"};
enum { ALIKE = sizeof alike / sizeof alike[0] };

/* _i chooses the form of the tensors and the reduction. */
START_TEST(each_loss_has_the_result_of_a_single_request)
{
    static const char *const tensors[] = {NESTED, FLAT, BASE64}, *const reductions[] = {
                                                                     "mean", "sum", "none"};
    struct buffer body = {0}, alone = {0}, expected = {0};
    buffer_printf(&alone, "{%s, \"reduction\": \"%s\", \"grad\": true}", tensors[_i / 3],
                  reductions[_i % 3]);
    buffer_append(&alone, "", 1);
    for (int i = 0; i < ALIKE; i++)
        buffer_printf(&body, "%s\"%s\"", i == 0 ? "{\"losses\": [" : ", ", alike[i]);
    buffer_printf(&body, "], %s", alone.data + 1);
    buffer_append(&body, "", 1);
    ck_assert(!alone.failed && !body.failed);
    for (int i = 0; i < ALIKE; i++)
        append_single(&expected, alike[i], alone.data);
    ask_many(body.data);
    expect_results(&expected);
    buffer_free(&body);
    buffer_free(&alone);
}
END_TEST

START_TEST(small_and_empty_tensors_have_the_result_of_a_single_request)
{
    static const char *const tensors[] = {
        "\"input\": [], \"target\": []", "\"input\": [[], []], \"target\": [[], []]",
        "\"input\": 0.5, \"target\": 1", "\"input\": [0.5], \"target\": [1]"};
    static const char *const losses[] = {"mse", "l1", "bce"};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char alone[200], body[300];
        struct buffer expected = {0};
        snprintf(alone, sizeof alone, "{%s, \"reduction\": \"%s\", \"grad\": true, \"hess\": true}",
                 tensors[i], i % 2 ? "none" : "mean");
        snprintf(body, sizeof body, "{\"losses\": [\"mse\", \"l1\", \"bce\"], %s", alone + 1);
        for (size_t k = 0; k < sizeof losses / sizeof *losses; k++)
            append_single(&expected, losses[k], alone);
        ask_many(body);
        expect_results(&expected);
    }
}
END_TEST

START_TEST(fields_of_an_entry_override_shared_fields)
{
    struct buffer expected = {0};
    append_single(&expected, "huber",
                  "{" NESTED
                  ", \"weight\": [1, 3], \"delta\": 0.5, \"reduction\": \"sum\", \"grad\": true}");
    append_single(
        &expected, "huber",
        "{" NESTED
        ", \"weight\": [1, 3], \"delta\": 2, \"reduction\": \"none\", \"dtype\": \"float64\"}");
    append_single(
        &expected, "bce",
        "{\"input\": [[0.5, 0.25], [0.75, 0.125]], \"target\": [[0, 1], [1, 1]], \"weight\": [1, "
        "3], "
        "\"reduction\": \"sum\", \"encoding\": \"flat\", \"grad\": [\"input\", \"target\"]}");
    append_single(&expected, "bce", "{" NESTED ", \"reduction\": \"sum\"}");
    ask_many("{\"losses\": [{\"grad\": true, \"loss\": \"huber\", \"delta\": 0.5}, "
             " {\"loss\": \"HuberLoss\", \"reduction\": \"none\", \"dtype\": \"float64\"}, "
             " {\"target\": [[0, 1], [1, 1]], \"loss\": \"bce\", \"encoding\": \"flat\", \"grad\": "
             "[\"input\", \"target\"]}, "
             " {\"loss\": \"bce\", \"weight\": null}], \"reduction\": \"sum\", \"delta\": 2, "
             "\"weight\": [1, 3], " NESTED "}");
    expect_results(&expected);
}
END_TEST

START_TEST(byte_order_mark_before_several_losses_is_ignored)
{
    struct buffer expected = {0};
    append_single(&expected, "mse", "{\"input\":[1,3],\"target\":[0,0]}");
    ask_many("\xef\xbb\xbf\r\n{\"input\":[1,3],\"losses\":[\"mse\"],\"target\":[0,0]}");
    expect_results(&expected);
}
END_TEST

START_TEST(losses_may_precede_tensors_and_use_them_in_different_dtypes)
{
    static const char tensors[] =
        "{\"input\": [[0.5, 2], [1, 0.25], [3, 3]], \"target\": [1, 0, -100], \"weight\": [1, 2]}";
    struct buffer expected = {0};
    append_single(&expected, "cross_entropy", tensors);
    append_single(&expected, "nll",
                  "{\"input\": [[0.5, 2], [1, 0.25], [3, 3]], \"target\": [1, 0, -100], "
                  "\"weight\": [1, 2], \"dtype\": \"float64\"}");
    append_single(&expected, "smooth_l1", "{\"input\": [1, 2, 3], \"target\": [1, 0, -100]}");
    ask_many("{\"weight\": [1, 2], \"input\": [[0.5, 2], [1, 0.25], [3, 3]], \"losses\": "
             "[\"cross_entropy\", {\"loss\": \"nll\", "
             "\"dtype\": \"float64\"}, "
             "{\"loss\": \"smooth_l1\", \"input\": [1, 2, 3]}], \"target\": [1, 0, -100]}");
    expect_results(&expected);
}
END_TEST

/* Large enough for the executor, and for several blocks and threads. */
START_TEST(large_batches_have_the_result_of_a_single_request)
{
    struct buffer tensors = {0}, body = {0}, alone = {0}, expected = {0};
    buffer_text(&tensors, "\"input\": [0.5");
    for (int i = 1; i < 40000; i++)
        buffer_printf(&tensors, ",%d.%03d", i % 7, i * 37 % 1000);
    buffer_text(&tensors, "], \"target\": [1");
    for (int i = 1; i < 40000; i++)
        buffer_printf(&tensors, ",%d", i % 2);
    buffer_append(&tensors, "]", 2);
    buffer_printf(&alone, "{%s, \"grad\": true, \"sample_weight\": 2}", tensors.data);
    buffer_append(&alone, "", 1);
    buffer_printf(&body,
                  "{%s, \"losses\": [\"mse\", \"huber\", \"bce_with_logits\"], \"grad\": true, "
                  "\"sample_weight\": 2}",
                  tensors.data);
    buffer_append(&body, "", 1);
    ck_assert(!body.failed && !alone.failed);
    ask_many(body.data);
    expect_problem(422, "losses[0], mse: sample_weight has shape ()");
    buffer_free(&body);
    buffer_free(&alone);
    buffer_printf(&alone, "{%s, \"grad\": true}", tensors.data);
    buffer_append(&alone, "", 1);
    buffer_printf(&body,
                  "{%s, \"losses\": [\"mse\", \"huber\", \"bce_with_logits\"], \"grad\": true}",
                  tensors.data);
    buffer_append(&body, "", 1);
    ask_many(body.data);
    append_single(&expected, "mse", alone.data);
    append_single(&expected, "huber", alone.data);
    append_single(&expected, "bce_with_logits", alone.data);
    expect_results(&expected);
    buffer_free(&body);
    buffer_free(&alone);
    buffer_free(&tensors);
}
END_TEST

/* Short requests for much work run on the executor, not on the I/O thread. */
START_TEST(broadcasting_in_several_losses_runs_on_the_executor)
{
    struct buffer body = {0};
    buffer_text(&body, "{\"losses\": [\"mse\", \"l1\"], \"input\": [");
    for (int i = 0; i < 1000; i++)
        buffer_text(&body, i == 0 ? "[1]" : ",[1]");
    buffer_text(&body, "], \"target\": [");
    for (int i = 0; i < 1000; i++)
        buffer_text(&body, i == 0 ? "3" : ",3");
    buffer_append(&body, "]}", 3);
    ask_many(body.data);
    ck_assert_int_eq(response.status, 200);
    ck_assert_ptr_nonnull(strstr(response.body, "{\"results\":[{\"loss\":4,\"reduction\":\"mean\","
                                                "\"dtype\":\"float32\",\"count\":1000000,"));
    ck_assert_ptr_nonnull(
        strstr(response.body,
               "{\"loss\":2,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1000000,"));
    buffer_free(&body);
}
END_TEST

/* ---- Errors ---- */

static const struct {
    const char *body;
    int status;
    const char *detail, *pointer;
} wrong[] = {
    {"{" NESTED "}", 422, "losses is missing", "/losses"},
    {"{\"losses\": \"mse\", " NESTED "}", 400,
     "losses is \\\"mse\\\"; it must be a list of names of losses", "/losses"},
    {"{\"losses\": [], " NESTED "}", 422, "losses has 0 entries; it must have from 1 to 32",
     "/losses"},
    {"{\"losses\": [\"mse\", 3], " NESTED "}", 400,
     "losses[1] is 3; it must be the name of a loss, or an object with a field 'loss' (byte 19)",
     "/losses/1"},
    {"{\"losses\": [\"mse\" \"l1\"], " NESTED "}", 400,
     "'\\\"' where ',' or ']' was expected (byte 18)", "/losses"},
    {"{\"losses\": [\"mse\", {\"delta\": 1}], " NESTED "}", 400, "losses[1] lacks the field 'loss'",
     "/losses/1"},
    {"{\"losses\": [\"mse\", {\"loss\": 1}], " NESTED "}", 400,
     "the name of a loss is 1; it must be a string", "/losses/1/loss"},
    {"{\"losses\": [{\"loss\": \"l1\", \"loss\": \"l1\"}], " NESTED "}", 400,
     "duplicate field 'loss'", "/losses/0/loss"},
    {"{\"losses\": [\"mse\", \"hubert\"], " NESTED "}", 422,
     "no such loss 'hubert'; did you mean 'huber'?", "/losses/1"},
    {"{\"losses\": [\"ms\\u0000e\"], " NESTED "}", 422, "no such loss 'ms\\\\\\\\u0000e'; GET",
     "/losses/0"},
    {"{\"losses\": [\"mse\", {\"loss\": \"huber\", \"dleta\": 1}], " NESTED "}", 400,
     "losses[1], huber: huber has no field 'dleta'; did you mean 'delta'?", "/losses/1/dleta"},
    {"{\"losses\": [\"mse\", {\"loss\": \"huber\", \"delta\": -1}], " NESTED "}", 422,
     "losses[1], huber: delta is -1; it must be greater than 0", "/losses/1/delta"},
    {"{\"losses\": [\"mse\", \"huber\"], \"delta\": -1, " NESTED "}", 422,
     "losses[1], huber: delta is -1; it must be greater than 0", "/delta"},
    {"{\"losses\": [\"mse\", \"huber\"], \"delta\": 1x, " NESTED "}", 400,
     "losses[1], huber: 'x' where ',' or '}' was expected", "/delta"},
    {"{\"losses\": [\"mse\", \"huber\"], \"dleta\": 1, " NESTED "}", 400,
     "none of these losses has a field 'dleta'; did you mean 'delta'?", "/dleta"},
    {"{\"losses\": [\"mse\", \"l1\"], \"size_average\": true, " NESTED "}", 400,
     "size_average is deprecated", "/size_average"},
    {"{\"losses\": [\"mse\"], \"losses\": [\"l1\"], " NESTED "}", 400, "duplicate field 'losses'",
     "/losses"},
    {"{\"losses\": [\"mse\"], "
     "\"a_name_of_64_bytes_that_no_loss_has_for_any_of_its_fields_12345678\": 1, " NESTED "}",
     400, "no loss has a field 'a_name_of_64_bytes_that_no_loss_",
     "/a_name_of_64_bytes_that_no_loss_has_for_any_of_its_fields_12345678"},
    {"{\"losses\": [\"mse\"], \"input\": [1], " NESTED "}", 400, "duplicate field 'input'",
     "/input"},
    {"{\"losses\": [\"mse\", \"kl_div\"], \"reduction\": \"batchmean\", " NESTED "}", 422,
     "losses[0], mse: reduction is 'batchmean'", "/reduction"},
    {"{\"losses\": [\"mse\", \"nll\"], \"input\": [[1, 2]], \"target\": [2]}", 422,
     "losses[1], nll: target[0] is 2", "/target/0"},
    {"{\"losses\": [\"mse\", {\"loss\": \"bce\", \"input\": [0.5, {\"x\": 1}]}], " NESTED "}", 400,
     "losses[1], bce: input: '{' where a number or an array was expected", "/losses/1/input"},
    {"{\"losses\": [\"mse\", {\"loss\": \"bce\", \"input\": [[0.5, 0.5], [0.5, 1.5]]}], " NESTED
     "}",
     422, "losses[1], bce: input[1][1] is 1.5", "/losses/1/input/1/1"},
    {"{\"losses\": [{\"loss\": \"l1\", \"target\": [1, \"x\"], \"input\": [1, 2]}], " NESTED "}",
     400, "target[1] is", "/losses/0/target/1"},
    {"{\"losses\": [\"mse\", \"l1\"], \"input\": [1, \"x\"], \"target\": [1, 2]}", 400,
     "input[1] is", "/input/1"},
    {"{\"losses\": [\"mse\"], \"input\": [1, 2]}", 422, "losses[0], mse: target is missing",
     "/target"},
    {"{\"losses\": [\"mse\"], " NESTED "} x", 400, "where the end was expected", NULL},
    {"", 400, "where '{' was expected", NULL},
};

START_TEST(errors_have_a_pointer)
{
    char pointer[64];
    ask_many(wrong[_i].body);
    expect_problem(wrong[_i].status, wrong[_i].detail);
    snprintf(pointer, sizeof pointer, "\"pointer\":\"%s\"",
             wrong[_i].pointer ? wrong[_i].pointer : "");
    if (wrong[_i].pointer)
        expect_problem(wrong[_i].status, pointer);
    ask_many("{\"losses\": [\"mse\"], \"input\": [1], \"target\": [3]}");
    ck_assert_str_eq(
        response.body,
        "{\"results\":[{\"loss\":4,\"reduction\":\"mean\",\"dtype\":\"float32\",\"count\":1}]}\n");
}
END_TEST

START_TEST(more_than_32_losses_are_rejected)
{
    for (int count = 32; count <= 33; count++) {
        struct buffer body = {0};
        for (int i = 0; i < count; i++)
            buffer_text(&body, i == 0 ? "{\"losses\": [\"mse\"" : ", \"mse\"");
        buffer_text(&body, "], " NESTED "}");
        buffer_append(&body, "", 1);
        ask_many(body.data);
        ck_assert_int_eq(response.status, count == 32 ? 200 : 422);
        buffer_free(&body);
    }
    expect_problem(422, "losses has 33 entries");
}
END_TEST

START_TEST(invalid_heads_are_rejected)
{
    static const struct {
        const char *method, *path, *headers;
        int status;
        const char *text;
    } heads[] = {
        {"POST", "/v1/evaluate", "Content-Type: application/vnd.safetensors\r\n", 415,
         "tensors may be base64"},
        {"POST", "/v1/evaluate", "Content-Type: text/plain\r\n", 415, "text/plain"},
        {"POST", "/v1/evaluate", "Accept: application/vnd.safetensors\r\n", 406, ""},
        {"POST", "/v1/evaluate?reduction=sum", NULL, 400, "the query has 'reduction=sum'"},
        {"GET", "/v1/evaluate", NULL, 405, "POST"},
        {"POST", "/v1/evaluat", NULL, 404, "did you mean '/v1/evaluate'?"},
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        const bool post = strcmp(heads[i].method, "POST") == 0;
        ck_assert(http_client_ask(&client, heads[i].method, heads[i].path, heads[i].headers,
                                  post ? "{}" : NULL, post ? 2 : 0, &response));
        expect_problem(heads[i].status, heads[i].text);
    }
}
END_TEST

Suite *multi_loss_suite(void)
{
    Suite *suite = suite_create("multi_loss");
    TCase *tcase = tcase_create("evaluate");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, each_loss_has_the_result_of_a_single_request, 0, 9);
    CASE_ADD(tcase, small_and_empty_tensors_have_the_result_of_a_single_request,
             fields_of_an_entry_override_shared_fields,
             byte_order_mark_before_several_losses_is_ignored,
             losses_may_precede_tensors_and_use_them_in_different_dtypes,
             large_batches_have_the_result_of_a_single_request,
             broadcasting_in_several_losses_runs_on_the_executor, more_than_32_losses_are_rejected,
             invalid_heads_are_rejected);
    tcase_add_loop_test(tcase, errors_have_a_pointer, 0, (int)(sizeof wrong / sizeof wrong[0]));
    suite_add_tcase(suite, tcase);
    return suite;
}
