/* Multi-label soft margin. PyTorch: torch.nn.MultiLabelSoftMarginLoss; torch/nn/functional.py,
 * multilabel_soft_margin_loss. */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

enum { INPUT, TARGET, WEIGHT };

/* The term of element c of a row, and its derivatives with respect to input and target. */
struct element {
    loss_real term, grad[2];
};

static inline struct element element_of(loss_real x, loss_real y, loss_real w)
{
    const loss_real e = vexp_negative(-fabs(x)), smaller = e / (1 + e);
    return (struct element){
        .term = w * ((x < 0 ? -y * x : (1 - y) * x) + vlog1p_fraction(e)),
        .grad = {w * (x < 0 ? smaller - y : (1 - y) - smaller), -w * x},
    };
}

/* l = -1 / C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid: the mean of
   bce_with_logits over a row */
static void evaluate(struct loss_block *b, size_t i)
{
    const size_t classes = b->elements_per_term[INPUT];
    const loss_real *x = b->in[INPUT] + i * b->stride[INPUT],
                    *y = b->in[TARGET] + i * b->stride[TARGET];
    const loss_real *w = b->in[WEIGHT] ? b->in[WEIGHT] + i * b->stride[WEIGHT] : NULL;
    loss_real *const grad[] = {b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL,
                               b->grad[TARGET] ? b->grad[TARGET] + i * classes : NULL};
    const loss_real scale = b->scale[i] / (loss_real)classes;
    struct sum sum = {0};
    for (struct slice s = {0}; slice_next(&s, classes, b->cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const struct element out = element_of(x[c], y[c], w ? w[c] : 1);
            sum_add(&sum, out.term);
            if (grad[INPUT])
                grad[INPUT][c] = out.grad[INPUT] * scale;
            if (grad[TARGET])
                grad[TARGET][c] = out.grad[TARGET] * scale;
        }
    b->term[i] = sum_value(&sum) / (loss_real)classes;
}

static void multilabel_soft_margin_kernel(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++)
        evaluate(b, i);
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[INPUT].rank == 0)
        return loss_shape_error(plan, error, INPUT,
                                "it must have at least one dimension, the classes");
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
    .doc = "A binary target for each class: binary cross entropy with logits, averaged over the "
           "classes of a row.",
    .formula = "l = -1/C sum_c w_c [y_c log s(x_c) + (1 - y_c) log s(-x_c)], s the sigmoid",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "logits", "(C), (N, C) or (..., C)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "true values, 0 or 1", "that of input", LOSS_REAL,
                        .differentiable = true},
            [WEIGHT] = {"weight", "a weight for each class",
                        "(C), or broadcast to input with C last", LOSS_REAL, .optional = true},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {5, 13, 14, 15},
                                          .shape = shape,
                                          .kernel_f64 = multilabel_soft_margin_kernel},
};
