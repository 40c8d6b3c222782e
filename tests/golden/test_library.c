/*
 * Runs the golden cases through the library. Compares float64 results with PyTorch's, and float32
 * results with the library's float64 results for the same rounded inputs. Uses one thread and
 * several, and every instruction set of the machine.
 */
#include "golden/golden.h"
#include "suites.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES_MAX = 64 };
static json_t *cases_of[CASES_MAX]; /* by the index of the loss in the table */

/* One evaluation: a request made from a case, and its results. */
struct trial {
    struct loss_tensor tensor[LOSS_MAX_TENSORS], grad_output, sample_weight;
    struct loss_request request;
    struct loss_plan plan;
    struct loss_result result;
    struct loss_error error;
    enum loss_status status;
};

/* Converts the values of a golden tensor for the library: integers to int64, floats to `dtype`. */
static struct loss_tensor converted(const struct golden_tensor *golden, enum loss_dtype dtype)
{
    struct loss_tensor tensor = golden->shape;
    tensor.dtype = loss_dtype_is_float(tensor.dtype) ? dtype : LOSS_INT64;
    tensor.data = malloc(golden->count * 8 + 1);
    ck_assert_ptr_nonnull(tensor.data);
    for (size_t i = 0; i < golden->count; i++)
        if (tensor.dtype == LOSS_INT64)
            ((int64_t *)tensor.data)[i] = (int64_t)golden->value[i];
        else if (tensor.dtype == LOSS_FLOAT64)
            ((double *)tensor.data)[i] = golden->value[i];
        else
            ((float *)tensor.data)[i] = (float)golden->value[i];
    return tensor;
}

/* Returns the tensor in float64, rounded to float32: the reference for float32 results. */
static struct loss_tensor rounded(struct golden_tensor *golden)
{
    for (size_t i = 0; i < golden->count && loss_dtype_is_float(golden->shape.dtype); i++)
        golden->value[i] = (float)golden->value[i];
    return converted(golden, LOSS_FLOAT64);
}

enum mode { EXACT64, ROUNDED64, SINGLE };

static struct loss_tensor take(const json_t *json, enum mode mode)
{
    struct golden_tensor golden = golden_tensor(json);
    const struct loss_tensor tensor =
        mode == ROUNDED64 ? rounded(&golden)
                          : converted(&golden, mode == SINGLE ? LOSS_FLOAT32 : LOSS_FLOAT64);
    golden_tensor_free(&golden);
    return tensor;
}

static enum loss_reduction reduction_named(const char *name)
{
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++)
        if (strcmp(loss_reduction_name((enum loss_reduction)r), name) == 0)
            return (enum loss_reduction)r;
    return LOSS_REDUCTION_COUNT;
}

/* Returns the expected derivative, such as "grad_input"; NULL if the case has none. */
static const json_t *expectation(const json_t *test, const char *derivative, const char *tensor)
{
    char name[64];
    snprintf(name, sizeof name, "%s_%s", derivative, tensor);
    return json_object_get(json_object_get(test, "expect"), name);
}

/* Returns false if the request cannot be made, such as for an unknown reduction. */
static bool fill(struct trial *trial, const struct loss_descriptor *loss, const json_t *test,
                 enum mode mode)
{
    const char *name;
    json_t *value;
    loss_request_init(&trial->request, loss);
    json_object_foreach(json_object_get(test, "inputs"), name, value)
    {
        const int k = loss_tensor_find(loss, name);
        if (strcmp(name, "sample_weight") == 0) {
            trial->sample_weight = take(value, mode);
            trial->request.sample_weight = &trial->sample_weight;
            continue;
        }
        ck_assert_msg(k >= 0, "%s has no tensor %s", loss->name, name);
        trial->tensor[k] = take(value, mode);
        trial->request.tensor[k] = &trial->tensor[k];
        trial->request.grad |= (uint32_t)(expectation(test, "grad", name) != NULL) << k;
        trial->request.hess |= (uint32_t)(expectation(test, "hess", name) != NULL) << k;
    }
    json_object_foreach(json_object_get(test, "params"), name, value)
    {
        const int k = loss_param_find(loss, name);
        if (strcmp(name, "reduction") == 0) {
            trial->request.reduction = reduction_named(json_string_value(value));
            if (trial->request.reduction == LOSS_REDUCTION_COUNT)
                return false;
        } else if (strcmp(name, "grad_output") == 0) {
            trial->grad_output = take(value, mode);
            trial->request.grad_output = &trial->grad_output;
        } else {
            ck_assert_msg(k >= 0, "%s has no parameter %s", loss->name, name);
            const bool yes = json_is_true(value);
            trial->request.param[k].number = golden_number(value);
            trial->request.param[k].integer =
                json_is_boolean(value) ? yes : json_integer_value(value);
        }
    }
    return true;
}

static void run(struct trial *trial, int threads)
{
    trial->status = loss_plan(&trial->plan, &trial->request, &trial->error);
    if (trial->status != LOSS_OK)
        return;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (trial->plan.grad_mask >> k & 1)
            trial->plan.grad[k].data = malloc(loss_tensor_bytes(&trial->plan.grad[k]) + 1);
        if (trial->plan.hess_mask >> k & 1)
            trial->plan.hess[k].data = malloc(loss_tensor_bytes(&trial->plan.hess[k]) + 1);
    }
    if (trial->plan.reduction == LOSS_NONE)
        trial->plan.output.data = malloc(loss_tensor_bytes(&trial->plan.output) + 1);
    trial->status = loss_run(&trial->plan, threads, &trial->result, &trial->error);
}

static void release(struct trial *trial)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        free(trial->tensor[k].data);
        free(trial->plan.grad[k].data);
        free(trial->plan.hess[k].data);
    }
    free(trial->grad_output.data);
    free(trial->sample_weight.data);
    free(trial->plan.output.data);
    *trial = (struct trial){0};
}

