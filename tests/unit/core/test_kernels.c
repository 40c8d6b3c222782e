/*
 * The float32 kernels: sums in registers, gradients that bypass the caches, formulas of labels and
 * rows of classes in float32 arithmetic. Results are compared with those of the same numbers in
 * float64, which uses none of these.
 */
#include "suites.h"
#include "support/batch.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The same numbers in both dtypes ---- */

/* A loss over float32 numbers, with a target of float32 numbers or of class indices. */
struct problem {
    const char *loss;
    size_t rows, classes; /* classes 0: vectors of `rows` elements */
    const float *input, *target;
    const int64_t *label;
    enum loss_reduction reduction;
};

static struct loss_tensor tensor_of(const struct problem *p, void *data, enum loss_dtype dtype,
                                    bool rows_alone)
{
    return (struct loss_tensor){.data = data,
                                .dtype = dtype,
                                .rank = p->classes > 0 && !rows_alone ? 2 : 1,
                                .shape = {p->rows, p->classes}};
}

static double *widened(const float *x, size_t n)
{
    double *wide = malloc(n * sizeof *wide + 1);
    for (size_t i = 0; i < n; i++)
        wide[i] = (double)x[i];
    return wide;
}

static void evaluate(const struct problem *p, enum loss_dtype dtype, struct batch *batch)
{
    const size_t n = p->rows * (p->classes > 0 ? p->classes : 1);
    const bool wide = dtype == LOSS_FLOAT64;
    void *const x = wide ? widened(p->input, n) : (void *)(uintptr_t)p->input;
    void *const y = wide && p->target ? widened(p->target, n) : (void *)(uintptr_t)p->target;
    const struct loss_tensor input = tensor_of(p, x, dtype, false);
    const struct loss_tensor target =
        p->label ? tensor_of(p, (void *)(uintptr_t)p->label, LOSS_INT64, true)
                 : tensor_of(p, y, dtype, false);
    *batch = (struct batch){0};
    loss_request_init(&batch->request, loss_find(p->loss));
    batch->request.tensor[0] = &input;
    batch->request.tensor[1] = &target;
    batch->request.reduction = p->reduction;
    batch->request.grad = 1;
    ck_assert_msg(batch_run(batch, 2) == LOSS_OK, "%s: %s", p->loss, batch->error.message);
    if (wide) {
        free(x);
        free(y);
    }
}

/* Returns the error of a float32 in ulps of float32. */
static double ulps(float value, double exact)
{
    int exponent;
    if (isnan(exact) || isinf((float)exact))
        return value == (float)exact || (isnan(value) && isnan(exact)) ? 0 : (double)INFINITY;
    frexp(exact, &exponent);
    return fabs((double)value - exact) /
           ldexp(1, (exact == 0 || exponent < -125 ? -125 : exponent) - 24);
}

/* The loss must be within 1 ulp of the exact one, gradients within 4: docs/API.md promises 2,
   except where a formula cancels. */
static void check(const struct problem *p)
{
    struct batch narrow, wide;
    evaluate(p, LOSS_FLOAT32, &narrow);
    evaluate(p, LOSS_FLOAT64, &wide);
    ck_assert_uint_eq(narrow.result.count, wide.result.count);
    ck_assert_uint_eq(narrow.result.nonfinite, wide.result.nonfinite);
    ck_assert_msg(ulps((float)narrow.result.loss, wide.result.loss) <= 1, "%s: %a, not %a", p->loss,
                  narrow.result.loss, wide.result.loss);
    const float *ours = narrow.plan.grad[0].data;
    const double *exact = wide.plan.grad[0].data;
    for (size_t i = 0; i < loss_tensor_elements(&wide.plan.grad[0]); i++)
        if (!(ulps(ours[i], exact[i]) <= 4))
            ck_abort_msg("%s, classes %zu, gradient %zu of input %a: %a, not %a", p->loss,
                         p->classes, i, (double)p->input[i], (double)ours[i], exact[i]);
    batch_clear(&narrow);
    batch_clear(&wide);
}

/* Runs on every instruction set that the machine has. */
static void check_everywhere(const struct problem *p)
{
    for (size_t i = 0; loss_isa_at(i); i++)
        if (loss_isa_choose(loss_isa_at(i)))
            check(p);
}

/* Returns a number in [0, 1). */
static float random_unit(uint32_t *state)
{
    *state = *state * UINT32_C(1664525) + UINT32_C(1013904223);
    return (float)(*state >> 8) * 0x1p-24F;
}

/* ---- Labels ---- */

enum { LABELS = 40007 };

START_TEST(logits_of_labels_are_good_to_four_ulps)
{
    static float x[LABELS], y[LABELS];
    uint32_t state = 1;
    for (size_t i = 0; i < LABELS; i++) {
        const float u = 2 * random_unit(&state) - 1;
        x[i] = i % 2 == 0 ? 87 * u : 6 * u * u * u;
        y[i] = random_unit(&state) < 0.5F ? 0 : 1;
    }
    check_everywhere(&(struct problem){"bce_with_logits", LABELS, 0, x, y, NULL, LOSS_SUM});
}
END_TEST

