/* Huber. PyTorch: torch.nn.HuberLoss; aten/src/ATen/native/Loss.cpp, huber_loss. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET, WEIGHT };
enum { DELTA };

/* With d = x - y: l = w d^2 / 2 if |d| <= delta, else w delta (|d| - delta / 2) */
LOSS_FORMULA(huber)
{
    const loss_real delta = p[DELTA];
    const loss_real d = in[INPUT] - in[TARGET], w = in[WEIGHT];
    const bool near = fabs(d) <= delta;
    const loss_real slope = d > delta ? delta : d < -delta ? -delta : d;
    return (struct element){
        .term = slope * (near ? d / 2 : d - slope / 2) * w,
        .grad = {[INPUT] = slope * w, [TARGET] = -slope * w},
        .hess = {[INPUT] = near ? w : 0},
    };
}
DEFINE_NONNEGATIVE_KERNELS(huber, 3)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.5, 3, -2)}, [TARGET] = {1, {3}, NUMBERS(0, 1, -2.25)}},
    .params = {[DELTA] = {true, {1.5, 0}}},
};

const struct loss_descriptor loss_huber = {
    .name = "huber",
    .aliases = {"HuberLoss", "huber_loss"},
    .title = "Huber",
    .doc = "Half the squared difference up to delta, linear beyond, with slope delta. It is delta "
           "times smooth_l1 with beta = delta.",
    .formula = "d = x - y; l = w d^2 / 2 where |d| <= delta, else w delta (|d| - delta/2)",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "multiplies each term; mean does not divide by it",
                        "broadcast to input", LOSS_REAL, .optional = true},
        },
    .params = {[DELTA] = {"delta",
                          "where the quadratic part meets the linear part; if infinite, the loss "
                          "is half of mse",
                          LOSS_NUMBER,
                          {1, 1},
                          .has_min = true,
                          .exclusive_min = true,
                          .infinite = true}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.5, 0.9, 2},
                                          .shape = loss_shape_broadcast_warn,
                                          ELEMENTWISE_KERNELS(huber)},
};
