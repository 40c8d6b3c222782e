/* NaN in sample weights and in the upstream gradient. */
#include "suites.h"
#include "unit/core/nan_sweep.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Adds one operand of the terms' shape to the request. */
static void add_operand(struct sweep *sweep, int k)
{
    struct loss_tensor *const tensor = sweep_operand(sweep, k);
    *tensor = sweep->batch.plan.terms;
    sweep_lay_out(sweep, k, "weights");
    if (k == GRAD_OUTPUT)
        sweep->batch.request.grad_output = tensor;
    else
        sweep->batch.request.sample_weight = tensor;
}

START_TEST(nan_in_a_sample_weight_reaches_its_term)
{
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_BFLOAT16; dtype++) {
        struct sweep sweep;
        sweep_make(&sweep, loss_at((size_t)_i),
                   (struct sweep_setting){.dtype = (enum loss_dtype)dtype,
                                          .strided = dtype % 2,
                                          .elements = 343,
                                          .columns = 7});
        add_operand(&sweep, SAMPLE_WEIGHT);
        double *const before = sweep_terms(&sweep, NULL);
        const size_t n = loss_tensor_elements(&sweep.batch.plan.terms);
        bool *const reads = calloc(n, sizeof *reads);
        for (size_t i = 0; i < 3; i++) {
            const size_t t = i * (n - 1) / 2;
            sweep_put(&sweep.sample_weight, t,
                      sweep_nan_bits(sweep.setting.dtype, (unsigned)i % SWEEP_PATTERNS));
            reads[t] = true;
            double *const after = sweep_terms(&sweep, NULL);
            sweep_check_terms(&sweep, "sample_weight", t, before, after, reads);
            sweep_check_reduced(&sweep, "sample_weight", 1);
            free(after);
            sweep_put(&sweep.sample_weight, t,
                      sweep_number_bits(sweep.setting.dtype, sweep.value[SAMPLE_WEIGHT][t]));
            reads[t] = false;
        }
        free(reads);
        free(before);
        sweep_free(&sweep);
    }
}
END_TEST

/* Returns element e of the gradient with respect to tensor k. */
static double gradient_at(const struct batch *batch, int k, size_t e)
{
    return batch->plan.dtype == LOSS_FLOAT64 ? ((const double *)batch->plan.grad[k].data)[e]
                                             : (double)((const float *)batch->plan.grad[k].data)[e];
}

/* Makes the term of element 0 ignored. Returns false if the loss ignores no terms. */
static bool ignore_first_term(struct batch *batch)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    const int ignore_index = loss_param_find(loss, "ignore_index"),
              background = loss_param_find(loss, "include_background");
    if (ignore_index >= 0) {
        ((int64_t *)batch->tensor[1].data)[0] = -1;
        batch->request.param[ignore_index] = (struct loss_value){-1, -1};
    } else if (background >= 0) { /* one sample, whose first channel is the background */
        for (int k = 0; k < 2; k++) {
            batch->tensor[k].shape[1] = batch->tensor[k].shape[0];
            batch->tensor[k].shape[0] = 1;
        }
        batch->request.tensor[2] = NULL;
        batch->request.param[background] = (struct loss_value){0, 0};
    }
    return ignore_index >= 0 || background >= 0;
}

/* Returns the results of a request whose first sample weight has the bits `bits`: the loss or the
   first term, and the sum of all gradients. */
static void results_with(struct sweep *sweep, uint64_t bits, double result[2])
{
    struct batch *const batch = &sweep->batch;
    sweep_put(&sweep->sample_weight, 0, bits);
    ck_assert_msg(batch_run(batch, 1) == LOSS_OK, "%s", batch->error.message);
    ck_assert_uint_eq(batch->result.nonfinite, 0);
    result[0] = batch->result.loss;
    if (batch->plan.reduction == LOSS_NONE)
        result[0] = batch->plan.dtype == LOSS_FLOAT64 ? *(double *)batch->plan.output.data
                                                      : *(float *)batch->plan.output.data;
    result[1] = 0;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        for (size_t e = 0;
             batch->plan.grad_mask >> k & 1 && e < loss_tensor_elements(&batch->plan.grad[k]); e++)
            result[1] += gradient_at(batch, k, e);
    batch_clear(batch);
}

