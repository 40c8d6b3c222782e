/* Logarithm of the hyperbolic cosine. Keras: keras.losses.LogCosh. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET };

static const loss_real LOG_2 = 0.693147180559945309417;

/*
 * With d = x - y, q = exp(-|d|) and m = 1 - q, nothing cancels in
 *
 *     l        = log(1 + m^2 / (2 q))               for |d| < 1, where cosh d - 1 = m^2 / (2 q)
 *              = |d| - log 2 + log(1 + q^2)         else
 *     tanh |d| = m (1 + q) / (1 + q^2)
 */
LOSS_FORMULA(log_cosh)
{
    const loss_real d = in[INPUT] - in[TARGET], a = fabs(d), m = -vexpm1_negative(-a), q = 1 - m;
    const loss_real square = q * q, tanh_a = m * (1 + q) / (1 + square),
                    slope = d < 0 ? -tanh_a : tanh_a,
                    e = vexp_negative(-2 * a); /* q^2 with all digits */
    return (struct element){
        .term = (a < 1 ? 0 : a - LOG_2) + vlog1p_fraction(a < 1 ? m * m / (2 * q) : square),
        .grad = {[INPUT] = slope, [TARGET] = -slope},
        .hess = {[INPUT] = 4 * e / (1 + e) / (1 + e)},
    };
}
DEFINE_ELEMENTWISE_KERNELS(log_cosh, 2)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(2.5, 0, 2)}, [TARGET] = {1, {3}, NUMBERS(3, -0.5, 2)}},
};

const struct loss_descriptor loss_log_cosh = {
    .name = "log_cosh",
    .aliases = {"LogCosh", "logcosh"},
    .title = "Log-cosh",
    .doc = "Half the squared difference near 0, the absolute difference minus log 2 far from it, "
           "and smooth between, as in Keras.",
    .formula = "l = log(cosh(x - y))",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 3, 3.5, 4.5},
                                          .shape = loss_shape_broadcast_warn,
                                          ELEMENTWISE_KERNELS(log_cosh)},
};
