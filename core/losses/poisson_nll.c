/* Poisson negative log likelihood. PyTorch: torch.nn.PoissonNLLLoss; torch/nn/functional.py,
 * poisson_nll_loss. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET };
enum { LOG_INPUT, FULL, EPS };

static const loss_real LOG_2_PI = 1.83787706640934548356;

/* Returns Stirling's approximation of log y! for y > 1, else 0: y log y - y + log(2 pi y) / 2. */
static inline loss_real stirling(loss_real y)
{
    return y > 1 ? y * vlog(y) - y + (LOG_2_PI + vlog(y)) / 2 : 0;
}

/* l = exp(x) - y x; without log_input l = x - y log(x + eps), or x if y = 0. full adds Stirling's
   term. */
LOSS_FORMULA(poisson_nll)
{
    const loss_real x = in[INPUT], y = in[TARGET], rest = p[FULL] != 0 ? stirling(y) : 0;
    const loss_real rest_slope = p[FULL] != 0 && y > 1 ? vlog(y) + 1 / (2 * y) : 0;
    if (p[LOG_INPUT] != 0) {
        const loss_real mean = vexp(x);
        return (struct element){.term = mean - y * x + rest,
                                .grad = {[INPUT] = mean - y, [TARGET] = rest_slope - x},
                                .hess = {[INPUT] = mean}};
    }
    const loss_real shifted = x + p[EPS], log_mean = vlog(shifted);
    return (struct element){
        .term = x - (y == 0 ? 0 : y * log_mean) + rest,
        .grad = {[INPUT] = y == 0 ? 1 : (shifted - y) / shifted, [TARGET] = rest_slope - log_mean},
        .hess = {[INPUT] = y == 0 ? 0 : y / shifted / shifted},
        .invalid = shifted < 0 ? INVALID(INPUT) : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS(poisson_nll, 2)

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    (void)tensor;
    snprintf(text, size,
             "means must not be less than -eps (set log_input for logarithms of means)");
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(1.1, 3.4, 2)}, [TARGET] = {1, {3}, NUMBERS(1, 4, 2)}},
    .params = {[LOG_INPUT] = {true, {0, 0}}, [FULL] = {true, {1, 1}}, [EPS] = {true, {1e-6, 0}}},
};

const struct loss_descriptor loss_poisson_nll = {
    .name = "poisson_nll",
    .aliases = {"PoissonNLLLoss", "poisson_nll_loss"},
    .title = "Poisson negative log likelihood",
    .doc = "For counts: the target is Poisson distributed around the input, or around its "
           "exponential with log_input.",
    .formula = "l = exp(x) - y x; without log_input l = x - y log(x + eps); full adds y log y - y "
               "+ log(2 pi y)/2 where y > 1",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted means, or their logarithms", "(*)", LOSS_REAL,
                       .prediction = true, .differentiable = true},
            [TARGET] = {"target", "counts", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
        },
    .params =
        {
            [LOG_INPUT] =
                {"log_input", "the input contains logarithms of the means", LOSS_BOOLEAN, {1, 1}},
            [FULL] = {"full", "add Stirling's approximation of log y!", LOSS_BOOLEAN},
            [EPS] = {"eps", "keeps log(x + eps) finite, without log_input", LOSS_NUMBER, {1e-8, 0}},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .cost = {0, 3, 3.3, 4.5},
            .shape = loss_shape_broadcast,
            ELEMENTWISE_KERNELS(poisson_nll),
            .expected = expected,
        },
};