static void check_ignored_weight(struct sweep *sweep)
{
    const struct loss_descriptor *const loss = sweep->batch.request.loss;
    ck_assert_int_eq(loss_plan(&sweep->batch.plan, &sweep->batch.request, &sweep->batch.error),
                     LOSS_OK);
    add_operand(sweep, SAMPLE_WEIGHT);
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++) {
        double expected[2], result[2];
        if (!(loss->reductions >> r & 1))
            continue;
        sweep->batch.request.reduction = (enum loss_reduction)r;
        results_with(sweep, 0, expected);
        results_with(sweep, sweep_nan_bits(sweep->setting.dtype, 0), result);
        for (size_t i = 0; i < 2; i++)
            ck_assert_msg(result[i] == expected[i], "%s, %s: %g, not %g", loss->name,
                          loss_reduction_name((enum loss_reduction)r), result[i], expected[i]);
    }
}

/* Ignored terms ignore their weights: loss and gradients are as if the weights were 0. */
START_TEST(nan_in_a_sample_weight_of_an_ignored_term_is_not_read)
{
    size_t losses = 0;
    for (size_t i = 0; i < 2 * loss_count(); i++) {
        struct sweep sweep;
        const enum loss_dtype dtype = i % 2 ? LOSS_FLOAT64 : LOSS_FLOAT32;
        sweep_make(
            &sweep, loss_at(i / 2),
            (struct sweep_setting){.dtype = dtype, .elements = 343, .columns = 7, .grad = true});
        if (ignore_first_term(&sweep.batch)) {
            check_ignored_weight(&sweep);
            losses++;
        }
        sweep_free(&sweep);
    }
    ck_assert_uint_eq(losses, 2 * 3); /* cross_entropy, nll, dice */
}
END_TEST

/* Terms do not read the upstream gradient. A NaN in it reaches those gradients of its term that are
   not 0. */
START_TEST(nan_in_the_upstream_gradient_reaches_the_gradients_of_its_term)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    if (strcmp(loss->name, "info_nce") == 0) /* whose keys are shared by all terms */
        return;
    for (int dtype = LOSS_FLOAT64; dtype <= LOSS_FLOAT32; dtype++) {
        struct sweep sweep;
        sweep_make(
            &sweep, loss,
            (struct sweep_setting){
                .dtype = (enum loss_dtype)dtype, .elements = 343, .columns = 7, .grad = true});
        add_operand(&sweep, GRAD_OUTPUT);
        struct batch plain = sweep.batch;
        ck_assert_int_eq(batch_run(&plain, 1), LOSS_OK);
        const size_t t = loss_tensor_elements(&plain.plan.terms) / 2;
        sweep_put(&sweep.grad_output, t, sweep_nan_bits(sweep.setting.dtype, 1));
        ck_assert_int_eq(batch_run(&sweep.batch, 1), LOSS_OK);
        ck_assert_uint_eq(sweep.batch.result.nonfinite, 0);
        for (int k = 0; k < LOSS_MAX_TENSORS; k++)
            for (size_t e = 0;
                 plain.plan.grad_mask >> k & 1 && e < loss_tensor_elements(&plain.plan.grad[k]);
                 e++) {
                const double was = gradient_at(&plain, k, e), is = gradient_at(&sweep.batch, k, e);
                if (!sweep_lies_along(&plain.plan, k, e, t))
                    ck_assert_msg(is == was || (isnan(is) && isnan(was)),
                                  "%s: %s[%zu] is %g, it was %g", loss->name, loss->tensors[k].name,
                                  e, is, was);
                else
                    ck_assert_msg(isnan(is) || was == 0, "%s: %s[%zu] is %g", loss->name,
                                  loss->tensors[k].name, e, is);
            }
        batch_clear(&plain);
        sweep_free(&sweep);
    }
}
END_TEST

Suite *nan_weights_suite(void)
{
    Suite *suite = suite_create("nan_weights");
    TCase *tcase = suite_add_case(suite, "sample_weights", 120, NULL, NULL);
    tcase_add_loop_test(tcase, nan_in_a_sample_weight_reaches_its_term, 0, (int)loss_count());
    tcase = suite_add_case(suite, "upstream", 120, NULL, NULL);
    tcase_add_loop_test(tcase, nan_in_the_upstream_gradient_reaches_the_gradients_of_its_term, 0,
                        (int)loss_count());
    SUITE_ADD(suite, "ignored", nan_in_a_sample_weight_of_an_ignored_term_is_not_read);
    return suite;
}
