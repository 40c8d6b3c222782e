/*
 * Reads and writes a tensor of any dtype, strides and broadcasting in the order of the loss terms:
 * from the tensor to contiguous numbers, or the reverse.
 */
#ifndef CORE_ENGINE_STRIDED_H
#define CORE_ENGINE_STRIDED_H

#include "kernel/loss_kernel.h"

/* The elements of a tensor in the order of the terms. The elements of the term with coordinates i
   start at offset sum(i[d] * step[d]); the row axes are within a term. Offsets count elements. */
struct strided_view {
    int rank; /* of the terms; adjacent axes are merged if possible */
    size_t dim[LOSS_MAX_RANK];
    ptrdiff_t step[LOSS_MAX_RANK];
    int row_rank; /* axes within a term, in order */
    size_t row_dim[LOSS_MAX_RANK];
    ptrdiff_t row_step[LOSS_MAX_RANK];
    size_t elements_per_term;
    bool shared;                       /* all terms have the same elements */
    bool row_dense;                    /* the elements of a term are contiguous ... */
    bool dense;                        /* ... and those of all terms */
    const struct loss_control *cancel; /* the plan's: reading and writing end early if cancelled */
};

/* Returns the view of tensor k of a plan, with the strides of its data, or row-major, like its
   gradient, if `row_major`. */
struct strided_view strided_tensor(const struct loss_plan *plan, int k, bool row_major);
/* Returns the view of the output of a loss that is not reduced. */
struct strided_view strided_terms(const struct loss_plan *plan);
/* Returns the view of a tensor of the terms' shape, or of a single number that all terms share. */
struct strided_view strided_like_terms(const struct loss_plan *plan,
                                       const struct loss_tensor *tensor);
/* Returns the view of a tensor with one number for each index of the terms' first dimension. */
struct strided_view strided_samples(const struct loss_plan *plan, const struct loss_tensor *tensor);
/* Returns the view of a single number. */
struct strided_view strided_scalar(void);

/* Returns true if several terms share an element. Their derivatives with respect to it must then be
   summed. */
bool strided_repeats(const struct strided_view *view);

/* Returns the offset of element `within` of term t. */
ptrdiff_t strided_offset(const struct strided_view *view, size_t t, size_t within);

/* Copies the elements of terms [t, t + n) to `out`, converted to the nearest loss_real, ties to
   even. An index of type uint64 that int64 cannot represent becomes INT64_MIN. */
void strided_read(const struct strided_view *view, const void *data, enum loss_dtype dtype,
                  size_t t, size_t n, loss_real *out);
void strided_read_index(const struct strided_view *view, const void *data, enum loss_dtype dtype,
                        size_t t, size_t n, int64_t *out);
/* The reverse of strided_read(), to float32 or float64. Terms must not share elements. */
void strided_write(const struct strided_view *view, void *data, enum loss_dtype dtype, size_t t,
                   size_t n, const loss_real *values);

#endif
