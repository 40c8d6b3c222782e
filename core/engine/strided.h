/*
 * Walking a tensor in the order of the loss terms, whatever its dtype, strides and broadcasting:
 * out of a tensor into contiguous reals or integers, and from contiguous reals into a tensor.
 */
#ifndef CORE_ENGINE_STRIDED_H
#define CORE_ENGINE_STRIDED_H

#include "kernel/loss_kernel.h"

/* Where the elements of term t stand: at sum(i_d * step[d]) for its coordinates i, and from there
   at all combinations of the row axes. Offsets count elements. */
struct walk {
    int rank; /* of the terms, whose axes are merged where they are walked as one */
    size_t dim[LOSS_MAX_RANK];
    ptrdiff_t step[LOSS_MAX_RANK];
    int row_rank; /* axes that lie within a term, in order */
    size_t row_dim[LOSS_MAX_RANK];
    ptrdiff_t row_step[LOSS_MAX_RANK];
    size_t len;     /* elements of one term */
    bool shared;    /* every term sees the same elements */
    bool row_dense; /* the elements of a term stand one behind the other, without gaps ... */
    bool dense;     /* ... and those of all terms too */
    const struct loss_control
        *cancel; /* the plan's: reading and writing end early once it says so */
};

/* The walk over tensor k of a plan: by the strides of its data, or (`row_major`) as a gradient of
 * its shape is laid out. */
struct walk walk_tensor(const struct loss_plan *plan, int k, bool row_major);
/* The walk over the terms themselves, as the output of a loss that is not reduced is laid out. */
struct walk walk_terms(const struct loss_plan *plan);
/* The walk over a tensor of the terms' shape, by the strides of its data, or over a single number
 * that all terms share. */
struct walk walk_alike(const struct loss_plan *plan, const struct loss_tensor *tensor);

/* The walk over a tensor that holds one number for each index of the terms' first dimension, by the
 * strides of its data. */
struct walk walk_samples(const struct loss_plan *plan, const struct loss_tensor *tensor);

/* The walk over a single number. */
struct walk walk_number(void);

/* Offset of element `within` of term t. */
ptrdiff_t walk_offset(const struct walk *walk, size_t t, size_t within);

/* Copies the elements of terms [t, t + n) into out, n * len of them, converted: to the nearest
   real, ties to even. A uint64 that int64 does not hold becomes INT64_MIN as an index. */
void walk_read(const struct walk *walk, const void *data, enum loss_dtype dtype, size_t t, size_t n,
               real *out);
void walk_read_index(const struct walk *walk, const void *data, enum loss_dtype dtype, size_t t,
                     size_t n, int64_t *out);
/* The reverse, into float32 or float64: rounds once. Terms must not share elements. */
void walk_write(const struct walk *walk, void *data, enum loss_dtype dtype, size_t t, size_t n,
                const real *values);

#endif
