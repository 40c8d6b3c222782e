/* Mean squared error. PyTorch: torch.nn.MSELoss; aten/src/ATen/native/Loss.cpp, mse_loss. */
#include "elementwise.h"

enum { INPUT, TARGET };

/* l = (x - y)^2 */
FORMULA(mse)
{
    const real d = in[INPUT] - in[TARGET];
    return (struct element){.term = d * d, .grad = {[INPUT] = 2 * d, [TARGET] = -2 * d}, .hess = {[INPUT] = 2}};
}
ELEMENTWISE_KERNELS(mse, 2)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(2.5, 0, 2)}, [TARGET] = {1, {3}, NUMBERS(3, -0.5, 2)}},
};

const struct loss_descriptor loss_mse = {
    .name = "mse",
    .aliases = {"MSELoss", "mse_loss"},
    .title = "Mean squared error",
    .doc = "Squared difference between prediction and target; the usual loss of regression.",
    .formula = "l = (x - y)^2",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "what they should be", "(*), broadcast against input", LOSS_REAL, .differentiable = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.5, 1, 2}, .shape = loss_shape_broadcast_warn, ELEMENTWISE(mse)},
};
