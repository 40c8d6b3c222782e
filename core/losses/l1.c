/* Mean absolute error. PyTorch: torch.nn.L1Loss; aten/src/ATen/native/Loss.cpp, l1_loss. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET, WEIGHT };

/* l = w |x - y|. The slope is 0 if x = y. */
LOSS_FORMULA(l1)
{
    const loss_real d = in[INPUT] - in[TARGET], w = in[WEIGHT], slope = sign(d) * w;
    return (struct element){.term = fabs(d) * w, .grad = {[INPUT] = slope, [TARGET] = -slope}};
}
DEFINE_NONNEGATIVE_KERNELS(l1, 3)

static const struct loss_example example = {
    .tensors =
        {[INPUT] = {1, {4}, NUMBERS(2.5, 0, 2, 8)}, [TARGET] = {1, {4}, NUMBERS(3, -0.5, 2, 7)}},
};

const struct loss_descriptor loss_l1 = {
    .name = "l1",
    .aliases = {"L1Loss", "l1_loss"},
    .title = "Mean absolute error",
    .doc =
        "Absolute difference between prediction and target; less sensitive to outliers than mse.",
    .formula = "l = w |x - y|; mean divides by the sum of the w",
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
            ELEMENTWISE_KERNELS(l1),
            .term_weights = loss_element_term_weights,
            .term_weight_operands = WEIGHTED_OPERANDS,
        },
};
