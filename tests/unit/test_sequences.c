/* ctc: what the golden cases do not reach. */
#include "suites.h"
#include "support/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- NaN ------------------------------------------------------------------------------------------------------------ */

/* Two sequences of STEPS steps and CLASSES classes. The first spells 1, 2; the second has fewer steps and spells 1. */
enum { STEPS = 5, BATCH = 2, CLASSES = 4, SECOND_STEPS = 3 };

/* A number in a floating-point dtype; only powers of two and NaN, which all of them hold. */
static void store(void *data, enum loss_dtype dtype, size_t i, double value)
{
    const bool nan = isnan(value);
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
    switch (dtype) {
    case LOSS_FLOAT64:
        ((double *)data)[i] = value;
        break;
    case LOSS_FLOAT32:
        ((float *)data)[i] = single;
        break;
    case LOSS_FLOAT16:
        ((uint16_t *)data)[i] = (uint16_t)(nan ? 0x7e00 : (bits >> 31 << 15 | exponent << 10));
        break;
    default:
        ((uint16_t *)data)[i] = (uint16_t)(nan ? 0x7fc0 : bits >> 16);
        break;
    }
}

/* A batch with NaN at one step and class of one sequence. Targets are padded or concatenated. */
struct spoilt {
    enum loss_dtype dtype;
    bool concatenated, zero_infinity, grad;
    size_t step, sequence, class;
    double at; /* the number that stands there */
};

static double log_probs[STEPS * BATCH * CLASSES];
static int64_t padded[] = {1, 2, 1, 0}, concatenated[] = {1, 2, 1}, steps[] = {STEPS, SECOND_STEPS}, lengths[] = {2, 1};

/* Runs it; the caller clears the batch. `lengths` says how many labels there are. */
static void run_spoilt(const struct spoilt *s, struct batch *batch)
{
    for (size_t i = 0; i < STEPS * BATCH * CLASSES; i++)
        store(log_probs, s->dtype, i, -2);
    store(log_probs, s->dtype, (s->step * BATCH + s->sequence) * CLASSES + s->class, s->at);
    const struct loss_tensor input = {.data = log_probs, .dtype = s->dtype, .rank = 3, .shape = {STEPS, BATCH, CLASSES}},
                             rows = {.data = padded, .dtype = LOSS_INT64, .rank = 2, .shape = {BATCH, 2}},
                             one_row = {.data = concatenated, .dtype = LOSS_INT64, .rank = 1, .shape = {3}},
                             input_lengths = {.data = steps, .dtype = LOSS_INT64, .rank = 1, .shape = {BATCH}},
                             target_lengths = {.data = lengths, .dtype = LOSS_INT64, .rank = 1, .shape = {BATCH}};
    const struct loss_descriptor *ctc = loss_find("ctc");
    *batch = (struct batch){0};
    loss_request_init(&batch->request, ctc);
    batch->request.tensor[0] = &input;
    batch->request.tensor[1] = s->concatenated ? &one_row : &rows;
    batch->request.tensor[2] = &input_lengths;
    batch->request.tensor[3] = &target_lengths;
    batch->request.param[loss_param_find(ctc, "zero_infinity")] = (struct loss_value){s->zero_infinity, s->zero_infinity};
    batch->request.reduction = LOSS_SUM;
    batch->request.dtype = LOSS_FLOAT64;
    batch->request.grad = s->grad;
    ck_assert_int_eq(batch_run(batch, 1), LOSS_OK);
}

/* _i counts dtype, layout of the targets and zero_infinity. */
START_TEST(nan_in_a_step_that_counts_makes_the_term_nan)
{
    const enum loss_dtype dtypes[] = {LOSS_FLOAT64, LOSS_FLOAT32, LOSS_FLOAT16, LOSS_BFLOAT16};
    const size_t count[] = {STEPS, SECOND_STEPS};
    struct spoilt s = {.dtype = dtypes[_i / 4], .concatenated = _i / 2 % 2, .zero_infinity = _i % 2, .at = NAN};
    for (s.grad = false;; s.grad = true) {
        for (s.sequence = 0; s.sequence < BATCH; s.sequence++)
            for (s.step = 0; s.step < count[s.sequence]; s.step++)
                for (s.class = 0; s.class <= 2 - s.sequence; s.class++) {
                    struct batch batch;
                    run_spoilt(&s, &batch);
                    ck_assert_double_nan(batch.result.loss);
                    ck_assert_uint_eq(batch.result.nonfinite, 1);
                    const double *grad = batch.plan.grad[0].data;
                    for (size_t i = 0; s.grad && i < STEPS * BATCH * CLASSES; i++) {
                        const size_t t = i / CLASSES / BATCH, n = i / CLASSES % BATCH;
                        ck_assert_int_eq(isnan(grad[i]), n == s.sequence && t < count[n]);
                    }
                    batch_clear(&batch);
                }
        if (s.grad)
            break;
    }
}
END_TEST

START_TEST(nan_in_a_step_beyond_the_input_length_does_not_count)
{
    struct spoilt s = {.dtype = LOSS_FLOAT32, .concatenated = _i, .grad = true, .sequence = 1, .at = NAN};
    for (s.step = SECOND_STEPS; s.step < STEPS; s.step++) {
        struct batch batch;
        run_spoilt(&s, &batch);
        ck_assert(isfinite(batch.result.loss));
        ck_assert_uint_eq(batch.result.nonfinite, 0);
        batch_clear(&batch);
    }
}
END_TEST

/* An alignment that is impossible anyway must not hide a NaN; without one zero_infinity makes it 0. */
START_TEST(zero_infinity_replaces_infinity_and_never_nan)
{
    struct spoilt s = {.dtype = LOSS_FLOAT32, .zero_infinity = true, .grad = true, .at = -2};
    struct batch batch;
    steps[0] = 1; /* for two labels */
    run_spoilt(&s, &batch);
    ck_assert(isfinite(batch.result.loss));
    ck_assert_uint_eq(batch.result.nonfinite, 0);
    ck_assert_double_eq(((const double *)batch.plan.grad[0].data)[0], 0);
    batch_clear(&batch);
    s.at = NAN;
    for (s.class = 0; s.class <= 2; s.class++) {
        run_spoilt(&s, &batch);
        ck_assert_double_nan(batch.result.loss);
        ck_assert_uint_eq(batch.result.nonfinite, 1);
        ck_assert_double_nan(((const double *)batch.plan.grad[0].data)[0]);
        batch_clear(&batch);
    }
    steps[0] = STEPS;
}
END_TEST

Suite *sequences_suite(void)
{
    Suite *suite = suite_create("sequences");
    TCase *nan = tcase_create("sequences_nan");
    tcase_add_loop_test(nan, nan_in_a_step_that_counts_makes_the_term_nan, 0, 16);
    tcase_add_loop_test(nan, nan_in_a_step_beyond_the_input_length_does_not_count, 0, 2);
    tcase_add_test(nan, zero_infinity_replaces_infinity_and_never_nan);
    suite_add_tcase(suite, nan);
    return suite;
}
