/*
 * Every loss rejects numbers for which its formula has no value, and computes with all others. Each
 * tensor of every loss gets numbers that it is not meant for, alone and together with those of the
 * other tensors.
 */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Numbers that float32 and float64 both represent. */
static const double numbers[] = {-0x1p100, -1000, -2.5, -1,  -0.25, -0.0, 0,
                                 0x1p-100, 0.5,   1,    1.5, 2,     1000, 0x1p100};
enum {
    NUMBERS_COUNT = sizeof numbers / sizeof *numbers,
    COLUMNS = 7,
    ELEMENTS = 2 * COLUMNS * COLUMNS,
    ELEMENT = 3
};

/* The tensors that can be rejected, as docs/API.md lists them. */
static const struct {
    const char *loss, *tensor;
} refused[] = {{"bce", "input"},           {"gaussian_nll", "var"}, {"kl_div", "target"},
               {"poisson_nll", "input"},   {"tweedie", "input"},    {"tweedie", "target"},
               {"sigmoid_focal", "target"}};

static bool can_be_refused(const struct loss_descriptor *loss, int k)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].loss, loss->name) == 0 &&
            strcmp(refused[i].tensor, loss->tensors[k].name) == 0)
            return true;
    return false;
}

static void put(struct loss_tensor *tensor, double value)
{
    if (tensor->dtype == LOSS_FLOAT64)
        ((double *)tensor->data)[ELEMENT] = value;
    else
        ((float *)tensor->data)[ELEMENT] = (float)value;
}

static double get(const struct loss_tensor *tensor, size_t i)
{
    return tensor->dtype == LOSS_FLOAT64 ? ((const double *)tensor->data)[i]
                                         : (double)((const float *)tensor->data)[i];
}

static bool is_swept(const struct batch *batch, int k)
{
    return k < loss_tensor_specs(batch->request.loss) && !batch->plan.indexed[k] &&
           loss_tensor_elements(&batch->tensor[k]) > ELEMENT;
}

/* Checks that the error names the element that was set and its value. */
static void check_refusal(const struct batch *batch)
{
    const struct loss_error *const error = &batch->error;
    const struct loss_descriptor *const loss = batch->request.loss;
    char start[80];
    ck_assert_int_eq(error->status, LOSS_INVALID);
    ck_assert_msg(error->tensor >= 0 && can_be_refused(loss, error->tensor), "%s: %s", loss->name,
                  error->message);
    ck_assert_msg(error->element == ELEMENT, "%s: %s", loss->name, error->message);
    snprintf(start, sizeof start, " is %.17g; ", get(&batch->tensor[error->tensor], ELEMENT));
    ck_assert_msg(strstr(error->message, start) != NULL, "%s: %s", loss->name, error->message);
}

/* Returns a description of the batch, for a message. */
static const char *describe(const struct batch *batch)
{
    static char text[300];
    const struct loss_descriptor *const loss = batch->request.loss;
    size_t len = (size_t)snprintf(text, sizeof text, "%s (%s)", loss->name,
                                  loss_dtype_name(batch->plan.dtype));
    for (int p = 0; p < loss_param_specs(loss); p++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", %s %g", loss->params[p].name,
                                batch->request.param[p].number);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (is_swept(batch, k))
            len += (size_t)snprintf(text + len, sizeof text - len, ", %s %g", loss->tensors[k].name,
                                    get(&batch->tensor[k], ELEMENT));
    return text;
}

static bool has_nan(const struct batch *batch)
{
    for (size_t t = 0; t < loss_tensor_elements(&batch->plan.output); t++)
        if (isnan(get(&batch->plan.output, t)))
            return true;
    return false;
}

/* Evaluates the batch: it must be rejected, or have no term that is NaN. */
static void check(struct batch *batch)
{
    if (batch_run(batch, 1) == LOSS_OK)
        ck_assert_msg(!has_nan(batch), "NaN: %s", describe(batch));
    else
        check_refusal(batch);
    batch_clear(batch);
}

/* Checks each number in tensor k, with each in a later tensor `other`; alone if both are the same
   tensor. */
