/* Class labels: the weights for the divisor of the mean, and the message about invalid labels. */
#include "kernel/class_rows.h"

#include <inttypes.h>
#include <stdio.h>

bool loss_label_is_ignored(const struct loss_block *b, size_t i)
{
    return label_is_ignored(b, i);
}

void loss_class_term_weights(struct loss_block *b)
{
    for (size_t i = 0; i < b->n; i++) {
        size_t label;
        b->term[i] =
            class_label(b, i, b->elements_per_term[INPUT], &label) ? class_weight(b, label) : 0;
    }
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
