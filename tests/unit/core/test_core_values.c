/* Losses and gradients at the limits of precision and range, which the golden cases do not cover.
 */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdbool.h>

START_TEST(reductions_agree_with_the_unreduced_terms)
{
    struct batch batch;
    batch_make(&batch, loss_at((size_t)_i), 5000, LOSS_FLOAT64, 3);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    const size_t n = loss_tensor_elements(&batch.plan.output);
    const double sum = batch_sum_of_terms(&batch);
    batch_clear(&batch);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, sum, 1e-11 * fabs(sum));
    ck_assert_uint_eq(batch.result.count, n);
    batch_free(&batch);
}
END_TEST

START_TEST(rows_may_have_a_million_classes)
{
    enum { C = 1000000 };
    static double x[C];
    int64_t y = 123456;
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, C),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = batch_of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, log(C), 1e-14);
    ck_assert_double_eq_tol(batch_grad(&batch, 0)[y], 1e-6 - 1, 1e-15);
    ck_assert_double_eq_tol(batch_grad(&batch, 0)[0], 1e-6, 1e-20);
    batch_clear(&batch);
}
END_TEST

START_TEST(nearly_certain_predictions_keep_their_precision)
{
    /* 1 - q = 1 / (1 + e^40); PyTorch's gradient is 0 here */
    double x[] = {40, 0};
    int64_t y = 0;
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 2),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = batch_of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, 4.248354255291589e-18, 1e-32);
    ck_assert_double_eq_tol(batch_grad(&batch, 0)[0], -4.248354255291589e-18, 1e-32);
    batch_clear(&batch);
}
END_TEST

START_TEST(classes_of_probability_zero_are_accepted_unless_they_are_the_target)
{
    double x[] = {-INFINITY, 0, 1};
    int64_t y = 1;
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 3),
                             target = {.data = &y, .dtype = LOSS_INT64};
    struct batch batch = batch_of("cross_entropy", &input, &target);
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, log1p(exp(1)), 1e-15);
    ck_assert_double_eq(batch_grad(&batch, 0)[0], 0);
    batch_clear(&batch);
    y = 0;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_infinite(batch.result.loss);
    ck_assert_uint_eq(batch.result.nonfinite, 1);
    batch_clear(&batch);
}
END_TEST

START_TEST(ignored_targets_are_not_counted)
{
    double x[] = {0, 1, 2, 3, 4, 5};
    int64_t y[] = {0, -100, 1};
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT64, 3, 2),
                             target = batch_vector(y, LOSS_INT64, 3);
    struct batch batch = batch_of("nll", &input, &target);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.count, 2);
    ck_assert_double_eq(batch.result.loss, -(0 + 5) / 2.0);
}
END_TEST

START_TEST(gradients_are_multiplied_by_the_upstream_gradient)
{
    double x[] = {1, 2}, y[] = {0, 0}, up[] = {10, 100};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 2),
                             target = batch_vector(y, LOSS_FLOAT64, 2),
                             each = batch_vector(up, LOSS_FLOAT64, 2),
                             one = {.data = up, .dtype = LOSS_FLOAT64};
    struct batch batch = batch_of("mse", &input, &target);
    batch.request.grad = 1;
    batch.request.grad_output = &one;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch_grad(&batch, 0)[1], 2 * 2 * 10 / 2);
    batch_clear(&batch);
    batch.request.reduction = LOSS_NONE;
    batch.request.grad_output = &each;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch_grad(&batch, 0)[0], 2 * 10);
    ck_assert_double_eq(batch_grad(&batch, 0)[1], 2 * 2 * 100);
    batch_clear(&batch);
    batch.request.reduction = LOSS_SUM;
    batch_refused(&batch, "/grad_output",
                  "grad_output has shape (2,); it must be a number, since the loss is one");
}
END_TEST