static void compare(const char *id, const char *what, const struct loss_tensor *tensor,
                    const json_t *json, struct golden_tolerance tolerance)
{
    struct golden_tensor expected = golden_tensor(json);
    ck_assert_uint_eq(loss_tensor_elements(tensor), expected.count);
    ck_assert_int_eq(tensor->rank, expected.shape.rank);
    for (size_t i = 0; i < expected.count; i++)
        ck_assert_msg(golden_close(((const double *)tensor->data)[i], expected.value[i], tolerance),
                      "%s: %s[%zu] is %.17g, expected %.17g", id, what, i,
                      ((const double *)tensor->data)[i], expected.value[i]);
    golden_tensor_free(&expected);
}

static void check_float64(const struct loss_descriptor *loss, const json_t *test, int threads)
{
    const json_t *expect = json_object_get(test, "expect");
    const char *id = json_string_value(json_object_get(test, "id"));
    struct trial trial = {0};
    const bool possible = fill(&trial, loss, test, EXACT64);
    if (possible)
        run(&trial, threads);
    if (json_object_get(expect, "error")) {
        ck_assert_msg(!possible || trial.status == LOSS_INVALID, "%s was not rejected", id);
        ck_assert(!possible || (trial.error.message[0] && trial.error.path[0] == '/'));
        release(&trial);
        return;
    }
    ck_assert_msg(trial.status == LOSS_OK, "%s: %s", id, trial.error.message);
    if (trial.plan.reduction != LOSS_NONE)
        compare(id, "loss",
                &(struct loss_tensor){.data = &trial.result.loss, .dtype = LOSS_FLOAT64},
                json_object_get(expect, "loss"), golden_tolerance(test));
    else
        compare(id, "loss", &trial.plan.output, json_object_get(expect, "loss"),
                golden_tolerance(test));
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const json_t *grad = expectation(test, "grad", loss->tensors[k].name);
        const json_t *hess = expectation(test, "hess", loss->tensors[k].name);
        if (grad)
            compare(id, "grad", &trial.plan.grad[k], grad, golden_tolerance(test));
        if (hess)
            compare(id, "hess", &trial.plan.hess[k], hess, golden_tolerance(test));
    }
    release(&trial);
}

/* Returns the distance of two floats in ulp. */
static int64_t ulps(float a, float b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b) ? 0 : INT64_MAX;
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    const int64_t from = x < 0 ? INT32_MIN - (int64_t)x : x,
                  to = y < 0 ? INT32_MIN - (int64_t)y : y;
    return from > to ? from - to : to - from;
}

static void compare_single(const char *id, const char *what, const struct loss_tensor *single,
                           const struct loss_tensor *truth)
{
    for (size_t i = 0; i < loss_tensor_elements(single); i++) {
        const float value = ((const float *)single->data)[i],
                    exact = (float)((const double *)truth->data)[i];
        ck_assert_msg(ulps(value, exact) <= 2, "%s: %s[%zu] is %.9g in float32, expected %.9g", id,
                      what, i, (double)value, (double)exact);
    }
}

static void check_float32(const struct loss_descriptor *loss, const json_t *test)
{
    const char *id = json_string_value(json_object_get(test, "id"));
    struct trial single = {0}, truth = {0};
    if (json_object_get(json_object_get(test, "expect"), "error"))
        return;
    ck_assert(fill(&single, loss, test, SINGLE) && fill(&truth, loss, test, ROUNDED64));
    run(&single, 1);
    run(&truth, 1);
    ck_assert_msg(single.status == LOSS_OK && truth.status == LOSS_OK, "%s: %s", id,
                  single.error.message);
    ck_assert_int_eq(single.plan.dtype, LOSS_FLOAT32);
    if (single.plan.reduction == LOSS_NONE)
        compare_single(id, "loss", &single.plan.output, &truth.plan.output);
    else
        ck_assert_msg(ulps((float)single.result.loss, (float)truth.result.loss) <= 1, "%s: loss",
                      id);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (single.plan.grad_mask >> k & 1)
            compare_single(id, loss->tensors[k].name, &single.plan.grad[k], &truth.plan.grad[k]);
        if (single.plan.hess_mask >> k & 1)
            compare_single(id, loss->tensors[k].name, &single.plan.hess[k], &truth.plan.hess[k]);
    }
    release(&single);
    release(&truth);
}

/* A loop test per loss. check passes only an integer to a loop test, so it is the index of the loss
 * in `cases_of` times CASE_STRIDE plus the index of the case. */
enum { CASE_STRIDE = 100000 };

START_TEST(golden_case_matches_pytorch)
{
    const size_t place = (size_t)_i / CASE_STRIDE, number = (size_t)_i % CASE_STRIDE;
    const json_t *test = json_array_get(cases_of[place], number);
    check_float64(loss_at(place), test, 3);
    for (size_t i = 0; loss_isa_at(i); i++) {
        if (!loss_isa_choose(loss_isa_at(i)))
            continue;
        check_float64(loss_at(place), test, 1);
        check_float32(loss_at(place), test);
    }
}
END_TEST

Suite *golden_library_suite(void)
{
    Suite *suite = suite_create("golden_library");
    for (size_t place = 0; place < loss_count(); place++) {
        cases_of[place] = golden_cases(loss_at(place)->name);
        TCase *tcase = tcase_create(loss_at(place)->name);
        const int first = (int)place * CASE_STRIDE;
        tcase_add_loop_test(tcase, golden_case_matches_pytorch, first,
                            first + (int)json_array_size(cases_of[place]));
        suite_add_tcase(suite, tcase);
    }
    return suite;
}
