/* Logarithm of the hyperbolic cosine. Keras: keras.losses.LogCosh. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET };

static const loss_real LOG_2 = 0.693147180559945309417;

/* With d = x - y: l = log cosh d, computed near 0 as log(1 + 2 sinh(d / 2)^2), else as |d| + log(1
   + exp(-2 |d|)) - log 2. */
LOSS_FORMULA(log_cosh)
{
    const loss_real d = in[INPUT] - in[TARGET], a = fabs(d), e = vexp(-2 * a),
                    half = sinh(a < 1 ? d / 2 : 0), slope = tanh(d);
    return (struct element){
        .term = a < 1 ? vlog1p(2 * half * half) : a + (vlog1p(e) - LOG_2),
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
    .method = &(const struct loss_method){.cost = {0, 32, 45, 47},
                                          .shape = loss_shape_broadcast_warn,
                                          ELEMENTWISE_KERNELS(log_cosh)},
};
