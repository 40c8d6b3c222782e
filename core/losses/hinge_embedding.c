/* Hinge embedding. PyTorch: torch.nn.HingeEmbeddingLoss; aten/src/ATen/native/Loss.cpp,
 * hinge_embedding_loss. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET };
enum { MARGIN };

/* l = x if y = 1, max(0, margin - x) if y = -1. PyTorch adds both branches, each masked by the
   other's label, so any other y gives their sum. At the kink x = margin the slope is -1. */
LOSS_FORMULA(hinge_embedding)
{
    const loss_real x = in[INPUT], y = in[TARGET], margin = p[MARGIN];
    const loss_real near = y != -1 ? 1 : 0, lack = positive(margin - x),
                    active = x <= margin ? 1 : 0;
    return (struct element){
        .term = (y != 1 ? lack : 0) + (y != -1 ? x : 0) + (isnan(y) ? y : 0),
        .grad = {[INPUT] = near - (y != 1 ? active : 0)},
    };
}
DEFINE_SHORT_KERNELS(hinge_embedding, 2)

static const struct loss_example example = {
    .tensors =
        {[INPUT] = {1, {3}, NUMBERS(0.3, 1.7, 0.6)}, [TARGET] = {1, {3}, NUMBERS(1, -1, -1)}},
    .params = {[MARGIN] = {true, {1.5, 0}}},
};

const struct loss_descriptor loss_hinge_embedding = {
    .name = "hinge_embedding",
    .aliases = {"HingeEmbeddingLoss", "hinge_embedding_loss"},
    .title = "Hinge embedding",
    .doc = "For a distance x: x for similar pairs (y = 1); for dissimilar pairs (y = -1), the "
           "amount by which x falls short of the margin.",
    .formula = "l = x where y = 1; max(0, margin - x) where y = -1; their sum for any other y",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "distances", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "labels, 1 or -1", "(*), broadcast against input", LOSS_REAL},
        },
    .params =
        {[MARGIN] = {"margin", "distance that dissimilar pairs should keep", LOSS_NUMBER, {1, 1}}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.5, 0.9, 1.5},
                                          .shape = loss_shape_broadcast,
                                          ELEMENTWISE_KERNELS(hinge_embedding)},
};
