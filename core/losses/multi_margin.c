/* Multi-class margin. PyTorch: torch.nn.MultiMarginLoss; aten/src/ATen/native/LossMultiMargin.cpp. */
#include "method.h"
#include "sum.h"

#include <stdio.h>

enum { INPUT, TARGET, WEIGHT };
enum { P, MARGIN };

/* l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p, with slope 0 at the kinks */
static void multi_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    const bool squared = b->param[P].integer == 2;
    for (size_t i = 0; i < b->n; i++) {
        const real *x = b->in[INPUT] + i * b->row[INPUT];
        real *grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL;
        const int64_t y = b->index[TARGET][i * b->row[TARGET]];
        if (y < 0 || (uint64_t)y >= classes) {
            b->invalid = i;
            return;
        }
        const real share = (b->in[WEIGHT] ? b->in[WEIGHT][y] : 1) / (real)classes;
        struct sum sum = {0}, slopes = {0};
        for (size_t c = 0; c < classes; c++) {
            const real lack = b->param[MARGIN].number - x[y] + x[c];
            const bool active = c != (size_t)y && !(lack <= 0); /* NaN goes through */
            const real slope = !active ? 0 : squared ? 2 * lack : 1;
            sum_add(&sum, !active ? 0 : squared ? lack * lack : lack);
            sum_add(&slopes, slope);
            if (grad)
                grad[c] = slope * share * b->scale[i];
        }
        b->term[i] = sum_value(&sum) * share;
        if (grad)
            grad[y] = -sum_value(&slopes) * share * b->scale[i];
    }
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)tensor;
    snprintf(text, size, "class indices must be in [0, %zu)", plan->tensor[INPUT].shape[plan->tensor[INPUT].rank - 1]);
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[INPUT].rank > 2)
        return loss_misfit(plan, error, INPUT, "it must be (C) or (N, C)");
    const enum loss_status status = loss_shape_classes(plan, error);
    plan->weighed = false; /* mean divides by N, whatever the weights */
    return status;
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 3}, NUMBERS(0.8, 0.1, 0.5, -0.2, 0.9, 0.7)},
                [TARGET] = {1, {2}, NUMBERS(0, 2)},
                [WEIGHT] = {1, {3}, NUMBERS(1, 1, 2)}},
    .params = {[P] = {true, {2, 2}}, [MARGIN] = {true, {0.5, 0}}},
};

const struct loss_descriptor loss_multi_margin = {
    .name = "multi_margin",
    .aliases = {"MultiMarginLoss", "multi_margin_loss"},
    .title = "Multi-class margin",
    .doc = "Hinge loss over classes: the right one should score higher than each other by the margin.",
    .formula = "l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "scores", "(C) or (N, C)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "class indices", "() or (N)", LOSS_INDEX},
            [WEIGHT] = {"weight", "a weight for each class", "(C)", LOSS_REAL, .optional = true},
        },
    .params =
        {
            [P] =
                {"p", "power of the lack, 1 or 2", LOSS_INTEGER, {1, 1}, .has_min = true, .has_max = true, .min = 1, .max = 2},
            [MARGIN] = {"margin", "by how much the right class should lead", LOSS_NUMBER, {1, 1}},
        },
    .example = &example,
    .method =
        &(const struct loss_method){.cost = {5, 2.6, 3.5, 3.5}, .shape = shape, .kernel = multi_margin_kernel, .checked = TARGET, .expected = expected},
};
