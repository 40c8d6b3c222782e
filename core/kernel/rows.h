/* Access to operands and derivatives of either precision, for kernels over rows. */
#ifndef CORE_KERNEL_ROWS_H
#define CORE_KERNEL_ROWS_H

#include "kernel/loss_kernel.h"

/* Returns element i of operand k in either precision. */
static inline loss_real element_of(const struct loss_block *b, int k, size_t i)
{
    return b->in[k] ? b->in[k][i] : (loss_real)b->in_f32[k][i];
}

/* A row of a derivative, in one of the two precisions. Both are NULL if it is not requested. */
struct derivative_row {
    loss_real *f64;
    float *f32;
};

static inline struct derivative_row gradient_row(const struct loss_block *b, int k, size_t i)
{
    const size_t at = i * b->elements_per_term[k];
    return (struct derivative_row){b->grad[k] ? b->grad[k] + at : NULL,
                                   b->grad_f32[k] ? b->grad_f32[k] + at : NULL};
}

static inline struct derivative_row hessian_row(const struct loss_block *b, int k, size_t i)
{
    const size_t at = i * b->elements_per_term[k];
    return (struct derivative_row){b->hess[k] ? b->hess[k] + at : NULL,
                                   b->hess_f32[k] ? b->hess_f32[k] + at : NULL};
}

static inline bool is_requested(struct derivative_row row)
{
    return row.f64 || row.f32;
}

static inline void zero_row(struct derivative_row row, size_t n, const struct loss_control *cancel)
{
    zero_all(row.f64, row.f64 ? n : 0, cancel);
    for (struct slice s = {0}; row.f32 && slice_next(&s, n, cancel);)
        memset(row.f32 + s.first, 0, slice_len(&s) * sizeof *row.f32);
}

static inline void set_element(struct derivative_row row, size_t c, loss_real value)
{
    if (row.f64)
        row.f64[c] = value;
    if (row.f32)
        row.f32[c] = (float)value;
}

#endif
