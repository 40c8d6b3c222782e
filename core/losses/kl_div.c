/* Kullback-Leibler divergence. PyTorch: torch.nn.KLDivLoss; aten/src/ATen/native/Loss.cpp, kl_div.
 */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { LOG_TARGET };

/* l = y (log y - x), 0 if y = 0; with log_target l = exp(y) (y - x). The input contains
   log-probabilities. */
LOSS_FORMULA(kl_div)
{
    const loss_real x = in[INPUT], y = in[TARGET];
    const int invalid = (p[LOG_TARGET] == 0) & (y < 0) ? INVALID(TARGET) : 0;
    if (p[LOG_TARGET] != 0) {
        const loss_real q = vexp(y), d = y - x;
        return (struct element){.term = d == 0 ? 0 : q * d, /* q may be infinite */
                                .grad = {[INPUT] = -q, [TARGET] = q * (y - x + 1)},
                                .invalid = invalid};
    }
    /* For y = 0 and infinite y, the term is xlogy(y, y) - y x, as in PyTorch, also where that is
       NaN. The slope in y is NaN at y = 0, also as in PyTorch. There are no branches, so that the
       compiler vectorizes the loop. */
    const loss_real ratio = vlog(y) - x, entropy = y == 0 ? 0 : y;
    return (struct element){
        .term = (y == 0) | (y == (loss_real)INFINITY) | (y == -(loss_real)INFINITY)
                    ? entropy - y * x
                    : y * ratio,
        .grad = {[INPUT] = -y, [TARGET] = y == 0 ? (loss_real)NAN : ratio + 1},
        .invalid = invalid,
    };
}

DEFINE_ELEMENTWISE_KERNELS(kl_div, 2)

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    (void)tensor;
    snprintf(text, size,
             "probabilities must not be negative (set log_target for log-probabilities)");
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (loss_shape_broadcast(plan, error) != LOSS_OK)
        return error->status;
    if (plan->reduction == LOSS_MEAN)
        loss_warn(plan, WARN_MEAN);
    return LOSS_OK;
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 3}, NUMBERS(-0.3567, -1.6094, -2.3026, -2.3026, -1.204, -0.5108)},
                [TARGET] = {2,
                            {2, 3},
                            NUMBERS(-0.5108, -1.204, -2.3026, -1.6094, -1.6094, -0.5108)}},
    .params = {[LOG_TARGET] = {true, {1, 1}}},
    .reduction = LOSS_BATCHMEAN,
};

const struct loss_descriptor loss_kl_div = {
    .name = "kl_div",
    .aliases = {"KLDivLoss"},
    .title = "Kullback-Leibler divergence",
    .doc = "Divergence of the target distribution from the one with the input's log-probabilities. "
           "batchmean is the mathematical divergence: the sum divided by the batch size. mean "
           "divides by the number of elements, like PyTorch.",
    .formula = "l = y (log y - x), 0 where y = 0; log_target: l = exp(y) (y - x)",
    .reductions = MEAN_SUM_NONE | 1u << LOSS_BATCHMEAN,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted log-probabilities", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true probabilities (log-probabilities with log_target)",
                        "(*), broadcast against input", LOSS_REAL, .differentiable = true},
        },
    .params = {[LOG_TARGET] = {"log_target", "the target contains log-probabilities",
                               LOSS_BOOLEAN}},
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 2, 2.2, 3},
                                          .shape = shape,
                                          ELEMENTWISE_KERNELS(kl_div),
                                          .expected = expected},
};
