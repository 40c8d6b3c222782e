/* Soft margin. PyTorch: torch.nn.SoftMarginLoss; aten/src/ATen/native/Loss.cpp, soft_margin_loss.
 */
#include "kernel/elementwise.h"

enum { INPUT, TARGET };

/* l = log(1 + exp(-y x)), with slope -y s(-y x), s the sigmoid. */
LOSS_FORMULA(soft_margin)
{
    const loss_real y = in[TARGET], z = -y * in[INPUT], e = vexp_negative(-fabs(z));
    return (struct element){
        .term = positive(z) + vlog1p_fraction(e),
        .grad = {[INPUT] = -y * ((z >= 0 ? 1 : e) / (1 + e))},
        .hess = {[INPUT] = y * y * (e / (1 + e) / (1 + e))},
    };
}
DEFINE_ELEMENTWISE_KERNELS(soft_margin, 2)

static const struct loss_example example = {
    .tensors =
        {[INPUT] = {1, {3}, NUMBERS(0.8, -1.5, 0.3)}, [TARGET] = {1, {3}, NUMBERS(1, -1, -1)}},
};

const struct loss_descriptor loss_soft_margin = {
    .name = "soft_margin",
    .aliases = {"SoftMarginLoss", "soft_margin_loss"},
    .title = "Soft margin",
    .doc = "Two-class logistic loss for labels 1 and -1; bce_with_logits is the same for labels 1 "
           "and 0.",
    .formula = "l = log(1 + exp(-y x))",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "scores", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "labels, 1 or -1", "(*), broadcast against input", LOSS_REAL},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 2.3, 2.7, 3.5},
                                          .shape = loss_shape_broadcast,
                                          ELEMENTWISE_KERNELS(soft_margin)},
};
