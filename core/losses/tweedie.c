/* Tweedie deviance. B. Jorgensen, The theory of dispersion models, 1997; sklearn.metrics.mean_tweedie_deviance; with log_input
   XGBoost's objective reg:tweedie. */
#include "elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { POWER, LOG_INPUT };

/*
 * f(r) = (r^a - a r + a - 1) / (a (a - 1)) for a = 2 - p in (0, 1), in a form that keeps its digits towards either end of that.
 * Near r = 1 it is about (r - 1)^2 / 2: there, of t = r - 1, by its binomial series t^2 / 2 + (a - 2) t^3 / 6 + ... with
 * c_(k+1) = c_k (a - k) / (k + 1)
 */
static inline real unit_deviance(real r, real t, real a)
{
    if (!(fabs(t) < 0.25))
        return a < 0.5 || r == 0 ? (expm1(a * log(r)) / a - t) / (a - 1) : (r * (expm1((a - 1) * log(r)) / (a - 1)) - t) / a;
    real sum = 0, power = t * t, c = 0.5;
    for (int k = 2; k < 40; k++) {
        sum += c * power;
        power *= t;
        c *= (a - k) / (k + 1);
    }
    return sum;
}

/* Of means m: l = 2 m^(2 - p) f(y / m), the deviance 2 [y^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)]. Of
   logarithms x: l = -y exp((1 - p) x) / (1 - p) + exp((2 - p) x) / (2 - p). */
FORMULA(tweedie)
{
    const real x = in[INPUT], y = in[TARGET], power = p[POWER];
    if (p[LOG_INPUT] != 0) {
        const real shrunk = y == 0 ? 0 : y * exp((1 - power) * x), grown = exp((2 - power) * x);
        return (struct element){
            .term = shrunk / (power - 1) + grown / (2 - power),
            .grad = {[INPUT] = grown - shrunk},
            .hess = {[INPUT] = (power - 1) * shrunk + (2 - power) * grown},
            .invalid = y < 0 ? INVALID(TARGET) : 0,
        };
    }
    const real t = (y - x) / x;
    return (struct element){
        .term = 2 * pow(x, 2 - power) * unit_deviance(y / x, t, 2 - power),
        .grad = {[INPUT] = -2 * pow(x, 1 - power) * t},
        .hess = {[INPUT] = 2 * pow(x, -power) * (power * t + 1)},
        .invalid = !(x > 0) ? INVALID(INPUT)
                   : y < 0  ? INVALID(TARGET)
                            : 0,
    };
}
ELEMENTWISE_KERNELS(tweedie, 2)

/* Powers are libm's. */
static struct loss_cost cost_of(const struct loss_plan *plan)
{
    return plan->param[LOG_INPUT].integer ? (struct loss_cost){0, 14, 15, 16} : (struct loss_cost){0, 48, 60, 72};
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    snprintf(text, size,
             tensor == TARGET ? "targets must not be negative"
                              : "means must be greater than 0 (for their logarithms there is log_input)");
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.1, 1.2, 0.7)}, [TARGET] = {1, {3}, NUMBERS(0, 4, 1.5)}},
    .params = {[POWER] = {true, {1.3, 0}}, [LOG_INPUT] = {true, {1, 1}}},
};

const struct loss_descriptor loss_tweedie = {
    .name = "tweedie",
    .aliases = {"tweedie_deviance"},
    .title = "Tweedie deviance",
    .doc = "For amounts that are often exactly 0, such as claims: between Poisson (p = 1) and gamma (p = 2). Of means it is "
           "scikit-learn's deviance; with log_input, of their logarithms, XGBoost's negative log likelihood.",
    .formula = "l = 2 [y^(2-p) / ((1-p)(2-p)) - y x^(1-p) / (1-p) + x^(2-p) / (2-p)]; log_input: l = -y exp((1-p) x) / (1-p) "
               "+ exp((2-p) x) / (2-p)",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted means, greater than 0, or their logarithms", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "what was observed, 0 or more", "(*), broadcast against input", LOSS_REAL},
        },
    .params =
        {
            [POWER] = {"p",
                       "variance power",
                       LOSS_NUMBER,
                       {1.5, 0},
                       .has_min = true,
                       .above_min = true,
                       .min = 1,
                       .has_max = true,
                       .below_max = true,
                       .max = 2},
            [LOG_INPUT] = {"log_input", "the input holds logarithms of the means", LOSS_BOOLEAN},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost_of = cost_of, .shape = loss_shape_broadcast_warn, ELEMENTWISE(tweedie), .expected = expected},
};
