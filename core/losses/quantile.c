/* Quantile (pinball) loss. R. Koenker, G. Bassett, Regression quantiles, 1978;
 * sklearn.metrics.mean_pinball_loss. */
#include "kernel/elementwise.h"

enum { INPUT, TARGET };
enum { Q };

/* With d = y - x: l = max(q d, (q - 1) d). The slope is 0 at the kink. With q = 0 or 1, one side
   costs nothing, even if d is infinite. */
LOSS_FORMULA(quantile)
{
    const loss_real q = p[Q], d = in[TARGET] - in[INPUT], side = d < 0 ? q - 1 : q;
    const loss_real slope = d > 0 ? q : d < 0 ? q - 1 : 0;
    return (struct element){.term = side == 0 && isinf(d) ? 0 : side * d,
                            .grad = {[INPUT] = -slope, [TARGET] = slope}};
}
DEFINE_ELEMENTWISE_KERNELS(quantile, 2)

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(2.5, 0, 2)}, [TARGET] = {1, {3}, NUMBERS(3, -0.5, 1)}},
    .params = {[Q] = {true, {0.9, 0}}},
};

const struct loss_descriptor loss_quantile = {
    .name = "quantile",
    .aliases = {"pinball", "pinball_loss"},
    .title = "Quantile (pinball)",
    .doc = "Minimal if the input is the q-quantile of the target: a prediction that is too low "
           "costs q times the difference, one that is too high costs 1 - q times.",
    .formula = "l = max(q (y - x), (q - 1) (y - x))",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted quantiles", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "observed values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
        },
    .params = {[Q] = {"q",
                      "the quantile, in [0, 1]",
                      LOSS_NUMBER,
                      {0.5, 0},
                      .has_min = true,
                      .has_max = true,
                      .max = 1}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 0.5, 0.9, 2},
                                          .shape = loss_shape_broadcast_warn,
                                          ELEMENTWISE_KERNELS(quantile)},
};
