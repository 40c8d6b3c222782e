/* Margin ranking. PyTorch: torch.nn.MarginRankingLoss; aten/src/ATen/native/Loss.cpp,
 * margin_ranking_loss. */
#include "kernel/elementwise.h"

enum { INPUT1, INPUT2, TARGET };
enum { MARGIN };

/* l = max(0, -y (x1 - x2) + margin). At the kink the slope is that of the active side. */
LOSS_FORMULA(margin_ranking)
{
    const loss_real d = in[INPUT1] - in[INPUT2], y = in[TARGET], lack = p[MARGIN] - y * d;
    const bool active = lack >= 0;
    return (struct element){
        .term = positive(lack),
        .grad = {[INPUT1] = active ? -y : 0, [INPUT2] = active ? y : 0, [TARGET] = active ? -d : 0},
    };
}
DEFINE_ELEMENTWISE_KERNELS(margin_ranking, 3)

/* PyTorch broadcasts only tensors with the same number of dimensions. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    for (int k = INPUT2; k <= TARGET; k++)
        if (plan->tensor[k].rank != plan->tensor[INPUT1].rank)
            return loss_shape_error(plan, error, k, "it must have as many dimensions as input1, %d",
                                    plan->tensor[INPUT1].rank);
    return loss_shape_broadcast(plan, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT1] = {1, {3}, NUMBERS(0.8, 0.2, 1.5)},
                [INPUT2] = {1, {3}, NUMBERS(0.5, 0.4, 1.45)},
                [TARGET] = {1, {3}, NUMBERS(1, -1, 1)}},
    .params = {[MARGIN] = {true, {0.1, 0}}},
};

const struct loss_descriptor loss_margin_ranking = {
    .name = "margin_ranking",
    .aliases = {"MarginRankingLoss", "margin_ranking_loss"},
    .title = "Margin ranking",
    .doc = "For two scores: input1 should be higher by the margin if y = 1, lower if y = -1.",
    .formula = "l = max(0, -y (x1 - x2) + margin)",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT1] = {"input1", "scores", "(*)", LOSS_REAL, .prediction = true,
                        .differentiable = true},
            [INPUT2] = {"input2", "scores to compare input1 with", "(*), broadcast against input1",
                        LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "1 if input1 should be higher, -1 if input2 should",
                        "(*), broadcast against input1", LOSS_REAL, .differentiable = true},
        },
    .params = {[MARGIN] = {"margin", "minimum difference between the scores", LOSS_NUMBER}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.6, 2.2, 3},
                                          .shape = shape,
                                          ELEMENTWISE_KERNELS(margin_ranking)},
};
