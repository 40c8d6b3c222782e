/* Multi-class margin. PyTorch: torch.nn.MultiMarginLoss; aten/src/ATen/native/LossMultiMargin.cpp.
 */
#include "kernel/compensated_sum.h"
#include "kernel/loss_kernel.h"

#include <stdio.h>

enum { INPUT, TARGET, WEIGHT };
enum { P, MARGIN };

/* A row, and the sums over its classes. */
struct row {
    const loss_real *x;
    size_t classes;
    loss_real lack; /* margin - x_y */
    bool squared;
    struct compensated_lanes sum, slopes;
};

/* Adds max(0, margin - x_y + x_c)^p of classes [c, c + n), n <= SUM_LANES, and its slope to the
   lanes, and writes the slopes times `scale` to `grad` unless it is NULL. */
static ALWAYS_INLINE void add_classes(struct row *row, size_t c, size_t n, loss_real scale,
                                      loss_real *grad)
{
    loss_real term[SUM_LANES] = {0}, slope[SUM_LANES] = {0};
    struct sum_lanes next;
    const loss_real *const x = row->x + c, apart = row->lack;
    const bool squared = row->squared;
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const loss_real lack = apart + x[k], active_slope = squared ? 2 * lack : 1;
        term[k] = lack <= 0 ? 0 : squared ? lack * lack : lack; /* NaN is active */
        slope[k] = lack <= 0 ? 0 : active_slope;
    }
    for (size_t k = 0; grad && k < n; k++)
        grad[c + k] = slope[k] * scale;
    memcpy(&next, term, sizeof next);
    compensated_add_lanes(&row->sum, &next);
    memcpy(&next, slope, sizeof next);
    compensated_add_lanes(&row->slopes, &next);
}

/* Adds all classes but y. Leaves grad[y] undefined. */
static void add_row(struct row *row, size_t y, loss_real scale, loss_real *grad,
                    const struct loss_control *cancel)
{
    const size_t parts[][2] = {{0, y}, {y + 1, row->classes}};
    for (size_t part = 0; part < 2; part++) {
        const size_t first = parts[part][0], n = parts[part][1] - first;
        for (struct slice s = {0}; slice_next(&s, n, cancel);) {
            size_t c = s.first;
            for (; c + SUM_LANES <= s.end; c += SUM_LANES)
                add_classes(row, first + c, SUM_LANES, scale, grad);
            add_classes(row, first + c, s.end - c, scale, grad);
        }
    }
}

/* l = w_y / C sum_{c != y} max(0, margin - x_y + x_c)^p. The slope is 0 at the kinks. */
static void multi_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    for (size_t i = 0; i < b->n; i++) {
        const loss_real *const x = b->in[INPUT] + i * b->stride[INPUT];
        loss_real *const grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL;
        const int64_t y = b->index[TARGET][i * b->stride[TARGET]];
        if (y < 0 || (uint64_t)y >= classes) {
            b->invalid = i;
            return;
        }
        const loss_real share = (b->in[WEIGHT] ? b->in[WEIGHT][y] : 1) / (loss_real)classes;
        struct row row = {.x = x,
                          .classes = classes,
                          .lack = b->number[MARGIN] - x[y],
                          .squared = b->param[P].integer == 2};
        add_row(&row, (size_t)y, share * b->scale[i], grad, b->cancel);
        b->term[i] = compensated_value(&row.sum) * share;
        if (grad)
            grad[y] = -compensated_value(&row.slopes) * share * b->scale[i];
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
    .method = &(const struct loss_method){.cost = {40, 0.9, 1.4, 1.4},
                                          .shape = shape,
                                          .kernel_f64 = multi_margin_kernel,
                                          .checked_tensor = TARGET,
                                          .expected = expected},
};