START_TEST(probabilities_of_labels_are_good_to_four_ulps)
{
    static float x[LABELS], y[LABELS];
    uint32_t state = 2;
    for (size_t i = 0; i < LABELS; i++) {
        const float u = random_unit(&state), small = ldexpf(u + 0x1p-25F, -(int)(i % 100));
        x[i] = i % 3 == 0 ? u : i % 3 == 1 ? small : 1 - small;
        y[i] = random_unit(&state) < 0.5F && x[i] > 0 ? 1 : 0;
    }
    check_everywhere(&(struct problem){"bce", LABELS, 0, x, y, NULL, LOSS_SUM});
}
END_TEST

/* One element for which the fast formula of labels may not suffice, among ordinary ones. */
START_TEST(one_odd_element_is_done_as_well_as_the_others)
{
    static const float logit[] = {0,    -0.0F, 87,     -87,      87.5F, -88,     104,
                                  -200, 1e30F, -1e30F, INFINITY, NAN,   FLT_MIN, 1e-45F};
    static const float probability[] = {0, 1, -0.0F, 1e-45F, 1e-38F, FLT_MIN, 0x1.fffffep-1F};
    enum { N = 1000 };
    static float x[N], y[N];
    for (size_t i = 0; i < N; i++)
        x[i] = 0.5F;
    for (size_t at = 0; at < N; at += 333)
        for (int label = 0; label <= 4; label++) {
            y[at] = (float)label / 2 <= 1 ? (float)label / 2 : (float)label; /* 0, 1/2, 1, 3, 4 */
            for (size_t k = 0; k < sizeof logit / sizeof *logit; k++) {
                x[at] = logit[k];
                check(&(struct problem){"bce_with_logits", N, 0, x, y, NULL, LOSS_SUM});
            }
            for (size_t k = 0; k < sizeof probability / sizeof *probability; k++) {
                x[at] = probability[k];
                check(&(struct problem){"bce", N, 0, x, y, NULL, LOSS_SUM});
            }
            x[at] = 0.5F;
            y[at] = 0;
        }
}
END_TEST

/* ---- Rows of classes ---- */

/* By kind: ordinary logits (0), an almost certain prediction, a certain one, ties, a masked logit,
   a very low one, a very high one, and all logits high (7). */
static void fill_row(float *row, size_t classes, size_t kind, uint32_t *state)
{
    for (size_t c = 0; c < classes; c++)
        row[c] = 8 * random_unit(state) - 4;
    const size_t one = (size_t)(random_unit(state) * (float)classes), other = (one + 1) % classes;
    switch (kind) {
    case 1:
        row[one] = 30;
        break;
    case 2:
        row[one] = 80;
        break;
    case 3:
        row[one] = row[other] = 20;
        break;
    case 4:
        row[other] = -INFINITY;
        row[one] = 1;
        break;
    case 5:
        row[other] = -95;
        break;
    case 6:
        row[one] = 1e4F;
        break;
    case 7:
        for (size_t c = 0; c < classes; c++)
            row[c] += 1e4F;
        break;
    default:
        break;
    }
}

static void check_classes(size_t rows, size_t classes, size_t kinds, bool ignored)
{
    float *const x = malloc(rows * classes * sizeof *x);
    int64_t *const label = malloc(rows * sizeof *label);
    uint32_t state = (uint32_t)classes;
    for (size_t i = 0; i < rows; i++) {
        fill_row(x + i * classes, classes, i % kinds, &state);
        do
            label[i] = (int64_t)(random_unit(&state) * (float)classes);
        while (isinf(x[i * classes + (size_t)label[i]]));
        if (ignored && i % 7 == 3)
            label[i] = -100;
    }
    check_everywhere(&(struct problem){"cross_entropy", rows, classes, x, NULL, label, LOSS_SUM});
    free(x);
    free(label);
}

START_TEST(rows_of_any_number_of_classes_are_good_to_four_ulps)
{
    for (size_t classes = 1; classes <= 70; classes++) {
        check_classes(100, classes, 4, false);
        check_classes(100, classes, 4, true);
        if (classes > 1)
            check_classes(100, classes, 8, true);
    }
    check_classes(64, 1000, 8, true);
    check_classes(16, 20011, 8, false);
}
END_TEST

START_TEST(a_row_of_nan_is_nan_and_no_other_is)
{
    for (size_t classes = 2; classes <= 64; classes *= 2) {
        float *const x = calloc(50 * classes, sizeof *x);
        int64_t *const label = calloc(50, sizeof *label);
        x[20 * classes + 1] = NAN;
        x[30 * classes] = INFINITY;
        check_everywhere(&(struct problem){"cross_entropy", 50, classes, x, NULL, label, LOSS_SUM});
        free(x);
        free(label);
    }
}
END_TEST

