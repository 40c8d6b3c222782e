/* Tweedie deviance. B. Jorgensen, The theory of dispersion models, 1997;
   sklearn.metrics.mean_tweedie_deviance; with log_input XGBoost's objective reg:tweedie. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { POWER, LOG_INPUT };

/* The constants of of_means, which replace the parameters. Formulas that choose by a parameter
   would be compiled to a loop for each combination of choices. */
enum {
    P,        /* the power, not 0 */
    A,        /* 2 - p; tiny instead of 0, which gives the limit */
    C,        /* A or A - 1, whichever is less near to 1; likewise not 0 */
    LOW,      /* 1 if C is A, else 0 */
    NEAR,     /* largest |r - 1| for which the series is used */
    SMALLEST, /* smallest valid target */
};

static loss_real not_zero(loss_real x)
{
    return x == 0 ? 0x1p-100 : x;
}

static void set_constants(struct loss_block *b)
{
    const loss_real power = b->param[POWER].number, a = 2 - power;
    const loss_real at_least_0 = power >= 2 ? 0x1p-1074 : 0; /* the smallest number above 0 */
    b->number[P] = power;
    b->number[A] = not_zero(a);
    b->number[C] = not_zero(a < 0.5 ? a : a - 1);
    b->number[LOW] = a < 0.5;
    b->number[NEAR] = 0.25 / vmax(fabs(a), 1);
    b->number[SMALLEST] = power >= 1 ? at_least_0 : -(loss_real)INFINITY;
}

/*
 * Returns f(r) = (max(r, 0)^a - a r + a - 1) / (a (a - 1)) for a = 2 - p, or its limit for a = 0
 * and 1, from r and t = r - 1. With b(c) = (r^c - 1) / c, or log r for c = 0, it is
 * (b(a) - t) / (a - 1) = (r b(a - 1) - t) / a. The divisor that is not near 0 is chosen.
 *
 * Near r = 1, where these cancel, f(r) is about (r - 1)^2 / 2. There it is computed from L = log r
 * as the sum of L^k / k! (1 + a + ... + a^(k - 2)) over k >= 2.
 */
static ALWAYS_INLINE loss_real unit_deviance(loss_real r, loss_real t, const loss_real p[])
{
    enum { TERMS = 13 };
    const loss_real a = p[A], c = p[C], low = p[LOW], high = 1 - low;
    const loss_real rounding = fabs(t) < 0.5 ? t - (r - 1) : 0;
    const loss_real log_r = vlog_with_rest(r, rounding);
    const loss_real far = (vexpm1(c * log_r) * (1 / c) * (low + high * r) - t) * (1 / (a - low));

    loss_real coefficient[TERMS], factorial = 1, powers = 0, near = 0;
#pragma GCC unroll 16
    for (int k = 0; k < TERMS; k++) {
        factorial *= k + 2;
        powers = 1 + a * powers;
        coefficient[k] = powers / factorial;
    }
#pragma GCC unroll 16
    for (int k = TERMS; k-- > 0;)
        near = near * log_r + coefficient[k];
    const loss_real of_positive_r = fabs(t) < p[NEAR] ? near * log_r * log_r : far;
    const loss_real of_other_r = (1 - (r == 0 ? 0 : a * r / (a - 1))) / a;
    return r <= 0 ? of_other_r : of_positive_r;
}

/* Returns m^a f(y / m) from logarithms of m and y, for finite y far from m. With
   d(c) = (y^c - m^c) / c, it is (d(a) - y m^(a - 1) + m^a) / (a - 1), and
   (y d(a - 1) - y m^(a - 1) + m^a) / a. It is infinite if two powers overflow. */
static loss_real extreme_deviance(loss_real m, loss_real y, const loss_real p[])
{
    const loss_real a = p[A], c = p[C], log_m = vlog(m), log_y = vlog(fabs(y));
    const loss_real mixed = vexp(log_y + (a - 1) * log_m), power = vexp(a * log_m);
    if (y <= 0)
        return (y == 0 ? 0 : mixed / (a - 1)) + power / a;
    const loss_real x = c * (log_y - log_m);
    const loss_real d = x > 0 ? vexp(c * log_y) * -vexpm1(-x) / c : vexp(c * log_m) * vexpm1(x) / c;
    const loss_real result =
        p[LOW] != 0 ? (d - mixed + power) / (a - 1) : (y * d - mixed + power) / a;
    return isnan(result) ? (loss_real)INFINITY : result;
}

