/* Tweedie deviance. B. Jorgensen, The theory of dispersion models, 1997;
   sklearn.metrics.mean_tweedie_deviance; with log_input XGBoost's objective reg:tweedie. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { POWER, LOG_INPUT };

/* Returns (r^a - 1) / a from log r; log r, the limit, for a = 0. */
static inline loss_real box_cox(loss_real a, loss_real log_r)
{
    return a == 0 ? log_r : expm1(a * log_r) / a;
}

/*
 * Returns f(r) = (max(r, 0)^a - a r + a - 1) / (a (a - 1)) for a = 2 - p, or its limit for a = 0
 * and 1, in a form that stays accurate near these. Near r = 1, f(r) is about (r - 1)^2 / 2. There
 * it is computed from t = r - 1 by its binomial series t^2 / 2 + (a - 2) t^3 / 6 + ..., with
 * c_(k+1) = c_k (a - k) / (k + 1), as long as a t is small.
 */
static inline loss_real unit_deviance(loss_real r, loss_real t, loss_real a)
{
    const loss_real log_r = vlog(r);
    if (r <= 0)
        return (1 - (r == 0 ? 0 : a * r / (a - 1))) / a;
    if (!(fabs(t) * vmax(fabs(a), 1) < 0.25))
        return a < 0.5 ? (box_cox(a, log_r) - t) / (a - 1) : (r * box_cox(a - 1, log_r) - t) / a;
    loss_real sum = 0, power = t * t, c = 0.5;
    for (int k = 2; k < 40; k++) {
        sum += c * power;
        power *= t;
        c *= (a - k) / (k + 1);
    }
    return sum;
}

/* Returns m^a f(y / m) in the textbook form. Used if m^a or r^a overflows or underflows; m or y is
   then far larger than the other. */
static inline loss_real plain_deviance(loss_real m, loss_real y, loss_real a)
{
    return pow(vmax(y, 0), a) / (a * (a - 1)) - y * pow(m, a - 1) / (a - 1) + pow(m, a) / a;
}

/* Returns the deviance of a target y from a mean m. */
static inline loss_real deviance(loss_real m, loss_real y, loss_real power)
{
    const loss_real a = 2 - power, scale = pow(m, a),
                    l = 2 * scale * unit_deviance(y / m, (y - m) / m, a);
    return (l - l == 0 && scale > 0) || a == 0 || a == 1 ? l : 2 * plain_deviance(m, y, a);
}

/* Returns INVALID(TARGET) if the distribution with this power cannot have the value y, else 0. */
static inline int invalid_target(loss_real y, loss_real power)
{
    const bool below = power >= 2 ? y <= 0 : y < 0;
    return power >= 1 && below ? INVALID(TARGET) : 0;
}

/* Returns a exp(u) + b exp(v), even if both overflow. */
static inline loss_real sum_of_exponentials(loss_real a, loss_real b, loss_real u, loss_real v)
{
    const loss_real first = a == 0 ? 0 : a * vexp(u), second = b * vexp(v);
    return isinf(first) && isinf(second) ? vexp(u) * (a + b * vexp(v - u)) : first + second;
}

/*
 * For means m:
 *     l = 2 m^(2 - p) f(y / m)
 *       = 2 [max(y, 0)^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)]
 *     For p = 0 it is (y - m)^2, also for negative y.
 *
 * For logarithms x of means:
 *     l = -y exp((1 - p) x) / (1 - p) + exp((2 - p) x) / (2 - p)
 *     For p = 1 the first term is -y x; for p = 2 the second one is x.
 */
LOSS_FORMULA(tweedie)
{
    const loss_real x = in[INPUT], y = in[TARGET], power = p[POWER];
    if (p[LOG_INPUT] != 0) {
        const loss_real a = 1 - power, b = 2 - power;
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
    if (power == 0)
        return (struct element){
            .term = (y - x) * (y - x), .grad = {[INPUT] = 2 * (x - y)}, .hess = {[INPUT] = 2}};
    const loss_real t = (y - x) / x;
    return (struct element){
        .term = deviance(x, y, power),
        .grad = {[INPUT] = -2 * pow(x, 1 - power) * t},
        .hess = {[INPUT] = 2 * pow(x, -power) * ((1 - power) + power * (y / x))},
        .invalid = x <= 0 ? INVALID(INPUT) : invalid_target(y, power),
    };
}
DEFINE_ELEMENTWISE_KERNELS(tweedie, 2)

/* Powers are computed by libm. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    if (plan->param[LOG_INPUT].integer)
        return (struct loss_cost){0, 14, 15, 16};
    return plan->param[POWER].number == 0 ? (struct loss_cost){0, 1, 1.5, 2}
                                          : (struct loss_cost){0, 48, 60, 72};
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