/* Added one by one, 1000 ones would not change 1e16. */
START_TEST(sums_keep_terms_that_plain_addition_loses)
{
    enum { ONES = 1000 };
    double x[ONES + 1] = {1e16}, zero = 0;
    for (int i = 1; i <= ONES; i++)
        x[i] = 1;
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, ONES + 1),
                             target = {.data = &zero, .dtype = LOSS_FLOAT64};
    struct batch batch = batch_of("l1", &input, &target);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, 1e16 + ONES);
    batch_clear(&batch);
}
END_TEST

/* As in PyTorch, a class whose score is exactly the margin below that of the label does not
   contribute to the gradient. */
START_TEST(class_margins_have_slope_zero_at_their_kinks)
{
    double x[] = {1, 0, -3};
    int64_t label = 0, list[] = {0, -1, -1};
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT64, 1, 3),
                             one = batch_vector(&label, LOSS_INT64, 1),
                             listed = batch_matrix(list, LOSS_INT64, 1, 3);
    const struct loss_tensor *const target[] = {&one, &listed};
    for (int i = 0; i < 2; i++) {
        struct batch batch =
            batch_of(i == 0 ? "multi_margin" : "multilabel_margin", &input, target[i]);
        batch.request.grad = 1;
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        ck_assert_double_eq(batch.result.loss, 0);
        for (int c = 0; c < 3; c++)
            ck_assert_double_eq(batch_grad(&batch, 0)[c], 0);
        batch_clear(&batch);
    }
}
END_TEST

START_TEST(upstream_gradient_may_be_strided)
{
    double x[] = {1, 1}, y[] = {0, 0}, up[] = {10, -1, 1000};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 2),
                             target = batch_vector(y, LOSS_FLOAT64, 2);
    struct loss_tensor each = batch_vector(up, LOSS_FLOAT64, 2);
    each.strided = true;
    each.stride[0] = 2;
    struct batch batch = batch_of("mse", &input, &target);
    batch.request.grad = 1;
    batch.request.grad_output = &each;
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq(batch_grad(&batch, 0)[0], 20);
    ck_assert_double_eq(batch_grad(&batch, 0)[1], 2000);
    batch_clear(&batch);
}
END_TEST

/* Exact values by mpmath: 1 - cos of (1, 2, 3) and (1 + 1e-6, 2, 3) with eps = float32(1e-12). */
START_TEST(cosine_of_nearly_parallel_vectors_keeps_its_precision)
{
    double a[] = {1, 2, 3}, b[] = {1 + 1e-6, 2, 3}, y = 1;
    const struct loss_tensor first = batch_vector(a, LOSS_FLOAT64, 3),
                             second = batch_vector(b, LOSS_FLOAT64, 3),
                             label = {.data = &y, .dtype = LOSS_FLOAT64};
    struct batch batch = batch_of("cosine_embedding", &first, &second);
    batch.request.tensor[2] = &label;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_eq_tol(batch.result.loss, 1.0459182660416237e-13,
                            1e-9 * 1.0459182660416237e-13);
    batch_clear(&batch);
}
END_TEST

/* Results of PyTorch 1.13 for infinite inputs and targets. */
START_TEST(infinities_give_the_results_of_pytorch)
{
    double x[] = {-INFINITY, INFINITY, -1.5, -1.5, 2, 2},
           y[] = {1, 0, -INFINITY, INFINITY, -INFINITY, 0};
    double half = 0.5;
    const double terms[] = {NAN, INFINITY, -INFINITY, INFINITY, INFINITY, 2.1269280110429727};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 6),
                             target = batch_vector(y, LOSS_FLOAT64, 6),
                             one = {.data = &half, .dtype = LOSS_FLOAT64};
    struct batch batch = batch_of("bce_with_logits", &input, &target);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    for (int i = 0; i < 6; i++) {
        const double term = ((const double *)batch.plan.output.data)[i];
        ck_assert_msg(isnan(terms[i]) ? isnan(term) : term == terms[i], "%d: %g", i, term);
    }
    batch_clear(&batch);
    double log_prob[] = {1, -INFINITY, -INFINITY}, p[] = {INFINITY, 0, 0.5};
    const double divergence[] = {NAN, NAN, INFINITY};
    const struct loss_tensor kl_input = batch_vector(log_prob, LOSS_FLOAT64, 3),
                             kl_target = batch_vector(p, LOSS_FLOAT64, 3);
    batch = batch_of("kl_div", &kl_input, &kl_target);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    for (int i = 0; i < 3; i++) {
        const double term = ((const double *)batch.plan.output.data)[i];
        ck_assert_msg(isnan(divergence[i]) ? isnan(term) : term == divergence[i], "%d: %g", i,
                      term);
    }
    batch_clear(&batch);
    /* A single number is a batch of one. */
    batch = batch_of("kl_div", &one, &one);
    batch.request.reduction = LOSS_BATCHMEAN;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
}
END_TEST

