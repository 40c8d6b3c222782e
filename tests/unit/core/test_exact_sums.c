/*
 * Exact sums, alone and as losses, divisors and gradients of broadcast tensors, against integers of
 * any length: numbers of every magnitude, subnormal and huge ones, cancellation, NaN, infinities;
 * on every instruction set, permuted and divided.
 */
#include "suites.h"
#include "sum/exact_sum.h"
#include "support/batch.h"
#include "support/big_sum.h"
#include "support/random.h"

#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 20000 };

static uint64_t state = RANDOM_SEED;

/* Returns LOSSD_SUMS times a number of rounds (make check-sums). */
static int rounds(int usual)
{
    const char *const times = getenv("LOSSD_SUMS");
    return usual * (times ? atoi(times) : 1);
}

static double uniform(void)
{
    return (double)(random_bits(&state) >> 11) * 0x1p-53;
}

static size_t below(size_t n)
{
    return (size_t)(random_bits(&state) % n);
}

/* ---- Numbers ---- */

enum kind {
    ORDINARY,      /* from -1/2 to 1/2 */
    POSITIVE,      /* products of two numbers from 0 to 1 */
    INTEGERS,      /* with many zeros and equal numbers */
    WIDE,          /* 2^-170 to 2^80 */
    ANY_MAGNITUDE, /* all finite numbers */
    SUBNORMALS,
    LARGEST,    /* about 1e308, whose sums overflow */
    CANCELLING, /* pairs whose sum is far smaller */
    OUTLIERS,   /* mostly tiny, some huge */
    SPECIAL,    /* some are NaN or infinite, or -0 */
    KINDS
};

/* Returns a random finite number whose biased exponent is in [low, high). */
static double of_exponents(unsigned low, unsigned high)
{
    const uint64_t bits = (random_bits(&state) & ~(UINT64_C(0x7ff) << 52)) |
                          (low + (uint64_t)below(high - low)) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double number_of(enum kind kind)
{
    static const double special[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.0};
    switch (kind) {
    case POSITIVE:
        return uniform() * uniform();
    case INTEGERS:
        return (double)below(5) - 2;
    case WIDE:
        return of_exponents(1023 - 170, 1023 + 80);
    case ANY_MAGNITUDE:
        return of_exponents(0, 2047);
    case SUBNORMALS:
        return of_exponents(0, 3);
    case LARGEST:
        return of_exponents(2040, 2047);
    case OUTLIERS:
        return uniform() < 0.001 ? of_exponents(1023 + 200, 1023 + 300) : uniform() * 1e-30;
    case SPECIAL:
        return uniform() < 0.002 ? special[below(4)] : uniform() - 0.5;
    default:
        return uniform() - 0.5;
    }
}

static void fill(double *x, size_t n, enum kind kind)
{
    for (size_t i = 0; i < n; i++)
        x[i] = number_of(kind);
    for (size_t i = 1; i < n && kind == CANCELLING; i += 2) {
        const double large = of_exponents(900, 1200);
        x[i - 1] = large;
        x[i] = -large * (1 + (double)below(3) * 0x1p-52);
    }
}

static void shuffle(double *x, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t other = below(i);
        const double moved = x[i - 1];
        x[i - 1] = x[other];
        x[other] = moved;
    }
}

static struct big_sum big_sum_of(const double *x, size_t n)
{
    struct big_sum sum = {{0}, {0}, 0, 0, 0};
    for (size_t i = 0; i < n; i++)
        big_sum_add(&sum, x[i]);
    return sum;
}

static void assert_same(double value, double wanted, const char *what, int kind, size_t n)
{
    ck_assert_msg((isnan(value) && isnan(wanted)) || memcmp(&value, &wanted, sizeof value) == 0,
                  "%s of %zu numbers of kind %d is %a, not %a", what, n, kind, value, wanted);
}

/* ---- The sum itself ---- */

/* Compares two representations of an integer as text, after removing leading zeros and writing the
   power of two as digits. */
static void assert_same_integer(const struct exact_sum *sum, const struct big_sum *wanted)
{
    const struct loss_integer integer = exact_sum_integer(sum);
    struct big_sum again = {{0}, {0}, 0, 0, 0};
    uint32_t *const digits = integer.negative ? again.negative : again.positive;
    char text[BIG_SUM_TEXT], wanted_text[BIG_SUM_TEXT];
    const size_t first = (size_t)(integer.exponent - EXACT_UNIT);
    ck_assert(integer.limbs == 0 || integer.limb[0] % 2 == 1);
    ck_assert(integer.limbs == 0 || integer.limb[integer.limbs - 1] != 0);
    for (size_t k = 0; k < integer.limbs; k++) {
        const uint64_t shifted = (uint64_t)integer.limb[k] << first % 32;
        digits[first / 32 + k] |= (uint32_t)shifted;
        digits[first / 32 + k + 1] |= (uint32_t)(shifted >> 32);
    }
    big_sum_text(&again, text);
    big_sum_text(wanted, wanted_text);
    ck_assert_str_eq(text, wanted_text);
}

