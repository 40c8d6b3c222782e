/* Mean squared error. PyTorch: torch.nn.MSELoss; aten/src/ATen/native/Loss.cpp, mse_loss. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET, WEIGHT };

/* l = w (x - y)^2 */
LOSS_FORMULA(mse)
{
    const loss_real d = in[INPUT] - in[TARGET], w = in[WEIGHT], slope = 2 * d * w;
    return (struct element){
        .term = d * d * w, .grad = {[INPUT] = slope, [TARGET] = -slope}, .hess = {[INPUT] = 2 * w}};
}
DEFINE_NONNEGATIVE_KERNELS(mse, 3)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(2.5, 0, 2)}, [TARGET] = {1, {3}, NUMBERS(3, -0.5, 2)}},
};

const struct loss_descriptor loss_mse = {
    .name = "mse",
    .aliases = {"MSELoss", "mse_loss"},
    .title = "Mean squared error",
    .doc = "Squared difference between prediction and target; the usual loss for regression.",
    .formula = "l = w (x - y)^2; mean divides by the sum of the w",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "multiplies each term; mean divides by the sum of the weights",
                        "broadcast to input", LOSS_REAL, .optional = true},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost = {0, 0.5, 1, 2},
            .shape = loss_shape_weighted,
            ELEMENTWISE_KERNELS(mse),
            .term_weights = loss_element_term_weights,
            .term_weight_operands = WEIGHTED_OPERANDS,
        },
};