/* Returns a exp(u) + b exp(v), even if both overflow. */
static inline loss_real sum_of_exponentials(loss_real a, loss_real b, loss_real u, loss_real v)
{
    const loss_real first = a == 0 ? 0 : a * vexp(u), second = b * vexp(v);
    return isinf(first) && isinf(second) ? vexp(u) * (a + b * vexp(v - u)) : first + second;
}

/*
 * For logarithms x of means:
 *     l = -y exp((1 - p) x) / (1 - p) + exp((2 - p) x) / (2 - p)
 *     For p = 1 the first term is -y x; for p = 2 the second one is x.
 */
LOSS_FORMULA(of_logs)
{
    const loss_real x = in[INPUT], y = in[TARGET], power = p[POWER], a = 1 - power, b = 2 - power;
    const loss_real poisson = vexp(x) - (y == 0 ? 0 : y * x),
                    gamma = (y == 0 ? 0 : y * vexp(-x)) + x;
    const loss_real between = sum_of_exponentials(-y / a, 1 / b, a * x, b * x);
    return (struct element){
        .term = power == 1   ? poisson
                : power == 2 ? gamma
                             : between,
        .grad = {[INPUT] = sum_of_exponentials(-y, 1, a * x, b * x)},
        .hess = {[INPUT] = sum_of_exponentials(-a * y, b, a * x, b * x)},
        .invalid = power >= 1 && y < 0 ? INVALID(TARGET) : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS(of_logs, 2)

/* For p = 0, l = (y - m)^2, also for negative y. */
LOSS_FORMULA(of_squares)
{
    const loss_real d = in[INPUT] - in[TARGET];
    return (struct element){.term = d * d, .grad = {[INPUT] = 2 * d}, .hess = {[INPUT] = 2}};
}
DEFINE_ELEMENTWISE_KERNELS(of_squares, 2)

/*
 * For means m:
 *     l = 2 m^(2 - p) f(y / m)
 *       = 2 [max(y, 0)^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)]
 */
LOSS_FORMULA(of_means)
{
    const loss_real m = in[INPUT], y = in[TARGET], log_m = vlog(m), r = y / m, t = (y - m) / m;
    /* Square roots of powers of m, because the powers may overflow or underflow. */
    const loss_real of_term = vexp(p[A] / 2 * log_m), of_slope = vexp(-p[P] / 2 * log_m);
    const loss_real ratio = (1 - p[P]) + p[P] * r,
                    hess = isinf(ratio) ? p[P] * ((of_slope * y) * (of_slope / m))
                                        : of_slope * (of_slope * ratio);
    return (struct element){
        .term = 2 * of_term * (of_term * unit_deviance(r, t, p)),
        .grad = {[INPUT] = y == m ? 0 : -2 * of_slope * (of_slope * (y - m))},
        .hess = {[INPUT] = 2 * hess},
        .invalid = m <= 0            ? INVALID(INPUT)
                   : y < p[SMALLEST] ? INVALID(TARGET)
                                     : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS(of_means, 2)

/* Returns true if the term may be wrong because r or a power of it overflows or underflows. */
static bool is_extreme(loss_real m, loss_real y, loss_real term)
{
    return m > 0 && isfinite(y) && (!isfinite(term) || (y > 0 && y < m * 0x1p-1000));
}

/* Computes the terms of extreme means and targets again. */
static void repair(struct loss_block *b, bool f32)
{
    for (size_t i = 0; i < b->n; i++) {
        const loss_real m = f32 ? (loss_real)b->in_f32[INPUT][i] : b->in[INPUT][i],
                        y = f32 ? (loss_real)b->in_f32[TARGET][i] : b->in[TARGET][i];
        if (is_extreme(m, y, b->term[i]))
            b->term[i] = y == m ? 0 : 2 * extreme_deviance(m, y, b->number);
    }
}

/* Up to this power, and down to its negative, powers of float32 numbers and of their ratios neither
   overflow nor underflow. */
#define SAFE_POWER 3

static void evaluate_means(struct loss_block *b, bool f32)
{
    set_constants(b);
    const bool safe = f32 && fabs(b->number[A]) <= SAFE_POWER;
    if (!safe)
        b->sum = NULL; /* repair() reads the terms */
    (f32 ? of_means_f32 : of_means_f64)(b);
    if (!safe)
        repair(b, f32);
}

static void evaluate(struct loss_block *b, bool f32)
{
    if (b->param[LOG_INPUT].integer)
        (f32 ? of_logs_f32 : of_logs_f64)(b);
    else if (b->param[POWER].number == 0)
        (f32 ? of_squares_f32 : of_squares_f64)(b);
    else
        evaluate_means(b, f32);
}

static void tweedie_f64(struct loss_block *b)
{
    evaluate(b, false);
}

static void tweedie_f32(struct loss_block *b)
{
    evaluate(b, true);
}

static struct loss_cost cost_of(const struct loss_plan *plan)
{
    if (plan->param[LOG_INPUT].integer)
        return (struct loss_cost){0, 14, 15, 16};
    return plan->param[POWER].number == 0 ? (struct loss_cost){0, 0.5, 0.7, 1}
                                          : (struct loss_cost){0, 9, 11, 14};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    const bool above_0 = plan->param[POWER].number >= 2 && !plan->param[LOG_INPUT].integer;
    if (tensor == INPUT)
        snprintf(text, size,
                 "means must be greater than 0 (set log_input for logarithms of means)");
    else
        snprintf(text, size,
                 above_0 ? "targets must be greater than 0 if p is 2 or more"
                         : "targets must not be negative if p is 1 or more");
}

/* No distribution has a power between 0 and 1. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const loss_real power = plan->param[POWER].number;
    if (power > 0 && power < 1)
        return loss_fail_at(error, LOSS_INVALID, "/p",
                            "p is %.17g; it must be at most 0, or at least 1", power);
    return loss_shape_broadcast_warn(plan, error);
}

static const struct loss_example example = {
    .tensors =
        {[INPUT] = {1, {3}, NUMBERS(0.1, 1.2, 0.7)}, [TARGET] = {1, {3}, NUMBERS(0, 4, 1.5)}},
    .params = {[POWER] = {true, {1.3, 0}}, [LOG_INPUT] = {true, {1, 1}}},
};

const struct loss_descriptor loss_tweedie = {
    .name = "tweedie",
    .aliases = {"tweedie_deviance"},
    .title = "Tweedie deviance",
    .doc = "For amounts that are often exactly 0, such as claims, between Poisson (p = 1) and "
           "gamma (p = 2). For means it is scikit-learn's deviance; with log_input, for their "
           "logarithms, XGBoost's negative log likelihood.",
    .formula = "l = 2 [max(y, 0)^(2-p) / ((1-p)(2-p)) - y x^(1-p) / (1-p) + x^(2-p) / (2-p)]; "
               "p = 0: l = (y - x)^2; log_input: l = -y exp((1-p) x) / "
               "(1-p) + exp((2-p) x) / (2-p); where these divide by 0, the limit up to a constant, "
               "such as 2 [y log(y/x) - y + x] for p = 1",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted means, greater than 0, or their logarithms", "(*)",
                       LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target",
                        "observed values: 0 or more with p in [1, 2), above 0 with p of 2 or more",
                        "(*), broadcast against input", LOSS_REAL},
        },
    .params =
        {
            [POWER] = {"p",
                       "variance power: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian; not "
                       "between 0 and 1",
                       LOSS_NUMBER,
                       {1.5, 0}},
            [LOG_INPUT] = {"log_input", "the input contains logarithms of the means", LOSS_BOOLEAN},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of, .shape = shape, ELEMENTWISE_KERNELS(tweedie), .expected = expected},
};
