/*
 * Functions shared by losses over rows of classes. The tensors of such a loss are input, target and
 * weight, in this order; `ignore_index`, if it has one, is its first parameter.
 */
#ifndef CORE_KERNEL_CLASS_ROWS_H
#define CORE_KERNEL_CLASS_ROWS_H

#include "kernel/rows.h"

enum { INPUT, TARGET, WEIGHT };
enum { IGNORE_INDEX };

/* Returns true if the label of term i is `ignore_index`. A uint64 label never equals a negative
   ignore_index, though one that int64 cannot represent is read as INT64_MIN (strided.h). */
static inline bool label_is_ignored(const struct loss_block *b, size_t i)
{
    if (!b->index[TARGET] || isnan(b->number[IGNORE_INDEX])) /* null */
        return false;
    const int64_t y = b->index[TARGET][i * b->stride[TARGET]];
    return y == b->param[IGNORE_INDEX].integer &&
           (y >= 0 || b->plan->tensor[TARGET].dtype != LOSS_UINT64);
}

/* Sets *label to the class of term i. Returns false if the label is ignored or invalid, and records
   that in the block. */
static inline bool class_label(struct loss_block *b, size_t i, size_t classes, size_t *label)
{
    const int64_t y = b->index[TARGET][i * b->stride[TARGET]];
    if (label_is_ignored(b, i)) {
        b->ignored++;
        return false;
    }
    if (y < 0 || (uint64_t)y >= classes) {
        b->invalid = i < b->invalid ? i : b->invalid;
        return false;
    }
    *label = (size_t)y;
    return true;
}

/* Returns true if label y is a class and not ignored. An ignore_index that is null or negative is
   never equal to a class. */
static inline bool label_counts(const struct loss_block *b, int64_t y, size_t classes)
{
    return ((uint64_t)y < classes) & (y != b->param[IGNORE_INDEX].integer);
}

/* Returns the weight of class c; 1 if there are no weights. */
static inline loss_real class_weight(const struct loss_block *b, size_t c)
{
    return b->in[WEIGHT] || b->in_f32[WEIGHT] ? element_of(b, WEIGHT, c) : 1;
}

/* Implements loss_method.is_ignored: returns true if the label is `ignore_index`. */
bool loss_label_is_ignored(const struct loss_block *block, size_t i);
/* Implements loss_method.term_weights: writes the weight of each label, 0 for an ignored one. */
void loss_class_term_weights(struct loss_block *block);
/* Implements loss_method.expected. */
void loss_expect_classes(const struct loss_plan *plan, int tensor, char *text, size_t size);

#endif
