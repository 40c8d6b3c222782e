/* Batches that fit a loss, made from its descriptor, for tests of all losses. */
#ifndef TESTS_BATCH_H
#define TESTS_BATCH_H

#include "loss.h"

/* Operands and outputs of one evaluation; owns all of its data. */
struct batch {
    struct loss_tensor tensor[LOSS_MAX_TENSORS];
    struct loss_request request;
    struct loss_plan plan;
    struct loss_result result;
    struct loss_error error;
};

/* Makes a batch of about `n` elements with every tensor of the loss, values in (0, 1] and class
   indices in range, determined by `seed`. Tries common shapes with the planner. Aborts the test if
   the loss accepts none. */
void batch_make(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                enum loss_dtype dtype, unsigned seed);
/* Like batch_make(), with rows of `columns` columns or classes, instead of 7. */
void batch_make_columns(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                        size_t columns, enum loss_dtype dtype, unsigned seed);
/* Like batch_make(), with `n` terms of one element each, in one dimension. Returns false if the
   loss does not accept that. */
bool batch_make_vector(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                       enum loss_dtype dtype, unsigned seed);
/* Like batch_make_columns(), with tensors of one element, repeated with strides of 0: any size,
   without memory. */
void batch_make_vast(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                     size_t columns, enum loss_dtype dtype);
/* Values for the parameters. batch_options returns the number of (parameter, value) pairs.
   batch_set_option sets one and returns the name of the parameter, or NULL if the parameter does
   not accept the value. */
size_t batch_options(const struct loss_descriptor *loss);
const char *batch_set_option(struct batch *batch, size_t option);
/* Requests the gradients of all differentiable tensors. */
void batch_all_gradients(struct batch *batch);
/* Plans, allocates the outputs, and runs. */
enum loss_status batch_run(struct batch *batch, int threads);
/* batch_clear frees the outputs of a run, so that another can follow; batch_free frees everything.
 */
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch);

/* Contiguous tensors of borrowed data. */
struct loss_tensor batch_vector(void *data, enum loss_dtype dtype, size_t n);
struct loss_tensor batch_matrix(void *data, enum loss_dtype dtype, size_t rows, size_t columns);
/* Returns a batch for a loss with two tensors, which it borrows. Call batch_clear after a run. */
struct batch batch_of(const char *loss, const struct loss_tensor *first,
                      const struct loss_tensor *second);
/* Runs the batch. The library must refuse it with this path and message. */
void batch_refused(struct batch *batch, const char *path, const char *message);
/* Returns the sum of the terms that a run without reduction returned in float64. */
double batch_sum_of_terms(const struct batch *batch);
/* Returns the gradient of tensor k, which must be float64. */
const double *batch_grad(const struct batch *batch, int k);

#endif