START_TEST(terms_that_overflow_float32_are_counted_if_they_are_returned)
{
    float x[] = {1e30f, 1}, y[] = {0, 0};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT32, 2),
                             target = batch_vector(y, LOSS_FLOAT32, 2);
    struct batch batch = batch_of("mse", &input, &target);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.nonfinite, 0);
    ck_assert_double_eq_tol(batch.result.loss, (double)1e30f * (double)1e30f / 2, 1e44);
    batch.request.reduction = LOSS_NONE;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_uint_eq(batch.result.nonfinite, 1);
    batch_clear(&batch);
}
END_TEST

/* -infinity divided by its infinite norm is NaN, as in PyTorch. */
START_TEST(infinite_vectors_have_no_direction)
{
    double query[] = {1, 2, 3, 4}, key[] = {1, 1, -INFINITY, 1};
    const struct loss_tensor queries = {.data = query,
                                        .dtype = LOSS_FLOAT64,
                                        .rank = 2,
                                        .shape = {2, 2}},
                             keys = {
                                 .data = key, .dtype = LOSS_FLOAT64, .rank = 2, .shape = {2, 2}};
    struct batch batch = batch_of("info_nce", &queries, &keys);
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    ck_assert_double_nan(batch.result.loss);
    batch_clear(&batch);
}
END_TEST

/* 1 / smooth overflows. _i is 1 for squared_pred. */
START_TEST(dice_accepts_a_subnormal_smooth)
{
    float zero[4] = {0}, one[4] = {1, 0, 0, 0};
    const struct loss_tensor empty = {.data = zero,
                                      .dtype = LOSS_FLOAT32,
                                      .rank = 3,
                                      .shape = {1, 1, 4}},
                             mask = {
                                 .data = one, .dtype = LOSS_FLOAT32, .rank = 3, .shape = {1, 1, 4}};
    for (int full = 0; full < 2; full++) {
        struct batch batch = batch_of("dice", &empty, full ? &mask : &empty);
        const struct loss_descriptor *const dice = batch.request.loss;
        batch.request.param[loss_param_find(dice, "smooth")].number = 1e-310;
        batch.request.param[loss_param_find(dice, "squared_pred")].integer = _i;
        batch.request.dtype = LOSS_FLOAT32;
        batch.request.grad = 1;
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        const float *const grad = batch.plan.grad[0].data;
        ck_assert_double_eq(batch.result.loss, full);
        /* dl/dp is 1 / smooth in the empty mask, 0 with squares; -2 y in the other one */
        const float at_empty = _i ? 0 : INFINITY;
        ck_assert_float_eq(grad[0], full ? -2 : at_empty);
        ck_assert_float_eq(grad[1], full ? 0 : at_empty);
        batch_clear(&batch);
    }
}
END_TEST

static void assert_near(double x, double wanted)
{
    ck_assert_msg(x == wanted || fabs(x - wanted) <= 1e-12 * fabs(wanted), "%.17g, not %.17g", x,
                  wanted);
}

/* Powers of the mean, of the target and of their ratio overflow or underflow, but the results do
   not, or are infinite. Computed with mpmath. */
