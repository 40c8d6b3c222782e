/* Huber. PyTorch: torch.nn.HuberLoss; aten/src/ATen/native/Loss.cpp, huber_loss. */
#include "elementwise.h"

enum { INPUT, TARGET };
enum { DELTA };

/* With d = x - y: l = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) */
FORMULA(huber)
{
    const real delta = p[DELTA];
    const real d = in[INPUT] - in[TARGET], a = fabs(d);
    const real slope = d > delta ? delta : d < -delta ? -delta : d;
    return (struct element){
        .term = slope * (d - slope / 2), /* of both branches */
        .grad = {[INPUT] = slope, [TARGET] = -slope},
        .hess = {[INPUT] = a <= delta ? 1 : 0},
    };
}
ELEMENTWISE_KERNELS(huber, 2)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.5, 3, -2)}, [TARGET] = {1, {3}, NUMBERS(0, 1, -2.25)}},
    .params = {[DELTA] = {true, {1.5, 0}}},
};

const struct loss_descriptor loss_huber = {
    .name = "huber",
    .aliases = {"HuberLoss", "huber_loss"},
    .title = "Huber",
    .doc = "Half the squared difference up to delta, linear beyond with slope delta; smooth_l1 with beta = delta, times delta.",
    .formula = "d = x - y; l = d^2 / 2 where |d| <= delta, else delta (|d| - delta/2)",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "what they should be", "(*), broadcast against input", LOSS_REAL, .differentiable = true},
        },
    .params =
        {[DELTA] = {"delta", "where the parabola meets the lines", LOSS_NUMBER, {1, 1}, .has_min = true, .above_min = true}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.5, 0.9, 2}, .shape = loss_shape_broadcast_warn, ELEMENTWISE(huber)},
};
