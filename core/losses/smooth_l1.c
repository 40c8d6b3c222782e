/* Smooth L1. PyTorch: torch.nn.SmoothL1Loss; aten/src/ATen/native/Loss.cpp, smooth_l1_loss. */
#include "kernel/elementwise.h"

#include <float.h>

enum { INPUT, TARGET };
enum { BETA };

/* With d = x - y: l = d^2 / (2 beta) if |d| < beta, else |d| - beta / 2. With beta = 0 it is l1,
   whose slope is 0 at d = 0. */
LOSS_FORMULA(smooth_l1)
{
    const loss_real beta = p[BETA], inverse = vmin(1 / beta, DBL_MAX); /* 1 / beta may overflow */
    const loss_real d = in[INPUT] - in[TARGET], a = fabs(d),
                    slope = a >= beta ? sign(d) : d * inverse;
    return (struct element){
        .term = a < beta ? a * inverse * a / 2 : a - beta / 2,
        .grad = {[INPUT] = slope, [TARGET] = -slope},
        .hess = {[INPUT] = a < beta ? inverse : 0},
    };
}
DEFINE_NONNEGATIVE_KERNELS(smooth_l1, 2)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(0.9, 2, 3)}, [TARGET] = {1, {3}, NUMBERS(1, 2, 5)}},
    .params = {[BETA] = {true, {0.5, 0}}},
};

const struct loss_descriptor loss_smooth_l1 = {
    .name = "smooth_l1",
    .aliases = {"SmoothL1Loss", "smooth_l1_loss"},
    .title = "Smooth L1",
    .doc = "Quadratic for differences below beta, linear above; the slope never exceeds 1. beta 0 "
           "is l1.",
    .formula = "d = x - y; l = d^2 / (2 beta) where |d| < beta, else |d| - beta/2",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predictions", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
        },
    .params = {[BETA] = {"beta",
                         "where the quadratic part meets the linear part",
                         LOSS_NUMBER,
                         {1, 1},
                         .has_min = true,
                         .min = 0}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.7, 1, 2},
                                          .shape = loss_shape_broadcast_warn,
                                          ELEMENTWISE_KERNELS(smooth_l1)},
};
