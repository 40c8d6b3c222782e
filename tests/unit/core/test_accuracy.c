/*
 * The accuracy of float32, for every loss and option, on numbers of many magnitudes: terms and
 * gradients are within 2 ulp of the exact value, sums within 1 ulp. The library's float64 result is
 * the exact value. Targets that are not class indices are 0 or 1, so that no formula cancels.
 */
#include "suites.h"
#include "support/batch.h"
#include "support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 2100, COLUMNS = 7, TERM_ULPS = 2, SUM_ULPS = 1 };

static double uniform(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

/* Magnitudes from 1e-9 to 1e2, of both signs, with some edges. */
static float number(uint64_t *state)
{
    static const float edges[] = {0, 1, 0.5F, 1e-45F, 1e-38F, 87, 88, 104, 1000, 0x1.fffffep-1F};
    const double u = uniform(state), sign = uniform(state) < 0.5 ? -1 : 1;
    if (uniform(state) < 0.1)
        return (float)sign * edges[random_bits(state) % (sizeof edges / sizeof *edges)];
    return (float)(sign * pow(10, 11 * u - 9));
}

/* Makes a batch in both dtypes. batch_make_columns() chooses the shapes and the class indices. */
static void make(struct batch *single, struct batch *exact, const struct loss_descriptor *loss)
{
    uint64_t state = RANDOM_SEED;
    batch_make_columns(single, loss, ELEMENTS, COLUMNS, LOSS_FLOAT32, 3);
    batch_make_columns(exact, loss, ELEMENTS, COLUMNS, LOSS_FLOAT64, 3);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (loss->tensors[k].optional)
            single->request.tensor[k] = exact->request.tensor[k] = NULL;
        if (single->plan.indexed[k])
            continue;
        const bool is_target = strcmp(loss->tensors[k].name, "target") == 0;
        float *const x = single->tensor[k].data;
        for (size_t i = 0; i < loss_tensor_elements(&single->tensor[k]); i++)
            x[i] = is_target ? (float)(random_bits(&state) >> 63) : number(&state);
    }
}

/* Copies the numbers of the float32 batch. */
static void widen(struct batch *exact, const struct batch *single)
{
    for (int k = 0; k < loss_tensor_specs(single->request.loss); k++)
        for (size_t i = 0; i < loss_tensor_elements(&single->tensor[k]); i++)
            if (!single->plan.indexed[k])
                ((double *)exact->tensor[k].data)[i] = (double)((float *)single->tensor[k].data)[i];
}

/* Runs both. Replaces numbers for which the formula is undefined. */
static void run(struct batch *single, struct batch *exact)
{
    while (batch_run(single, 1) != LOSS_OK) {
        ck_assert_msg(single->error.status == LOSS_INVALID && single->error.tensor >= 0, "%s: %s",
                      single->request.loss->name, single->error.message);
        ((float *)single->tensor[single->error.tensor].data)[single->error.element] = 0.3F;
        batch_clear(single);
    }
    widen(exact, single);
    ck_assert_int_eq(batch_run(exact, 1), LOSS_OK);
}

/* Returns the error in ulp of float32; 0 if the exact number is outside the range of normal float32
   numbers. */
static double error_ulps(double value, double exact)
{
    int exponent;
    if (!(fabs(exact) >= 0x1p-126 && fabs(exact) <= 0x1.fffffep127))
        return 0;
    frexp(exact, &exponent);
    return fabs(value - exact) / ldexp(1, exponent - 24);
}

static void compare(const struct loss_tensor *single, const struct loss_tensor *exact,
                    const char *loss, const char *option, const char *what)
{
    for (size_t i = 0; i < loss_tensor_elements(single); i++) {
        const double value = (double)((const float *)single->data)[i],
                     truth = ((const double *)exact->data)[i];
        ck_assert_msg(error_ulps(value, truth) <= TERM_ULPS,
                      "%s, %s: %s[%zu] is %.9g, exactly %.12g: %.3g ulp", loss, option, what, i,
                      value, truth, error_ulps(value, truth));
    }
}

static void check(struct batch *single, struct batch *exact, const char *option)
{
    const struct loss_descriptor *const loss = single->request.loss;
    for (int reduction = LOSS_MEAN; reduction <= LOSS_NONE; reduction++) {
        single->request.reduction = exact->request.reduction = (enum loss_reduction)reduction;
        run(single, exact);
        if (reduction == LOSS_NONE)
            compare(&single->plan.output, &exact->plan.output, loss->name, option, "term");
        ck_assert_msg(error_ulps(single->result.loss, exact->result.loss) <= SUM_ULPS,
                      "%s, %s: the %s is %.17g, exactly %.17g", loss->name, option,
                      loss_reduction_name(single->request.reduction), single->result.loss,
                      exact->result.loss);
        for (int k = 0; k < LOSS_MAX_TENSORS; k++)
            if (single->plan.grad_mask >> k & 1)
                compare(&single->plan.grad[k], &exact->plan.grad[k], loss->name, option,
                        loss->tensors[k].name);
        batch_clear(single);
        batch_clear(exact);
    }
}

/* _i is the loss's index. */
START_TEST(float32_results_are_within_two_ulp)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    struct batch single, exact;
    make(&single, &exact, loss);
    single.request.grad = exact.request.grad = loss_predictions(loss);
    check(&single, &exact, "defaults");
    const struct loss_request defaults = single.request;
    for (size_t option = 0; option < batch_options(loss); option++) {
        const char *const name = batch_set_option(&single, option);
        memcpy(exact.request.param, single.request.param, sizeof exact.request.param);
        if (name)
            check(&single, &exact, name);
        single.request = defaults;
    }
    batch_free(&single);
    batch_free(&exact);
}
END_TEST

Suite *accuracy_suite(void)
{
    Suite *suite = suite_create("accuracy");
    TCase *tcase = tcase_create("accuracy");
    tcase_add_loop_test(tcase, float32_results_are_within_two_ulp, 0, (int)loss_count());
    suite_add_tcase(suite, tcase);
    return suite;
}
