/* Multi-class margin. PyTorch: torch.nn.MultiMarginLoss; aten/src/ATen/native/LossMultiMargin.cpp.
 */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

#include <stdio.h>

enum { INPUT, TARGET, WEIGHT };
enum { P, MARGIN };

/* A row, and the sums over its classes other than y. */
struct row {
    const loss_real *x;
    size_t classes, y;
    loss_real margin;
    bool squared;
    struct sum sum, slopes;
};

/* Sums max(0, margin - x_y + x_c)^p over all classes c other than y, and writes their slopes times
   `scale` if the gradient is requested. */
static void add_classes(struct row *row, loss_real scale, loss_real *grad,
                        const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, row->classes, cancel);)
        for (size_t c = s.first; c < s.end; c++) {
            const loss_real lack = row->margin - row->x[row->y] + row->x[c];
            const bool active = c != row->y && !(lack <= 0); /* true for NaN */
            const loss_real active_slope = row->squared ? 2 * lack : 1,
                            slope = active ? active_slope : 0;
            sum_add(&row->sum, active ? (row->squared ? lack * lack : lack) : 0);
            sum_add(&row->slopes, slope);
            if (grad)
                grad[c] = slope * scale;
        }
}

/* l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p. The slope is 0 at the kinks. */
static void multi_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    for (size_t i = 0; i < b->n; i++) {
        const loss_real *x = b->in[INPUT] + i * b->stride[INPUT];
        loss_real *grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL;
        const int64_t y = b->index[TARGET][i * b->stride[TARGET]];
        if (y < 0 || (uint64_t)y >= classes) {
            b->invalid = i;
            return;
        }
        const loss_real share = (b->in[WEIGHT] ? b->in[WEIGHT][y] : 1) / (loss_real)classes;
        struct row row = {.x = x,
                          .classes = classes,
                          .y = (size_t)y,
                          .margin = b->param[MARGIN].number,
                          .squared = b->param[P].integer == 2};
        add_classes(&row, share * b->scale[i], grad, b->cancel);
        b->term[i] = sum_value(&row.sum) * share;
        if (grad)
            grad[y] = -sum_value(&row.slopes) * share * b->scale[i];
    }
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)tensor;
    snprintf(text, size, "class indices must be in [0, %zu)",
             plan->tensor[INPUT].shape[plan->tensor[INPUT].rank - 1]);
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    if (plan->tensor[INPUT].rank > 2)
        return loss_shape_error(plan, error, INPUT, "it must be (C) or (N, C)");
    const enum loss_status status = loss_shape_classes(plan, error);
    plan->has_term_weights = false; /* mean divides by N, not by weights */
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
    .doc = "Hinge loss over classes: the correct class should score higher than every other by the "
           "margin.",
    .formula = "l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "scores", "(C) or (N, C)", LOSS_REAL, .prediction = true,
                       .differentiable = true},
            [TARGET] = {"target", "class indices", "() or (N)", LOSS_INDEX},
            [WEIGHT] = {"weight", "a weight for each class", "(C)", LOSS_REAL, .optional = true},
        },
    .params =
        {
            [P] = {"p",
                   "power of the hinge, 1 or 2",
                   LOSS_INTEGER,
                   {1, 1},
                   .has_min = true,
                   .has_max = true,
                   .min = 1,
                   .max = 2},
            [MARGIN] = {"margin", "minimum lead of the correct class", LOSS_NUMBER, {1, 1}},
        },
    .example = &example,
    .method = &(const struct loss_method){.cost = {5, 2.6, 3.5, 3.5},
                                          .shape = shape,
                                          .kernel_f64 = multi_margin_kernel,
                                          .checked_tensor = TARGET,
                                          .expected = expected},
};