START_TEST(sums_are_exact)
{
    static double x[LONGEST];
    for (int round = 0, end = rounds(3000); round < end; round++) {
        const enum kind kind = (enum kind)(round % KINDS);
        const size_t n = below(round % 100 == 0 ? 2000 : 40), cut = below(n + 1);
        fill(x, n, kind);
        struct exact_sum sum = {{0}, 0, 0, 0, 0}, rest = sum, whole = sum;
        for (size_t i = 0; i < n; i++) {
            exact_sum_add(i < cut ? &sum : &rest, x[i]);
            exact_sum_add(&whole, x[n - 1 - i]);
        }
        exact_sum_merge(&sum, &rest);
        const struct big_sum wanted = big_sum_of(x, n);
        assert_same(exact_sum_value(&sum), big_sum_value(&wanted), "the sum", kind, n);
        assert_same(exact_sum_value(&whole), big_sum_value(&wanted), "the sum", kind, n);
        assert_same_integer(&sum, &wanted);
        ck_assert_uint_eq(exact_sum_nonfinite(&sum),
                          wanted.nan + wanted.infinite + wanted.negative_infinite);
        /* The integer of a sum, set as another sum, is the same. */
        struct loss_integer integer = exact_sum_integer(&sum);
        ck_assert(exact_sum_set(&rest, &integer));
        assert_same_integer(&rest, &wanted);
    }
}
END_TEST

/* The rounding of numbers between two float64 numbers, on ties, and at the ends of the range. */
START_TEST(sums_are_rounded_once)
{
    static const struct {
        double term[4], sum;
    } cases[] = {
        {{0, -0.0}, 0},
        {{-0.0, -0.0}, 0},
        {{1, -1}, 0},
        {{1, 0x1p-53}, 1},
        {{1, 0x1p-53, 0x1p-1074}, 1 + 0x1p-52},
        {{1 + 0x1p-52, 0x1p-53}, 1 + 0x1p-51},
        {{1, 0x1p-54, 0x1p-54, -0x1p-1074}, 1},
        {{0x1p53, 1}, 0x1p53},
        {{-0x1p53, -1, -0x1p-1074}, -0x1p53 - 2},
        {{0x1.fffffffffffffp1023, 0x1p969}, 0x1.fffffffffffffp1023},
        {{0x1.fffffffffffffp1023, 0x1p970}, (double)INFINITY},
        {{0x1.fffffffffffffp1023, 0x1p970, -0x1p-1074}, 0x1.fffffffffffffp1023},
        {{0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023},
         0x1.fffffffffffffp1023},
        {{0x1p-1074, 0x1p-1074}, 0x1p-1073},
        {{0x1p-1022, -0x1p-1074}, 0x0.fffffffffffffp-1022},
        {{0x1p-1022, 0x1p-1022, 0x1p-1074}, 0x1.0p-1021},
        {{0x1p-1021, 0x1p-1074, 0x1p-1074}, 0x1.0000000000001p-1021},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct exact_sum sum = {{0}, 0, 0, 0, 0};
        for (int k = 0; k < 4; k++)
            exact_sum_add(&sum, cases[i].term[k]);
        assert_same(exact_sum_value(&sum), cases[i].sum, "the sum", (int)i, 4);
    }
}
END_TEST

/* Sums of up to 2^63 times the largest number can be set, but none that is larger, and no fraction
   of the unit, 2^-1074. */
START_TEST(integers_out_of_range_are_rejected)
{
    struct exact_sum sum;
    struct loss_integer integer = {.exponent = 1023 + 63, .limbs = 1, .limb = {1}};
    ck_assert(exact_sum_set(&sum, &integer));
    ck_assert(isinf(exact_sum_value(&sum)));
    ck_assert_int_eq(exact_sum_integer(&sum).exponent, 1023 + 63);
    integer.exponent++;
    ck_assert(!exact_sum_set(&sum, &integer));
    integer.exponent = 1023;
    integer.limbs = 3;
    integer.limb[2] = 1;
    ck_assert(!exact_sum_set(&sum, &integer));
    integer = (struct loss_integer){.negative = true, .exponent = -1074, .limbs = 1, .limb = {1}};
    ck_assert(exact_sum_set(&sum, &integer));
    ck_assert(exact_sum_value(&sum) == -0x1p-1074);
    integer.exponent--;
    ck_assert(!exact_sum_set(&sum, &integer));
}
END_TEST

/* ---- Losses ---- */

