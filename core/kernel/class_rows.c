/* Class labels: the weights for the divisor of the mean, and the message about invalid labels. */
#include "kernel/class_rows.h"

#include <inttypes.h>
#include <stdio.h>

bool loss_label_is_ignored(const struct loss_block *b, size_t i)
{
    return label_is_ignored(b, i);
}

/* Writes 1 for each label that counts, 0 for others. Returns how many count. */
static size_t count_labels(struct loss_block *b, size_t classes)
{
    const int64_t *const y = b->index[TARGET];
    const size_t stride = b->stride[TARGET];
    loss_real *const term = b->term;
    size_t counted = 0;
    for (size_t i = 0; i < b->n; i++) {
        const bool counts = label_counts(b, y[i * stride], classes);
        term[i] = counts ? 1 : 0;
        counted += counts;
    }
    return counted;
}

void loss_class_term_weights(struct loss_block *b)
{
    const size_t classes = b->elements_per_term[INPUT];
    const bool weighted = b->in[WEIGHT] || b->in_f32[WEIGHT];
    size_t label;
    if (count_labels(b, classes) == b->n && !weighted)
        return;
    for (size_t i = 0; i < b->n; i++)
        if (class_label(b, i, classes, &label))
            b->term[i] = class_weight(b, label);
}

void loss_expect_classes(const struct loss_plan *plan, int tensor, char *text, size_t size)
{
    (void)tensor;
    const struct loss_tensor *input = &plan->tensor[INPUT];
    int len =
        snprintf(text, size, "class indices must be in [0, %zu)", input->shape[input->rank > 1]);
    if (!loss_value_is_null(plan->param[IGNORE_INDEX]))
        snprintf(text + len, size - (size_t)len, ", or %" PRId64 " to be ignored",
                 plan->param[IGNORE_INDEX].integer);
}
