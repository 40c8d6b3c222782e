/* Batches in which one element at a time is NaN. */
#ifndef TESTS_NAN_SWEEP_H
#define TESTS_NAN_SWEEP_H

#include "support/batch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The indices of operands: tensors of the loss, then these. */
enum { GRAD_OUTPUT = LOSS_MAX_TENSORS, SAMPLE_WEIGHT, OPERANDS };

/* The number of NaNs that are tested in each dtype: quiet, all bits set, signalling. */
enum { SWEEP_PATTERNS = 3 };

/* How a batch is laid out and evaluated. */
struct sweep_setting {
    enum loss_dtype dtype; /* of all floats */
    bool strided;          /* reversed, every second element */
    size_t elements, columns;
    bool grad, hess;
    unsigned pattern; /* which NaN */
};

/* A batch whose floats can be set one at a time. */
struct sweep {
    struct batch batch;
    struct sweep_setting setting;
    double *value[OPERANDS]; /* the values of the operands */
    void *block[OPERANDS];
    struct loss_tensor grad_output, sample_weight;
};

/* Makes a batch that is not reduced. Every float is a multiple of 1/8. */
void sweep_make(struct sweep *sweep, const struct loss_descriptor *loss,
                struct sweep_setting setting);
void sweep_free(struct sweep *sweep);

/* Returns operand k. */
struct loss_tensor *sweep_operand(struct sweep *sweep, int k);
/* Stores a tensor of floats in the layout of the setting, filled with numbers. `name` is that of
 * the operand. */
void sweep_lay_out(struct sweep *sweep, int k, const char *name);
/* Returns the bits of a NaN. */
uint64_t sweep_nan_bits(enum loss_dtype dtype, unsigned pattern);
/* Returns the bits of a number that is 0, or has few bits and a magnitude from 2^-14 to 2. */
uint64_t sweep_number_bits(enum loss_dtype dtype, double value);
/* Stores the bits of one element. */
void sweep_put(const struct loss_tensor *tensor, size_t element, uint64_t bits);

/* Returns the terms as doubles, owned by the caller. Sets *nonfinite, unless it is NULL, to the
 * library's count of those that are not finite. */
double *sweep_terms(struct sweep *sweep, size_t *nonfinite);
/* Returns true if element e of tensor k has the position of term t on all axes that they share in
   the plan. */
bool sweep_lies_along(const struct loss_plan *plan, int k, size_t e, size_t t);

/* Checks that the terms after a NaN was stored in element e of operand `name` are NaN if they read
 * it, and unchanged if not. */
void sweep_check_terms(const struct sweep *sweep, const char *name, size_t e, const double *before,
                       const double *after, const bool *reads);
/* Checks the request with every reduction: `nans` terms are counted as not finite, and the loss is
   NaN unless `nans` is 0. */
void sweep_check_reduced(struct sweep *sweep, const char *name, size_t nans);
/* Stores one NaN at a time, in the first, a middle and the last element of each tensor, and checks
 * the terms. */
void sweep_check_tensors(struct sweep *sweep);

#endif