/* Returns the loss of the vectors `x` and `target`, with reduction sum. */
static double loss_of(const char *name, double *x, double *target, size_t n, int threads)
{
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, n),
                             constant = batch_vector(target, LOSS_FLOAT64, n);
    struct batch batch = batch_of(name, &input, &constant);
    batch.request.reduction = LOSS_SUM;
    ck_assert_int_eq(batch_run(&batch, threads), LOSS_OK);
    const struct big_sum wanted = big_sum_of(x, n);
    ck_assert_uint_eq(batch.result.nonfinite,
                      wanted.nan + wanted.infinite + wanted.negative_infinite);
    batch_clear(&batch);
    return batch.result.loss;
}

/* hinge_embedding of x and 1 is x. */
static void check_losses(double *x, double *ones, size_t n, enum kind kind)
{
    const struct big_sum wanted = big_sum_of(x, n);
    const double value = big_sum_value(&wanted);
    assert_same(loss_of("hinge_embedding", x, ones, n, 1), value, "the loss", kind, n);
    shuffle(x, n);
    assert_same(loss_of("hinge_embedding", x, ones, n, 3), value, "the shuffled loss", kind, n);
}

/* Checks losses in float32, whose terms stay in registers: hinge_embedding of x and 1 is x, l1 of x
   and 0 is |x|. */
static void check_f32(const char *name, double target, size_t n, enum kind kind, bool gradient)
{
    static float x[LONGEST], y[LONGEST];
    struct big_sum wanted = {{0}, {0}, 0, 0, 0};
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)number_of(kind);
        y[i] = (float)target;
        big_sum_add(&wanted, target == 0 ? fabs((double)x[i]) : (double)x[i]);
    }
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT32, n),
                             constant = batch_vector(y, LOSS_FLOAT32, n);
    struct batch batch = batch_of(name, &input, &constant);
    batch.request.reduction = LOSS_SUM;
    batch.request.grad = gradient ? 1 : 0;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    assert_same(batch.result.loss, big_sum_value(&wanted), name, kind, n);
    for (size_t i = 0; i < n && gradient && target == 1; i++)
        ck_assert(((float *)batch.plan.grad[0].data)[i] == 1 || isnan(x[i]));
    batch_clear(&batch);
}

/* Evaluates a batch in parts, and returns the loss of their merged sums. */
static double loss_of_parts(const struct loss_request *request, size_t n)
{
    struct loss_partial whole = {.weighed = true}, sums;
    struct loss_tensor input = *request->tensor[0], target = *request->tensor[1],
                       weight = *request->sample_weight;
    for (size_t first = 0; first < n; first += input.shape[0]) {
        struct batch part = {.request = *request};
        part.request.tensor[0] = &input;
        part.request.tensor[1] = &target;
        part.request.sample_weight = &weight;
        part.request.partial = true;
        input.data = (double *)request->tensor[0]->data + first;
        target.data = (int64_t *)request->tensor[1]->data + first;
        weight.data = (double *)request->sample_weight->data + first;
        input.shape[0] = target.shape[0] = weight.shape[0] = 1 + below(n - first);
        ck_assert_int_eq(loss_plan(&part.plan, &part.request, &part.error), LOSS_OK);
        part.plan.partial = &sums;
        ck_assert_int_eq(loss_run(&part.plan, 2, &part.result, &part.error), LOSS_OK);
        ck_assert(loss_partial_add(&whole, &sums));
    }
    return loss_partial_result(&whole, LOSS_MEAN).loss;
}

/* nll of one class is -x, a term for each row; its mean divides by the exact sum of the weights. */
static void check_weighted_mean(double *x, size_t n, enum kind kind)
{
    static double weight[LONGEST], product[LONGEST];
    static int64_t label[LONGEST];
    for (size_t i = 0; i < n; i++) {
        weight[i] = number_of(POSITIVE);
        product[i] = -x[i] * weight[i];
    }
    const struct loss_tensor input = batch_matrix(x, LOSS_FLOAT64, n, 1),
                             target = batch_vector(label, LOSS_INT64, n),
                             weights = batch_vector(weight, LOSS_FLOAT64, n);
    struct batch batch = batch_of("nll", &input, &target);
    batch.request.sample_weight = &weights;
    ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
    const struct big_sum sum = big_sum_of(product, n), divisor = big_sum_of(weight, n);
    assert_same(batch.result.loss, big_sum_value(&sum) / big_sum_value(&divisor), "the mean", kind,
                n);
    assert_same(loss_of_parts(&batch.request, n), batch.result.loss, "the mean in parts", kind, n);
    batch_clear(&batch);
}

