/* Kullback-Leibler divergence. PyTorch: torch.nn.KLDivLoss; aten/src/ATen/native/Loss.cpp, kl_div.
 */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { LOG_TARGET };

/* l = y (log y - x), 0 if y = 0; with log_target l = exp(y) (y - x). The input is a log-
   probability. */
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
    /* For y = 0 or infinite this is PyTorch's xlogy(y, y) - y x: NaN for opposite infinities, also
       in the slope at y = 0. It has no branches, so that it is vectorised. */
    const loss_real ratio = vlog(y) - x, entropy = y == 0 ? 0 : y;
    return (struct element){
        .term = (y == 0) | (y == (loss_real)INFINITY) | (y == -(loss_real)INFINITY)
                    ? entropy - y * x
                    : y * ratio,
        .grad = {[INPUT] = -y, [TARGET] = y == 0 ? (loss_real)NAN : ratio + 1},
        .invalid = invalid,
    };
}

/* The same in float32. For y = 0 the logarithm is replaced by 0. */
LOSS_FORMULA_F32(kl_div)
{
    const float x = in[INPUT], y = in[TARGET];
    const loss_real d = (loss_real)y - x;
    if (p[LOG_TARGET] != 0) {
        const float q = vexp_f32(y);
        return (struct element_f32){.term = d == 0 ? 0 : q * d, .grad = -(loss_real)q};
    }
    /* For y = inf the term is inf, or NaN if x >= 0. */
    const int infinite = y == INFINITY;
    const float rest = infinite ? INFINITY : y - y, other = infinite & (x >= 0) ? NAN : x;
    return (struct element_f32){
        .term = y * (vlog_plus_f32(y == 0 ? 1 : y, rest) - (loss_real)other),
        .grad = -(loss_real)y,
        .invalid = y < 0 ? INVALID(TARGET) : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS_F32(kl_div, 2)

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
        loss_warn(plan, "reduction 'mean' divides by the batch size and the support size; "
                        "'batchmean' divides only by the batch "
                        "size and aligns with the definition of the KL divergence");
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
    .method = &(const struct loss_method){.cost = {0, 1.5, 1.8, 3},
                                          .shape = shape,
                                          ELEMENTWISE_KERNELS(kl_div),
                                          .expected = expected},
};
