/* Gaussian negative log likelihood. PyTorch: torch.nn.GaussianNLLLoss; torch/nn/functional.py,
 * gaussian_nll_loss. */
#include "kernel/elementwise.h"

#include <stdio.h>

enum { INPUT, TARGET, VAR };
enum { FULL, EPS };

static const loss_real LOG_2_PI = 1.83787706640934548356;

/* With v = max(var, eps): l = (log v + (x - y)^2 / v) / 2; full adds log(2 pi) / 2. The gradient
   with respect to var ignores the clamp, like PyTorch's. */
LOSS_FORMULA(gaussian_nll)
{
    const loss_real d = in[INPUT] - in[TARGET], v = in[VAR] < p[EPS] ? p[EPS] : in[VAR];
    return (struct element){
        .term = (vlog(v) + d * d / v + (p[FULL] != 0 ? LOG_2_PI : 0)) / 2,
        .grad = {[INPUT] = d / v, [TARGET] = -d / v, [VAR] = (1 - d * d / v) / v / 2},
        .hess = {[INPUT] = 1 / v, [VAR] = (d * d / v - 0.5) / v / v},
        .invalid = in[VAR] < 0 ? INVALID(VAR) : 0,
    };
}
DEFINE_ELEMENTWISE_KERNELS(gaussian_nll, 3)

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)plan;
    (void)tensor;
    snprintf(text, size, "variances must not be negative");
}

/* The variances broadcast to the input. The shape of the input without its last dimension means one
   variance for each row, as in PyTorch. */
static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const struct loss_tensor *input = &plan->tensor[INPUT];
    struct loss_tensor *var = &plan->tensor[VAR];
    struct loss_tensor rows = *input;
    rows.rank--;
    const bool of_rows = input->rank > 0 && loss_same_shape(var, &rows);
    if (!of_rows && !loss_broadcasts_to(var, input))
        return loss_shape_error(
            plan, error, VAR,
            "it must broadcast to input, or match input without its last dimension");
    /* While the shapes are broadcast, the missing dimension has length 1. */
    if (of_rows)
        var->shape[var->rank++] = 1;
    const enum loss_status status = loss_shape_broadcast(plan, error);
    var->rank -= of_rows;
    return status;
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {1, {3}, NUMBERS(1.2, 0.3, -0.5)},
                [TARGET] = {1, {3}, NUMBERS(1, 0.5, -0.25)},
                [VAR] = {1, {3}, NUMBERS(0.2, 0.5, 0.1)}},
    .params = {[FULL] = {true, {1, 1}}, [EPS] = {true, {1e-4, 0}}},
};

const struct loss_descriptor loss_gaussian_nll = {
    .name = "gaussian_nll",
    .aliases = {"GaussianNLLLoss", "gaussian_nll_loss"},
    .title = "Gaussian negative log likelihood",
    .doc = "Regression that predicts its own uncertainty: the target is normally distributed "
           "around the input, with variance var.",
    .formula = "v = max(var, eps); l = (log v + (x - y)^2 / v) / 2; full adds log(2 pi)/2",
    .reductions = MEAN_SUM_NONE,
    .hessian = true,
    .tensors =
        {
            [INPUT] = {"input", "predicted means", "(*)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values", "(*), broadcast against input", LOSS_REAL,
                        .differentiable = true},
            [VAR] = {"var", "predicted variances",
                     "broadcast to input, or same as input without its last dimension", LOSS_REAL,
                     .prediction = true, .differentiable = true},
        },
    .params =
        {
            [FULL] = {"full", "add the constant log(2 pi)/2", LOSS_BOOLEAN},
            [EPS] = {"eps",
                     "lower bound of the variances",
                     LOSS_NUMBER,
                     {1e-6, 0},
                     .has_min = true,
                     .exclusive_min = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {0, 2, 3.2, 5},
                                          .shape = shape,
                                          ELEMENTWISE_KERNELS(gaussian_nll),
                                          .expected = expected},
};
