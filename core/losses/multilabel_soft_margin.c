/* Multi-label soft margin. PyTorch: torch.nn.MultiLabelSoftMarginLoss; torch/nn/functional.py, multilabel_soft_margin_loss. */
#include "method.h"
#include "sum.h"

enum { INPUT, TARGET, WEIGHT };

/* l = -1 / C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid: the mean of bce_with_logits over a row */
static void multilabel_soft_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    for (size_t i = 0; i < b->n; i++) {
        const real *row_x = b->in[INPUT] + i * b->row[INPUT], *row_y = b->in[TARGET] + i * b->row[TARGET];
        const real *row_w = b->in[WEIGHT] ? b->in[WEIGHT] + i * b->row[WEIGHT] : NULL;
        const real scale = b->scale[i] / (real)classes;
        struct sum sum = {0};
        for (size_t c = 0; c < classes; c++) {
            const real x = row_x[c], y = row_y[c], w = row_w ? row_w[c] : 1, e = math_exp_negative(-fabs(x)),
                       smaller = e / (1 + e);
            sum_add(&sum, w * ((x < 0 ? -y * x : (1 - y) * x) + math_log1p_fraction(e)));
            if (b->grad[INPUT])
                b->grad[INPUT][i * classes + c] = w * (x < 0 ? smaller - y : (1 - y) - smaller) * scale;
            if (b->grad[TARGET])
                b->grad[TARGET][i * classes + c] = -w * x * scale;
        }
        b->term[i] = sum_value(&sum) / (real)classes;
    }
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[INPUT].rank == 0)
        return loss_misfit(plan, error, INPUT, "it must have a dimension of classes, the last");
    return loss_shape_rows(plan, 1, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {2, 2}, NUMBERS(0.3, -1.2, 2, 1.5)},
                [TARGET] = {2, {2, 2}, NUMBERS(1, 0, 1, 1)},
                [WEIGHT] = {1, {2}, NUMBERS(1, 2)}},
};

const struct loss_descriptor loss_multilabel_soft_margin = {
    .name = "multilabel_soft_margin",
    .aliases = {"MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss"},
    .title = "Multi-label soft margin",
    .doc = "One yes or no for each class: binary cross entropy with logits, averaged over the classes of a row.",
    .formula = "l = -1/C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(C), (N, C) or (..., C)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "what they should be, 0 or 1", "that of input", LOSS_REAL, .differentiable = true},
            [WEIGHT] = {"weight", "a weight for each class", "(C), or broadcast to input with C last", LOSS_REAL,
                        .optional = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {5, 13, 14, 15}, .shape = shape, .kernel = multilabel_soft_margin_kernel},
};