/* ---- Sums and large gradients ---- */

START_TEST(terms_that_are_not_finite_are_counted_in_sums)
{
    enum { N = 70001 };
    static float x[N], y[N];
    static const char *const losses[] = {
        "mse", "l1", "smooth_l1", "huber", "bce_with_logits", "hinge_embedding"};
    for (size_t i = 0; i < N; i++) {
        x[i] = (float)(i % 13) / 4;
        y[i] = i % 2 == 0 ? 1 : -1;
    }
    x[0] = x[17] = x[16384] = x[N - 1] = NAN;
    x[40000] = INFINITY;
    for (size_t k = 0; k < sizeof losses / sizeof *losses; k++)
        check_everywhere(&(struct problem){losses[k], N, 0, x, y, NULL, LOSS_MEAN});
}
END_TEST

/* Large gradients, which bypass the caches if they are aligned, are complete wherever they begin.
 */
START_TEST(large_gradients_are_those_of_small_ones)
{
    enum { N = 8500007 };
    static const size_t shifts[] = {0, 4, 17};
    float *const x = malloc(N * sizeof *x), *const y = malloc(N * sizeof *y),
                 *const room = malloc((N + 32) * sizeof *room);
    uint32_t state = 3;
    for (size_t i = 0; i < N; i++) {
        x[i] = random_unit(&state);
        y[i] = random_unit(&state);
    }
    for (size_t k = 0; k < sizeof shifts / sizeof *shifts; k++) {
        const size_t shift = shifts[k];
        const struct loss_tensor input = {
            .data = x, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {N}};
        const struct loss_tensor target = {
            .data = y, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {N}};
        struct loss_request request;
        struct loss_plan plan;
        struct loss_result result;
        struct loss_error error;
        loss_request_init(&request, loss_find("mse"));
        request.tensor[0] = &input;
        request.tensor[1] = &target;
        request.grad = 1;
        request.reduction = LOSS_SUM;
        ck_assert_int_eq(loss_plan(&plan, &request, &error), LOSS_OK);
        memset(room, 0xff, (N + 32) * sizeof *room);
        float *const grad = plan.grad[0].data = room + shift;
        ck_assert_int_eq(loss_run(&plan, 2, &result, &error), LOSS_OK);
        for (size_t i = 0; i < N; i++)
            if (grad[i] != (float)(2 * ((double)x[i] - (double)y[i])))
                ck_abort_msg("gradient %zu is %a", i, (double)grad[i]);
        for (size_t i = 0; i < 32; i++)
            ck_assert_msg(isnan(room[i < shift ? i : N + i]), "%zu was written to", i);
    }
    free(x);
    free(y);
    free(room);
}
END_TEST

/* Rows of 513 floats begin at every alignment, and labels are in every part of a row. */
START_TEST(streamed_gradients_of_nll_are_complete)
{
    enum { ROWS = 16500, CLASSES = 513, IGNORED = 100 };
    float *const x = malloc(ROWS * CLASSES * sizeof *x);
    static int64_t label[ROWS];
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < ROWS; i++) {
        label[i] = i % IGNORED == 0 ? -100 : (int64_t)(i % CLASSES);
        for (size_t c = 0; c < CLASSES; c++)
            x[i * CLASSES + c] = -1;
    }
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT32, ROWS, CLASSES),
                             target = batch_vector(label, LOSS_INT64, ROWS);
    struct batch batch = batch_of("nll", &input, &target);
    batch.request.reduction = LOSS_SUM;
    batch.request.grad = 1;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    ck_assert_double_eq(batch.result.loss, ROWS - ROWS / IGNORED);
    const float *const grad = batch.plan.grad[0].data;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t c = 0; c < CLASSES; c++) {
            const float wanted = label[i] == (int64_t)c ? -1 : 0;
            if (grad[i * CLASSES + c] != wanted)
                ck_abort_msg("row %zu, class %zu: %g", i, c, (double)grad[i * CLASSES + c]);
        }
    batch_clear(&batch);
    free(x);
}
END_TEST

Suite *kernels_suite(void)
{
    Suite *suite = suite_create("kernels");
    SUITE_ADD(suite, "kernels_labels", logits_of_labels_are_good_to_four_ulps,
              probabilities_of_labels_are_good_to_four_ulps,
              one_odd_element_is_done_as_well_as_the_others);
    SUITE_ADD(suite, "kernels_classes", rows_of_any_number_of_classes_are_good_to_four_ulps,
              a_row_of_nan_is_nan_and_no_other_is);
    SUITE_ADD(suite, "kernels_bulk", terms_that_are_not_finite_are_counted_in_sums,
              large_gradients_are_those_of_small_ones, streamed_gradients_of_nll_are_complete);
    return suite;
}
