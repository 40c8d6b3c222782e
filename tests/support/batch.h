/* Batches that fit a loss, made from its descriptor: for tests that run over the whole table. */
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

/* A batch of about n elements, with every tensor of the loss present, values in (0, 1) and class
   indices in range, the same for the same seed. Shapes are found by asking the planner which of the
   usual ones the loss takes. Aborts the test if none fits.
 */
void batch_make(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                enum loss_dtype dtype, unsigned seed);
/* The same with rows, or classes, of so many columns in place of the usual 7. */
void batch_make_columns(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                        size_t columns, enum loss_dtype dtype, unsigned seed);
/* The same with n terms of one element each, where the loss takes such: no dimension but one. False
 * where it does not. */
bool batch_make_vector(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                       enum loss_dtype dtype, unsigned seed);
/* The same shapes, with a single element each, which all places share by strides of 0: as large as
 * wanted, in no memory. */
void batch_make_vast(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                     size_t columns, enum loss_dtype dtype);
/* The other values that its parameters can take: how many (parameter, value) pairs there are to
   try, and sets one in place of the default, and returns its parameter's name; NULL where the loss
   does not take that one. */
size_t batch_options(const struct loss_descriptor *loss);
const char *batch_set_option(struct batch *batch, size_t option);
/* Asks for the gradient of everything that has one. */
void batch_all_gradients(struct batch *batch);
/* Plans, allocates the outputs, runs. */
enum loss_status batch_run(struct batch *batch, int threads);
/* Frees the outputs of a run, so that another can be made; frees everything. */
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch);

#endif
