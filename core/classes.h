/*
 * What the losses over rows of classes share: tensors in the order input, target, weight, `ignore_index` as the first parameter
 * where there is one, and labels that name a class, are ignored, or cannot be.
 */
#ifndef CORE_CLASSES_H
#define CORE_CLASSES_H

#include "method.h"

enum { INPUT, TARGET, WEIGHT };
enum { IGNORE_INDEX };

/* Whether term i counts; sets *label to its class. An ignored or impossible label is noted in the block. */
static inline bool class_label(struct loss_block *b, size_t i, size_t classes, size_t *label)
{
    const int64_t y = b->index[TARGET][i * b->row[TARGET]];
    if (y == b->param[IGNORE_INDEX].integer) {
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

/* The weight of class c; 1 where there are none. */
static inline real class_weight(const struct loss_block *b, size_t c)
{
    return b->in[WEIGHT] ? b->in[WEIGHT][c] : 1;
}

/* loss_method.weigh: the mean divides by the sum of the weights of the labels that count. */
void loss_weigh_classes(struct loss_block *block);
/* loss_method.expected */
void loss_expect_classes(const struct loss_plan *plan, int tensor, char *text, size_t size);

#endif