/* The derivative of (x - y)^2 with respect to y is 2 (y - x). All rows, or all columns, share y. */
static void check_broadcast_gradient(double *x, size_t n, enum kind kind)
{
    enum { COLUMNS = 3 };
    double zero[COLUMNS] = {0};
    const size_t rows = n / COLUMNS;
    if (rows < 2)
        return;
    for (int row_shared = 0; row_shared < 2; row_shared++) {
        const struct loss_tensor input = row_shared ? batch_matrix(x, LOSS_FLOAT64, COLUMNS, rows)
                                                    : batch_matrix(x, LOSS_FLOAT64, rows, COLUMNS),
                                 target = row_shared ? batch_matrix(zero, LOSS_FLOAT64, COLUMNS, 1)
                                                     : batch_vector(zero, LOSS_FLOAT64, COLUMNS);
        struct batch batch = batch_of("mse", &input, &target);
        batch.request.reduction = LOSS_SUM;
        batch.request.grad = 2;
        ck_assert_int_eq(batch_run(&batch, 2), LOSS_OK);
        for (size_t c = 0; c < COLUMNS; c++) {
            struct big_sum wanted = {{0}, {0}, 0, 0, 0};
            for (size_t i = 0; i < rows; i++)
                big_sum_add(&wanted, -2 * x[row_shared ? c * rows + i : i * COLUMNS + c]);
            assert_same(batch_grad(&batch, 1)[c], big_sum_value(&wanted), "a gradient", kind, rows);
        }
        batch_clear(&batch);
    }
}

static size_t length_of(int round)
{
    return below(round % 50 == 0 ? LONGEST : round % 5 == 0 ? 3000 : 50);
}

START_TEST(losses_are_exact_sums)
{
    static double x[LONGEST], ones[LONGEST];
    for (size_t i = 0; i < LONGEST; i++)
        ones[i] = 1;
    for (size_t set = 0; loss_isa_at(set); set++) {
        if (!loss_isa_choose(loss_isa_at(set)))
            continue;
        for (int round = 0, end = rounds(60 * KINDS); round < end; round++) {
            const enum kind kind = (enum kind)(round % KINDS);
            const size_t n = length_of(round / KINDS);
            fill(x, n, kind);
            check_losses(x, ones, n, kind);
            check_f32("hinge_embedding", 1, n, kind, round % 2 == 0);
            check_f32("l1", 0, n, kind, round % 2 == 0);
            check_weighted_mean(x, n, kind);
            check_broadcast_gradient(x, n, kind);
        }
    }
}
END_TEST

/* ---- The arithmetic ---- */

START_TEST(other_roundings_are_rejected)
{
    double x[] = {1, 2};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 2);
    for (int mode = 0; mode < 3; mode++) {
        struct batch batch = batch_of("mse", &input, &input);
        ck_assert_int_eq(fesetround((const int[]){FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}[mode]), 0);
        const enum loss_status status = batch_run(&batch, 1);
        fesetround(FE_TONEAREST);
        ck_assert_int_eq(status, LOSS_INTERNAL);
        ck_assert_str_eq(batch.error.message,
                         "the arithmetic of this thread does not round to nearest");
        batch_clear(&batch);
    }
}
END_TEST

#if defined __x86_64__
/* Libraries that are linked with -ffast-math set these bits of MXCSR. */
START_TEST(flushing_subnormal_numbers_is_rejected)
{
    double x[] = {1, 2};
    const struct loss_tensor input = batch_vector(x, LOSS_FLOAT64, 2);
    for (int k = 0; k < 2; k++) {
        const unsigned before = __builtin_ia32_stmxcsr();
        struct batch batch = batch_of("mse", &input, &input);
        __builtin_ia32_ldmxcsr(before | (const unsigned[]){0x8000, 0x0040}[k]); /* FTZ, DAZ */
        const enum loss_status status = batch_run(&batch, 1);
        __builtin_ia32_ldmxcsr(before);
        ck_assert_int_eq(status, LOSS_INTERNAL);
        ck_assert_str_eq(batch.error.message,
                         "the arithmetic of this thread replaces subnormal numbers by 0, which a "
                         "library compiled with -ffast-math may have caused");
        batch_clear(&batch);
    }
}
END_TEST
#endif

Suite *exact_sums_suite(void)
{
    Suite *suite = suite_create("exact_sums");
    TCase *sums = SUITE_ADD(suite, "sums", sums_are_exact, sums_are_rounded_once,
                            integers_out_of_range_are_rejected);
    tcase_set_timeout(sums, 60);
    TCase *losses = SUITE_ADD(suite, "losses", losses_are_exact_sums);
    tcase_set_timeout(losses, 120);
    SUITE_ADD(suite, "arithmetic", other_roundings_are_rejected);
#if defined __x86_64__
    SUITE_ADD(suite, "flushing", flushing_subnormal_numbers_is_rejected);
#endif
    return suite;
}