START_TEST(tweedie_accepts_extreme_means_and_targets)
{
    static const struct {
        double p, mean, target, term, grad, hess;
    } cases[] = {
        {1.0, 1e-300, 10000000000.0, 14256027576563.084, -INFINITY, INFINITY},
        {1.0, 1e-300, 1e+300, 2.7611021115928552e+303, -INFINITY, INFINITY},
        {1.5, 1e+300, 1e-20, 3.9999999999999999e+150, 2e-150, 0},
        {1.999, 1e+200, 1e-200, 1906.6085180949985, 3.1697863849220661e-200, 0},
        {2.0, 1e+200, 1e-200, 1840.0680743952366, 2e-200, 0},
        {2.0, 1e-200, 1e+150, INFINITY, -INFINITY, INFINITY},
        {2.5, 1e+300, 1e-20, 26666666666.666668, 0, 0},
        {3.0, 1e+200, 1e-200, 9.9999999999999997e+199, 0, 0},
        {3.0, 1e-160, 1e-150, 9.9999999980000005e+169, -INFINITY, INFINITY},
        {3.0, 1e-200, 1e-200, 0, 0, INFINITY},
        {-1.0, 1e-200, 1e-100, 3.3333333333333334e-301, -2.0000000000000001e-300, -2e-100},
        {-1.0, 1e+104, 1.0000000009313225e+104, 8.6736160683191083e+293, -1.8626450081136194e+199,
         1.999999998137355e+104},
        {-3.0, 1e-60, -1e+260, 5e+19, 2e+80, 5.9999999999999999e+140},
        {-1.0, 1e-310, 1.0, 0.33333333333333331, -1.9999999999999939e-310, -2},
        {2.5, 2.0, 1.7e+308, 8.0138768534475383e+307, -6.0104076400856533e+307,
         7.5130095501070676e+307},
        {1.0, 1.7e+308, 0.0, INFINITY, 2, 0},
        {-1.0, 1e-300, 5e+299, INFINITY, -1, -1e+300},
        {-2.0, 1e-300, 1e+10, 1.6666666666666665e+39, 0, -4e-290},
        {-0.5, 1e-290, 1e+30, 5.333333333333334e+74, -2e-115, -1e+175},
        {-1.0, 1e-160, -1e+160, 1e-160, 2, 2e+160},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double mean = cases[i].mean, target = cases[i].target;
        const struct loss_tensor input = batch_vector(&mean, LOSS_FLOAT64, 1),
                                 targets = batch_vector(&target, LOSS_FLOAT64, 1);
        struct batch batch = batch_of("tweedie", &input, &targets);
        batch.request.param[loss_param_find(batch.request.loss, "p")].number = cases[i].p;
        batch.request.grad = batch.request.hess = 1;
        ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
        assert_near(batch.result.loss, cases[i].term);
        assert_near(batch_grad(&batch, 0)[0], cases[i].grad);
        assert_near(((const double *)batch.plan.hess[0].data)[0], cases[i].hess);
        batch_clear(&batch);
    }
}
END_TEST

Suite *core_values_suite(void)
{
    Suite *suite = suite_create("core_values");
    TCase *reductions = suite_add_case(suite, "reductions", 60, NULL, NULL);
    tcase_add_loop_test(reductions, reductions_agree_with_the_unreduced_terms, 0,
                        (int)loss_count());
    TCase *dice = suite_add_case(suite, "subnormal_smooth", 60, NULL, NULL);
    tcase_add_loop_test(dice, dice_accepts_a_subnormal_smooth, 0, 2);
    SUITE_ADD(suite, "values", rows_may_have_a_million_classes, infinite_vectors_have_no_direction,
              nearly_certain_predictions_keep_their_precision,
              classes_of_probability_zero_are_accepted_unless_they_are_the_target,
              ignored_targets_are_not_counted, sums_keep_terms_that_plain_addition_loses,
              class_margins_have_slope_zero_at_their_kinks,
              gradients_are_multiplied_by_the_upstream_gradient, upstream_gradient_may_be_strided,
              cosine_of_nearly_parallel_vectors_keeps_its_precision,
              terms_that_overflow_float32_are_counted_if_they_are_returned,
              infinities_give_the_results_of_pytorch, tweedie_accepts_extreme_means_and_targets);
    return suite;
}
