/* Binary cross entropy of probabilities. PyTorch: torch.nn.BCELoss; aten/src/ATen/native/Loss.cpp,
 * binary_cross_entropy. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET, WEIGHT };

/* PyTorch keeps the divisor of the gradient away from 0 by this constant, which is a float32 for
   any dtype. */
#define SMALLEST_VARIANCE ((loss_real)1e-12f)

/* Returns log(1 - x) - log(x). Between 1/4 and 3/4, 1 - 2x is exact and the difference is computed
   as one logarithm. */
static inline loss_real minus_logit(loss_real x)
{
    return x >= 0.25 && x <= 0.75 ? vlog1p((1 - 2 * x) / x) : vlog1p(-x) - vlog(x);
}

/* Returns max(log(x + rest), -100) of a probability x with a rounding error `rest`. */
static inline loss_real clamped_log(loss_real x, loss_real rest)
{
    return vmax(vlog_of_sum(vmax(x, 1e-44), rest), -100); /* log 1e-44 < -100 */
}

/* Returns a / b^2; 0 if a is 0. */
static inline loss_real over_square(loss_real a, loss_real b)
{
    return a == 0 ? 0 : a / b / b;
}

/* l = -w [y max(log x, -100) + (1 - y) max(log(1 - x), -100)]. The derivative with respect to y is
   not clamped. */
LOSS_FORMULA(bce)
{
    const loss_real x = in[INPUT], y = in[TARGET], w = in[WEIGHT], other = 1 - x;
    return (struct element){
        .term = -w * (y * clamped_log(x, 0) + (1 - y) * clamped_log(other, (1 - other) - x)) +
                (x - x), /* NaN if x is NaN */
        .grad = {[INPUT] = w * (x - y) / vmax(x * (1 - x), SMALLEST_VARIANCE),
                 [TARGET] = w * minus_logit(x)},
        .hess = {[INPUT] = w * (over_square(y, x) + over_square(1 - y, 1 - x))},
        .invalid = x < 0 || x > 1 ? INVALID(INPUT) : 0,
    };
}

/* Like clamped_log(), in float32, for a `rest` that is already divided by x. */
static inline loss_real clamped_log_f32(float x, float rest)
{
    return vmax(vlog_f32(x, x == 0 ? -100 : rest), -100);
}

/* Returns the rounding error of other = 1 - x, divided by `other`. It is 0 unless other > 1/2,
   where 2 - other is close enough to 1 / other. */
static inline float rest_of_other(float x, float other)
{
    return ((1 - other) - x) * (2 - other);
}

/* Returns the derivative of the term with respect to x. */
static inline loss_real slope_f32(float x, float other, loss_real y)
{
    const float variance = x * other, smallest = (float)SMALLEST_VARIANCE;
    const loss_real exact = vmax((loss_real)x * (1 - (loss_real)x), SMALLEST_VARIANCE);
    return (x - y) * refined_reciprocal(exact, 1 / (variance > smallest ? variance : smallest));
}

/* The loss in float32, without weights. */
LOSS_FORMULA_F32(bce)
{
    const float x = in[INPUT] + 0, other = 1 - x; /* + 0 turns -0 into 0 */
    const loss_real y = in[TARGET] + (x - x);     /* NaN if x is NaN */
    return (struct element_f32){
        .term = 0 - (y * clamped_log_f32(x, 0) +
                     (1 - y) * clamped_log_f32(other, rest_of_other(x, other))),
        .grad = slope_f32(x, other, y),
        .invalid = (x < 0) | (x > 1) ? INVALID(INPUT) : 0,
    };
}

/* For a label, one of the two logarithms is multiplied by 0. 0 - l is never -0. */
LOSS_FORMULA_OF_LABELS(bce)
{
    const float x = in[INPUT] + 0, y = in[TARGET], other = 1 - x, chosen = y == 1 ? x : other,
                rest = y == 1 ? 0 : rest_of_other(x, other);
    return (struct element_f32){
        .term = 0 - clamped_log_f32(chosen, rest) + (x - x),
        .grad = slope_f32(x, other, y),
        .invalid = (x < 0) | (x > 1) ? INVALID(INPUT) : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS_OF_LABELS(bce, 3)

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    (void)tensor;
    snprintf(text, size, "probabilities must be in [0, 1] (use bce_with_logits for logits)");
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.9, 0.2, 0.6)},
                [TARGET] = {1, {3}, NUMBERS(1, 0, 1)},
                [WEIGHT] = {1, {3}, NUMBERS(1, 1, 2)}},
};

const struct loss_descriptor loss_bce = {
    .name = "bce",
    .aliases = {"BCELoss", "binary_cross_entropy"},
    .title = "Binary cross entropy",
    .doc = "Negative log likelihood of a binary target, given its probability; logarithms are "
           "clamped at -100.",
    .formula = "l = -w [y max(log x, -100) + (1 - y) max(log(1 - x), -100)]",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted probabilities, in [0, 1]", "(*)", LOSS_REAL,
                       .prediction = true, .differentiable = true},
            [TARGET] = {"target", "true values, usually 0 or 1", "(*), same as input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "multiplies each term", "broadcast to input", LOSS_REAL,
                        .optional = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 3, 3.5, 30},
                                          .shape = loss_shape_same,
                                          ELEMENTWISE_KERNELS(bce),
                                          .expected = expected},
};
