/*
 * Results of safetensors files have the same bits as those of the same request in JSON with base64
 * tensors.
 */
#include "golden/golden.h"
#include "http/formats/binary_fixture.h"
#include "suites.h"
#include "support/tensor_file.h"
#include "json/base64.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct http_response other; /* the response to the same request in JSON */

static void teardown(void)
{
    http_response_free(&other);
    end_server();
}

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

/* Sends JSON and expects JSON in `other`. Sends a file with `spaces` spaces before its data, and
   expects JSON and, after status 200, a file. All results must be equal. Frees the twin. */
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
    binary_ask(path, SAFETENSORS TAKE_JSON, &file);
    ck_assert_msg(response.status == other.status, "%s: %s, but JSON has %s", what, response.body,
                  other.body);
    if (response.status == 200) {
        ck_assert_msg(strcmp(response.body, other.body) == 0, "%s: %s, but JSON has %s", what,
                      response.body, other.body);
        binary_ask(path, SAFETENSORS, &file);
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

/* Stores numbers that all dtypes represent in `room`: 0, 1, 1, 0, 1. Returns the tensor. */
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
        binary_ask(path, SAFETENSORS, &body);
        struct tensor_answer answer = tensor_answer_read(response.body, response.body_len);
        const double loss = *(const double *)tensor_answer_data(&answer, "loss", "F64", "", &len);
        ck_assert_double_eq_tol(loss / cases[i].loss, 1, 1e-12);
        tensor_answer_data(&answer, "grad_input", "F64", NULL, &len);
        ck_assert_uint_gt(len, 0);
        tensor_answer_free(&answer);
    }
}
END_TEST

Suite *binary_bits_suite(void)
{
    Suite *suite = suite_create("binary_bits");
    TCase *bits =
        SUITE_ADD(suite, "binary_bits", every_dtype_is_accepted_aligned_or_not,
                  large_requests_have_the_bits_of_json, real_files_have_the_values_of_pytorch);
    tcase_set_timeout(bits, 60);
    tcase_add_unchecked_fixture(bits, binary_setup, teardown);
    TCase *golden = suite_add_case(suite, "binary_golden", 60, NULL, NULL);
    tcase_add_unchecked_fixture(golden, binary_setup, teardown);
    tcase_add_loop_test(golden, golden_cases_have_the_bits_of_json, 0, (int)loss_count());
    return suite;
}
