/* Multi-label margin. PyTorch: torch.nn.MultiLabelMarginLoss; aten/src/ATen/native/LossMultiLabelMargin.cpp. */
#include "method.h"
#include "sum.h"

#include <stdio.h>

enum { INPUT, TARGET };

/* The first element of a row of labels that is none: neither a class nor -1; `classes` if there is none such. */
static size_t first_wrong(const int64_t *labels, size_t classes)
{
    size_t k = 0;
    while (k < classes && labels[k] >= -1 && labels[k] < (int64_t)classes)
        k++;
    return k;
}

/* Adds what one listed class contributes: sum over unlisted c of max(0, 1 - x_j + x_c). */
static void add_label(const real *x, const real *listed, size_t classes, size_t j, struct sum *sum, real *grad)
{
    for (size_t c = 0; c < classes; c++) {
        const real lack = 1 - x[j] + x[c];
        if (listed[c] != 0 || lack <= 0)
            continue;
        sum_add(sum, lack);
        if (grad) {
            grad[c] += 1;
            grad[j] -= 1;
        }
    }
}

/* l = 1 / C sum over listed j and unlisted c of max(0, 1 - x_j + x_c), the list ending at the first -1. The slopes are counts
   until the end, so they are exact. */
static void multilabel_margin_kernel(struct loss_block *b)
{
    const size_t classes = b->len[INPUT];
    real *listed = b->scratch;
    for (size_t i = 0; i < b->n; i++) {
        const real *x = b->in[INPUT] + i * b->row[INPUT];
        const int64_t *labels = b->index[TARGET] + i * b->row[TARGET];
        real *grad = b->grad[INPUT] ? b->grad[INPUT] + i * classes : NULL;
        b->invalid_element = first_wrong(labels, classes);
        if (b->invalid_element < classes) {
            b->invalid = i;
            return;
        }
        for (size_t c = 0; c < classes; c++)
            listed[c] = 0;
        for (size_t c = 0; grad && c < classes; c++)
            grad[c] = 0;
        size_t labelled = 0;
        while (labelled < classes && labels[labelled] >= 0)
            listed[labels[labelled++]] = 1;
        struct sum sum = {0};
        for (size_t k = 0; k < labelled; k++)
            add_label(x, listed, classes, (size_t)labels[k], &sum, grad);
        b->term[i] = sum_value(&sum) / (real)classes;
        for (size_t c = 0; grad && c < classes; c++)
            grad[c] *= b->scale[i] / (real)classes;
    }
}

static size_t scratch(const struct loss_plan *plan)
{
    return plan->tensor[INPUT].shape[plan->tensor[INPUT].rank - 1];
}

/* Every listed class meets every other: all may be listed. */
static size_t elements(const struct loss_plan *plan)
{
    size_t pairs = loss_tensor_elements(&plan->tensor[INPUT]);
    return __builtin_mul_overflow(pairs, scratch(plan), &pairs) ? SIZE_MAX : pairs;
}

static void expected(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)tensor;
    snprintf(text, size, "class indices must be in [0, %zu), and -1 ends their list", scratch(plan));
}

static enum loss_status shape(struct loss_plan *plan, struct loss_error *error)
{
    const int rank = plan->tensor[INPUT].rank;
    if (rank != 1 && rank != 2)
        return loss_misfit(plan, error, INPUT, "it must be (C) or (N, C)");
    return loss_shape_rows(plan, 1, error);
}

static const struct loss_example example = {
    .tensors = {[INPUT] = {2, {1, 4}, NUMBERS(0.1, 0.2, 0.4, 0.8)}, [TARGET] = {2, {1, 4}, NUMBERS(3, 0, -1, 1)}},
};

const struct loss_descriptor loss_multilabel_margin = {
    .name = "multilabel_margin",
    .aliases = {"MultiLabelMarginLoss", "multilabel_margin_loss"},
    .title = "Multi-label margin",
    .doc = "Hinge loss over classes of which several are right: each of those should score higher by 1 than each that is not.",
    .formula = "l = 1/C sum over listed j, unlisted c of max(0, 1 - x_j + x_c)",
    .reductions = MEAN_SUM_NONE,
    .tensors =
        {
            [INPUT] = {"input", "scores", "(C) or (N, C)", LOSS_REAL, .prediction = true, .differentiable = true},
            [TARGET] = {"target", "the right classes' indices, ended by -1", "(C) or (N, C)", LOSS_INDEX},
        },
    .example = &example,
    .method =
        &(const struct loss_method){
            .elements = elements, .cost = {10, 1.8, 2, 2}, .shape = shape, .kernel = multilabel_margin_kernel, .scratch = scratch, .checked = TARGET, .expected = expected},
};