static void sweep_pair(struct batch *batch, int k, int other)
{
    const double before = get(&batch->tensor[k], ELEMENT),
                 other_before = get(&batch->tensor[other], ELEMENT);
    for (size_t i = 0; i < NUMBERS_COUNT; i++)
        for (size_t j = 0; j < (k == other ? 1 : NUMBERS_COUNT); j++) {
            put(&batch->tensor[other], numbers[j]);
            put(&batch->tensor[k], numbers[i]);
            check(batch);
        }
    put(&batch->tensor[other], other_before);
    put(&batch->tensor[k], before);
}

/* Does nothing if the parameters leave even usual numbers without a value. */
static void sweep(struct batch *batch)
{
    const bool usual = batch_run(batch, 1) == LOSS_OK;
    batch_clear(batch);
    if (!usual)
        return;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        for (int other = k; other < LOSS_MAX_TENSORS; other++)
            if (is_swept(batch, k) && is_swept(batch, other))
                sweep_pair(batch, k, other);
}

/* Sweeps with one option, and with it and each later one. */
static void sweep_options(struct batch *batch, size_t first)
{
    struct loss_value kept[LOSS_MAX_PARAMS];
    memcpy(kept, batch->request.param, sizeof kept);
    if (batch_set_option(batch, first))
        sweep(batch);
    for (size_t second = first + 1; second < batch_options(batch->request.loss); second++) {
        memcpy(batch->request.param, kept, sizeof kept);
        if (batch_set_option(batch, first) && batch_set_option(batch, second))
            sweep(batch);
    }
    memcpy(batch->request.param, kept, sizeof kept);
}

/* _i enumerates losses, and for each loss dtypes. */
START_TEST(finite_numbers_are_refused_or_give_terms_that_are_not_nan)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i / 2);
    struct batch batch;
    batch_make_columns(&batch, loss, ELEMENTS, COLUMNS, _i % 2 ? LOSS_FLOAT64 : LOSS_FLOAT32, 1);
    batch.request.reduction = LOSS_NONE;
    sweep(&batch);
    for (size_t option = 0; option < batch_options(loss); option++)
        sweep_options(&batch, option);
    batch_free(&batch);
}
END_TEST

/* Infinite labels are treated like any other unknown label. */
START_TEST(infinite_labels_are_labels)
{
    static const char *const losses[] = {"hinge_embedding", "cosine_embedding"};
    struct batch batch;
    batch_make(&batch, loss_find(losses[_i]), ELEMENTS, LOSS_FLOAT64, 1);
    batch.request.reduction = LOSS_NONE;
    const int target = loss_tensor_find(batch.request.loss, "target");
    put(&batch.tensor[target], 3);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    const double expected = get(&batch.plan.output, ELEMENT);
    batch_clear(&batch);
    put(&batch.tensor[target], -INFINITY);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(get(&batch.plan.output, ELEMENT), expected);
    batch_free(&batch);
}
END_TEST

/* _i is q: predictions that are too low (0) or too high (1) cost nothing, at any distance. */
START_TEST(quantiles_at_an_end_cost_nothing_on_one_side)
{
    struct batch batch;
    batch_make(&batch, loss_find("quantile"), ELEMENTS, LOSS_FLOAT64, 1);
    batch.request.reduction = LOSS_NONE;
    batch.request.param[loss_param_find(batch.request.loss, "q")] = (struct loss_value){_i, _i};
    const int target = loss_tensor_find(batch.request.loss, "target");
    put(&batch.tensor[target], _i == 0 ? INFINITY : -INFINITY);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(get(&batch.plan.output, ELEMENT), 0);
    batch_clear(&batch);
    put(&batch.tensor[target], _i == 0 ? -INFINITY : INFINITY);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(get(&batch.plan.output, ELEMENT), INFINITY);
    batch_free(&batch);
}
END_TEST

Suite *domains_suite(void)
{
    Suite *suite = suite_create("domains");
    TCase *tcase = tcase_create("numbers_outside"), *slow = tcase_create("numbers_swept");
    tcase_set_timeout(slow, 120);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_loop_test(slow, finite_numbers_are_refused_or_give_terms_that_are_not_nan, 0,
                        2 * (int)loss_count());
    tcase_add_loop_test(tcase, infinite_labels_are_labels, 0, 2);
    tcase_add_loop_test(tcase, quantiles_at_an_end_cost_nothing_on_one_side, 0, 2);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, slow);
    return suite;
}
