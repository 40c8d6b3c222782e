/* Binary cross entropy of logits. PyTorch: torch.nn.BCEWithLogitsLoss;
   aten/src/ATen/native/Loss.cpp, binary_cross_entropy_with_logits. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET, WEIGHT, POS_WEIGHT };

/*
 * With p = 1 + (pos_weight - 1) y, s the sigmoid and softplus(-x) = -log s(x):
 *
 *     l = w [(1 - y) x + p softplus(-x)]
 *
 * For negative x, softplus(-x) = softplus(x) - x. The multiples of x, which would cancel, are then
 * combined:
 *
 *     l = w [p softplus(x) - pos_weight y x]
 *
 * For x = -inf the result is NaN, because PyTorch's form is inf - inf.
 */
LOSS_FORMULA(bce_with_logits)
{
    const loss_real x = in[INPUT], y = in[TARGET], w = in[WEIGHT], pos_weight = in[POS_WEIGHT];
    const loss_real weight = pos_weight == 1 ? 1 : (1 - y) + pos_weight * y;
    const loss_real e = vexp_negative(-fabs(x)),
                    inverse = 1 / ((1 + e) * (2 + e)); /* one division instead of two */
    const loss_real tail = vlog1p_of_ratio(e * (1 + e) * inverse),
                    smaller = e * (2 + e) * inverse; /* softplus(-|x|), s(-|x|) */
    const loss_real linear = x < 0 ? (x - x) - pos_weight * y * x : (1 - y) * x;
    return (struct element){
        .term = w * (linear + weight * tail),
        .grad =
            {
                [INPUT] =
                    w * (x < 0 ? weight * smaller - pos_weight * y : (1 - y) - weight * smaller),
                [TARGET] = w * ((pos_weight - 1) * tail - (x < 0 ? pos_weight * x : x)),
            },
        .hess = {[INPUT] = w * weight * (smaller / (1 + e))},
    };
}
/* The loss in float32, without weights: c x + log(1 + exp(-|x|)), c = -y if x < 0, else 1 - y. */
LOSS_FORMULA_F32(bce_with_logits)
{
    const float x = in[INPUT];
    const struct softplus below = vsoftplus_f32(fabsf(x));
    const loss_real c = (x < 0 ? 0 : 1) - (loss_real)in[TARGET];
    return (struct element_f32){.term = c * x +
                                        (below.value + (x < 0 ? x - x : 0)), /* NaN if x = -inf */
                                .grad = x < 0 ? c + below.sigmoid : c - below.sigmoid};
}

DEFINE_ELEMENTWISE_KERNELS_F32(bce_with_logits, 4)

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 2}, NUMBERS(0.3, -1.2, 2, 1.5)},
                [TARGET] = {2, {2, 2}, NUMBERS(1, 0, 1, 1)},
                [WEIGHT] = {2, {2, 1}, NUMBERS(1, 0.5)},
                [POS_WEIGHT] = {1, {2}, NUMBERS(1, 2)}},
};

const struct loss_descriptor loss_bce_with_logits = {
    .name = "bce_with_logits",
    .aliases = {"BCEWithLogitsLoss", "binary_cross_entropy_with_logits"},
    .title = "Binary cross entropy with logits",
    .doc = "Binary cross entropy of sigmoid(x), stable for any x; pos_weight trades recall against "
           "precision.",
    .formula = "l = w [(1 - y) x + p log(1 + exp(-x))], p = 1 + (pos_weight - 1) y",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values, usually 0 or 1", "(*), same as input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "multiplies each term", "broadcast to input", LOSS_REAL,
                        .optional = true},
            [POS_WEIGHT] = {"pos_weight", "weight of positive targets, usually one per class",
                            "broadcast to input", LOSS_REAL, .optional = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 2.7, 3.3, 4.5},
                                          .shape = loss_shape_same,
                                          ELEMENTWISE_KERNELS(bce_with_logits)},
};
