/*
 * What the losses over rows of classes share: tensors in the order input, target, weight,
 * `ignore_index` as the first parameter where there is one, and labels that name a class, are
 * ignored, or cannot be.
 */
#ifndef CORE_KERNEL_CLASS_ROWS_H
#define CORE_KERNEL_CLASS_ROWS_H

#include "kernel/loss_kernel.h"

enum { INPUT, TARGET, WEIGHT };
enum { IGNORE_INDEX };

/* Returns true if the label of term i is `ignore_index`. A uint64 label is never negative: it is
   read as INT64_MIN where int64 does not hold it (strided.h). */
static inline bool label_is_ignored(const struct loss_block *b, size_t i)
{
    if (!b->index[TARGET] || loss_value_is_null(b->param[IGNORE_INDEX]))
        return false;
    const int64_t y = b->index[TARGET][i * b->row[TARGET]];
    return y == b->param[IGNORE_INDEX].integer &&
           (y >= 0 || b->plan->tensor[TARGET].dtype != LOSS_UINT64);
}

/* Whether term i counts; sets *label to its class. An ignored or impossible label is noted in the
 * block. */
static inline bool class_label(struct loss_block *b, size_t i, size_t classes, size_t *label)
{
    const int64_t y = b->index[TARGET][i * b->row[TARGET]];
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

/* Element i of an operand, in whichever precision it is shown. */
static inline real element_of(const struct loss_block *b, int k, size_t i)
{
    return b->in[k] ? b->in[k][i] : (real)b->in32[k][i];
}

/* The weight of class c; 1 where there are none. */
static inline real class_weight(const struct loss_block *b, size_t c)
{
    return b->in[WEIGHT] || b->in32[WEIGHT] ? element_of(b, WEIGHT, c) : 1;
}

/* Row i of a derivative, to be written in one precision or the other; both are NULL where it is not
 * asked for. */
struct derivative_row {
    real *wide;
    float *narrow;
};
static inline struct derivative_row gradient_row(const struct loss_block *b, int k, size_t i)
{
    const size_t at = i * b->len[k];
    return (struct derivative_row){b->grad[k] ? b->grad[k] + at : NULL,
                                   b->grad32[k] ? b->grad32[k] + at : NULL};
}
static inline struct derivative_row hessian_row(const struct loss_block *b, int k, size_t i)
{
    const size_t at = i * b->len[k];
    return (struct derivative_row){b->hess[k] ? b->hess[k] + at : NULL,
                                   b->hess32[k] ? b->hess32[k] + at : NULL};
}
static inline bool is_asked_for(struct derivative_row row)
{
    return row.wide || row.narrow;
}

static inline void zero_row(struct derivative_row row, size_t n, const struct loss_control *cancel)
{
    zero_all(row.wide, row.wide ? n : 0, cancel);
    for (struct stretch s = {0}; row.narrow && stretch_next(&s, n, cancel);)
        memset(row.narrow + s.first, 0, stretch_len(&s) * sizeof *row.narrow);
}

static inline void set_element(struct derivative_row row, size_t c, real value)
{
    if (row.wide)
        row.wide[c] = value;
    if (row.narrow)
        row.narrow[c] = (float)value;
}

/* loss_method.ignores: labels that are `ignore_index`. */
bool loss_ignores_label(const struct loss_block *block, size_t i);
/* loss_method.weigh: the mean divides by the sum of the weights of the labels that count. */
void loss_weigh_classes(struct loss_block *block);
/* loss_method.expected */
void loss_expect_classes(const struct loss_plan *plan, int tensor, char *text, size_t size);

#endif
