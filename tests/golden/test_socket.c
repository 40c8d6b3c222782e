/*
 * Sends the golden cases to a running server as JSON requests and compares the responses with
 * PyTorch's values. Tensors alternate between flat objects, nested arrays and base64; a response
 * has the format of its request.
 */
#include "golden/golden.h"
#include "suites.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct server_process server;

static void start(void)
{
    server_process_start(&server, (const char *const[]){"--log-level", "warning", NULL});
}

static void stop(void)
{
    ck_assert_int_eq(server_process_stop(&server), 0);
    server_process_free(&server);
}

/* ---- Requests ---- */

enum form { FLAT, NESTED, BASE64, FORMS };

/* Writes the elements of a tensor from *at on as nested arrays. */
static json_t *nest(const json_t *data, const struct loss_tensor *shape, int axis, size_t *at)
{
    if (axis == shape->rank)
        return json_incref(json_array_get(data, (*at)++));
    json_t *array = json_array();
    for (size_t i = 0; i < shape->shape[axis]; i++)
        json_array_append_new(array, nest(data, shape, axis + 1, at));
    return array;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(const unsigned char *bytes, size_t len)
{
    char *text = calloc(len / 3 + 2, 4), *out = text;
    for (size_t i = 0; i < len; i += 3) {
        const unsigned b = (unsigned)(i + 1 < len ? bytes[i + 1] : 0),
                       c = (unsigned)(i + 2 < len ? bytes[i + 2] : 0);
        const unsigned bits = (unsigned)bytes[i] << 16 | b << 8 | c;
        for (int k = 0; k < 4; k++)
            *out++ = (size_t)k > len - i ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    return text;
}

static size_t base64_decode(const char *text, unsigned char *bytes)
{
    size_t len = 0;
    for (unsigned bits = 0, held = 0; *text && *text != '='; text++) {
        bits = bits << 6 | (unsigned)(strchr(digits, *text) - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[len++] = (unsigned char)(bits >> held);
        }
    }
    return len;
}

static json_t *tensor_as(const json_t *tensor, enum form form)
{
    struct golden_tensor golden = golden_tensor(tensor);
    json_t *result = json_deep_copy(tensor);
    size_t at = 0;
    /* An array of zero rows does not show their length, so such tensors are sent as objects. */
    if (form == NESTED && golden.count > 0) {
        json_decref(result);
        result = nest(json_object_get(tensor, "data"), &golden.shape, 0, &at);
    } else if (form == BASE64) {
        int64_t *integers = malloc(golden.count * 8 + 1);
        for (size_t i = 0; i < golden.count; i++)
            integers[i] = (int64_t)golden.value[i];
        const bool is_float = loss_dtype_is_float(golden.shape.dtype);
        char *text = base64_encode(
            (const unsigned char *)(is_float ? (void *)golden.value : (void *)integers),
            golden.count * 8);
        json_object_set_new(result, "data",
                            json_pack("{s:s,s:s}", "buffer", text, "encoding", "base64"));
        free(text);
        free(integers);
    }
    golden_tensor_free(&golden);
    return result;
}

static json_t *request_for(const json_t *test, enum form form)
{
    json_t *body = json_deep_copy(json_object_get(test, "params")), *value, *grad = json_array(),
           *hess = json_array();
    const char *name;
    json_object_foreach(json_object_get(test, "inputs"), name, value)
    {
        char first[64], second[64];
        snprintf(first, sizeof first, "grad_%s", name);
        snprintf(second, sizeof second, "hess_%s", name);
        json_object_set_new(body, name, tensor_as(value, form));
        if (json_object_get(json_object_get(test, "expect"), first))
            json_array_append_new(grad, json_string(name));
        if (json_object_get(json_object_get(test, "expect"), second))
            json_array_append_new(hess, json_string(name));
    }
    if (json_object_get(body, "grad_output"))
        json_object_set_new(body, "grad_output",
                            tensor_as(json_object_get(body, "grad_output"), form));
    json_object_set_new(body, "grad", grad);
    json_object_set_new(body, "hess", hess);
    json_object_set_new(body, "dtype", json_string("float64"));
    return body;
}

/* ---- Responses ---- */

static double *flatten(const json_t *json, double *out)
{
    if (!json_is_array(json)) {
        const char *name = json_string_value(json);
        *out = !name                      ? json_number_value(json)
               : strcmp(name, "NaN") == 0 ? NAN
               : *name == '-'             ? -INFINITY
                                          : INFINITY;
        return out + 1;
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        out = flatten(json_array_get(json, i), out);
    return out;
}

static void compare(const char *id, const char *what, const json_t *json, const json_t *golden,
                    struct golden_tolerance tolerance)
{
    struct golden_tensor expected = golden_tensor(golden);
    double *value = calloc(expected.count + 1, sizeof *value);
    const json_t *data = json_is_object(json) ? json_object_get(json, "data") : json;
    ck_assert_msg(data != NULL, "%s: no %s", id, what);
    size_t count;
    if (json_is_object(data))
        count = base64_decode(json_string_value(json_object_get(data, "buffer")),
                              (unsigned char *)value) /
                sizeof *value;
    else
        count = (size_t)(flatten(data, value) - value);
    ck_assert_uint_eq(count, expected.count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(golden_close(value[i], expected.value[i], tolerance),
                      "%s: %s[%zu] is %.17g, expected %.17g", id, what, i, value[i],
                      expected.value[i]);
    free(value);
    golden_tensor_free(&expected);
}

static void check_answer(const json_t *test, const struct http_response *response)
{
    const char *id = json_string_value(json_object_get(test, "id")), *name;
    const json_t *expect = json_object_get(test, "expect");
    /* Jansson rejects integers that int64 cannot represent, such as 160470350449349750000. */
    json_t *answer = json_loads(response->body, JSON_DECODE_INT_AS_REAL, NULL), *value;
    ck_assert_msg(answer != NULL, "%s: not JSON: %s", id, response->body);
    if (json_object_get(expect, "error")) {
        ck_assert_msg(response->status == 422, "%s: %d", id, response->status);
        ck_assert_ptr_nonnull(json_object_get(answer, "detail"));
        ck_assert_ptr_nonnull(json_object_get(answer, "pointer"));
    } else {
        ck_assert_msg(response->status == 200, "%s: %s", id, response->body);
        json_object_foreach((json_t *)(uintptr_t)expect, name, value)
        {
            /* "loss", "grad_<tensor>" or "hess_<tensor>" */
            const bool is_loss = strcmp(name, "loss") == 0,
                       is_grad = strncmp(name, "grad_", 5) == 0;
            const json_t *got =
                is_loss
                    ? json_object_get(answer, "loss")
                    : json_object_get(json_object_get(answer, is_grad ? "grad" : "hess"), name + 5);
            compare(id, name, got, value, golden_tolerance(test));
        }
    }
    json_decref(answer);
}

/* _i is the index of the loss in the table. One connection sends all of its cases. */
START_TEST(golden_case_over_http_matches_pytorch)
{
    const char *loss = loss_at((size_t)_i)->name;
    json_t *cases = golden_cases(loss);
    struct http_client client;
    struct http_response response = {0};
    char path[128];
    snprintf(path, sizeof path, "/v1/losses/%s", loss);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    for (size_t i = 0; i < json_array_size(cases) * FORMS; i++) {
        const json_t *test = json_array_get(cases, i / FORMS);
        json_t *body = request_for(test, (enum form)(i % FORMS));
        char *text = json_dumps(body, 0);
        ck_assert(http_client_ask(&client, "POST", path, "Content-Type: application/json\r\n", text,
                                  strlen(text), &response));
        check_answer(test, &response);
        free(text);
        json_decref(body);
    }
    http_response_free(&response);
    http_client_close(&client);
    json_decref(cases);
}
END_TEST

Suite *golden_socket_suite(void)
{
    Suite *suite = suite_create("golden_socket");
    for (int place = 0; place < (int)loss_count(); place++) {
        TCase *tcase = tcase_create(loss_at((size_t)place)->name);
        tcase_set_timeout(tcase, 60);
        tcase_add_unchecked_fixture(tcase, start, stop);
        tcase_add_loop_test(tcase, golden_case_over_http_matches_pytorch, place, place + 1);
        suite_add_tcase(suite, tcase);
    }
    return suite;
}
