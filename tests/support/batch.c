#include "support/batch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64*: the same numbers on every machine */
static double uniform(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return ((double)(*state * UINT64_C(2685821657736338717) >> 12) + 0.5) * 0x1p-52;
}

enum { COLUMNS = 7 }; /* the default */

/* Common shapes. 0: all tensors have the same rows. 1: rows of classes, labels and class weights.
 * 2: pairs of rows, and labels. 3: sequences of rows, labels and lengths. 4: samples of two
 * channels (one channel if there is one row), and a channel weight. */
enum { USUAL_SHAPES = 5 };

static struct loss_tensor usual_shape(int usual, int k, size_t n, size_t columns)
{
    const struct loss_tensor rows = {.rank = 2, .shape = {n / columns, columns}},
                             labels = {.rank = 1, .shape = {n / columns}},
                             classes = {.rank = 1, .shape = {columns}};
    const size_t channel_count = n / columns > 1 ? 2 : 1;
    const struct loss_tensor samples = {.rank = 3,
                                        .shape = {n / columns / channel_count, channel_count,
                                                  columns}},
                             channels = {.rank = 1, .shape = {channel_count}};
    const size_t batch = n / columns / columns;
    const struct loss_tensor sequences = {.rank = 3, .shape = {columns, batch, columns}},
                             spelt = {.rank = 2, .shape = {batch, columns}},
                             lengths = {.rank = 1, .shape = {batch}};
    switch (usual) {
    case 0:
        return rows;
    case 1:
        return k == 0 ? rows : k == 1 ? labels : classes;
    case 2:
        return k < 2 ? rows : labels;
    case 3:
        return k == 0 ? sequences : k == 1 ? spelt : lengths;
    default:
        return k < 2 ? samples : channels;
    }
}

/* Returns an index or length that is valid in each of these shapes. Target lengths are less than
   half of the input lengths, so that repeated labels fit, too. */
static int64_t usual_index(const char *name, double value, size_t columns)
{
    if (strcmp(name, "input_lengths") == 0)
        return (int64_t)columns;
    return (int64_t)(value * (double)(strcmp(name, "target_lengths") == 0 ? columns / 2 : columns));
}

/* Some target values are 1, which losses with labels take as a label. */
static void fill(struct loss_tensor *tensor, const char *name, bool indexed, size_t columns,
                 enum loss_dtype dtype, uint64_t *state)
{
    tensor->dtype = indexed ? LOSS_INT64 : dtype;
    tensor->data = malloc(loss_tensor_bytes(tensor) + 1);
    ck_assert_ptr_nonnull(tensor->data);
    for (size_t i = 0; i < loss_tensor_elements(tensor); i++) {
        double value = uniform(state);
        if (!indexed && strcmp(name, "target") == 0 && value > 0.6)
            value = 1;
        if (indexed)
            ((int64_t *)tensor->data)[i] = usual_index(name, value, columns);
        else if (dtype == LOSS_FLOAT64)
            ((double *)tensor->data)[i] = value;
        else
            ((float *)tensor->data)[i] = value == 1 ? 1 : 0.25f + 0.5f * (float)value;
    }
}

/* If the loss accepts the shapes of the tensors, fills them and returns true. */
static bool take_shapes(struct batch *batch, const struct loss_descriptor *loss, size_t columns,
                        enum loss_dtype dtype, unsigned seed)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15) * (seed + 1);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        batch->request.tensor[k] = &batch->tensor[k];
    if (loss_plan(&batch->plan, &batch->request, &batch->error) != LOSS_OK)
        return false;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        fill(&batch->tensor[k], loss->tensors[k].name, batch->plan.indexed[k], columns, dtype,
             &state);
    return true;
}

void batch_make(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                enum loss_dtype dtype, unsigned seed)
{
    batch_make_columns(batch, loss, n, COLUMNS, dtype, seed);
}

void batch_make_columns(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                        size_t columns, enum loss_dtype dtype, unsigned seed)
{
    *batch = (struct batch){0};
    loss_request_init(&batch->request, loss);
    for (int usual = 0; usual < USUAL_SHAPES; usual++) {
        for (int k = 0; k < loss_tensor_specs(loss); k++)
            batch->tensor[k] = usual_shape(usual, k, n, columns);
        if (take_shapes(batch, loss, columns, dtype, seed))
            return;
    }
    ck_abort_msg("no usual shape fits %s: %s", loss->name, batch->error.message);
}

/* Sets the only element of a tensor: a valid class, the full length, or a number within every
 * range. */
static void fill_one(struct loss_tensor *tensor, const char *name, bool indexed, size_t columns,
                     enum loss_dtype dtype)
{
    tensor->dtype = indexed ? LOSS_INT64 : dtype;
    tensor->strided = true;
    memset(tensor->stride, 0, sizeof tensor->stride);
    tensor->data = malloc(sizeof(double));
    ck_assert_ptr_nonnull(tensor->data);
    if (indexed)
        *(int64_t *)tensor->data = strstr(name, "lengths") ? usual_index(name, 0.99, columns) : 0;
    else if (dtype == LOSS_FLOAT64)
        *(double *)tensor->data = 0.5;
    else
        *(float *)tensor->data = 0.5F;
}

void batch_make_vast(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                     size_t columns, enum loss_dtype dtype)
{
    *batch = (struct batch){0};
    loss_request_init(&batch->request, loss);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        batch->request.tensor[k] = &batch->tensor[k];
    for (int usual = 0; usual < USUAL_SHAPES; usual++) {
        for (int k = 0; k < loss_tensor_specs(loss); k++)
            batch->tensor[k] = usual_shape(usual, k, n, columns);
        if (loss_plan(&batch->plan, &batch->request, &batch->error) != LOSS_OK)
            continue;
        for (int k = 0; k < loss_tensor_specs(loss); k++)
            fill_one(&batch->tensor[k], loss->tensors[k].name, batch->plan.indexed[k], columns,
                     dtype);
        return;
    }
    ck_abort_msg("no usual shape fits %s: %s", loss->name, batch->error.message);
}

bool batch_make_vector(struct batch *batch, const struct loss_descriptor *loss, size_t n,
                       enum loss_dtype dtype, unsigned seed)
{
    *batch = (struct batch){0};
    loss_request_init(&batch->request, loss);
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        batch->tensor[k] = (struct loss_tensor){.rank = 1, .shape = {n}};
    if (!take_shapes(batch, loss, COLUMNS, dtype, seed))
        return false;
    if (batch->plan.terms.rank == 1 && batch->plan.terms.shape[0] == n)
        return true;
    batch_free(batch);
    return false;
}

/* Numbers within most ranges. Booleans and choices use the first two or more. */
static const double values[] = {0, 1, 2, 0.3, 0.7, 1.7, 2.5, -0.5};
enum { VALUES = sizeof values / sizeof values[0] };

size_t batch_options(const struct loss_descriptor *loss)
{
    return (size_t)loss_param_specs(loss) * VALUES;
}

const char *batch_set_option(struct batch *batch, size_t option)
{
    const struct loss_param_spec *spec = &batch->request.loss->params[option / VALUES];
    const double value = values[option % VALUES];
    int choices = 2;
    while (spec->type == LOSS_CHOICE && spec->choices[choices])
        choices++;
    const bool whole = value == (double)(int64_t)value;
    if ((spec->type != LOSS_NUMBER && !whole) ||
        ((spec->type == LOSS_BOOLEAN || spec->type == LOSS_CHOICE) &&
         !(value >= 0 && value < choices)))
        return NULL;
    batch->request.param[option / VALUES] = (struct loss_value){value, (int64_t)value};
    struct loss_plan plan;
    return loss_plan(&plan, &batch->request, &batch->error) == LOSS_OK ? spec->name : NULL;
}

void batch_all_gradients(struct batch *batch)
{
    const struct loss_descriptor *loss = batch->request.loss;
    batch->request.grad = 0;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].differentiable && !batch->plan.indexed[k])
            batch->request.grad |= UINT32_C(1) << k;
}

enum loss_status batch_run(struct batch *batch, int threads)
{
    const enum loss_status status = loss_plan(&batch->plan, &batch->request, &batch->error);
    if (status != LOSS_OK)
        return status;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (batch->plan.grad_mask >> k & 1)
            batch->plan.grad[k].data = malloc(loss_tensor_bytes(&batch->plan.grad[k]) + 1);
        if (batch->plan.hess_mask >> k & 1)
            batch->plan.hess[k].data = malloc(loss_tensor_bytes(&batch->plan.hess[k]) + 1);
    }
    if (batch->plan.reduction == LOSS_NONE)
        batch->plan.output.data = malloc(loss_tensor_bytes(&batch->plan.output) + 1);
    return loss_run(&batch->plan, threads, &batch->result, &batch->error);
}

void batch_clear(struct batch *batch)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        free(batch->plan.grad[k].data);
        free(batch->plan.hess[k].data);
        batch->plan.grad[k].data = batch->plan.hess[k].data = NULL;
    }
    free(batch->plan.output.data);
    batch->plan.output.data = NULL;
}

void batch_free(struct batch *batch)
{
    batch_clear(batch);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        free(batch->tensor[k].data);
    *batch = (struct batch){0};
}

struct loss_tensor batch_vector(void *data, enum loss_dtype dtype, size_t n)
{
    return (struct loss_tensor){.data = data, .dtype = dtype, .rank = 1, .shape = {n}};
}

struct loss_tensor batch_matrix(void *data, enum loss_dtype dtype, size_t rows, size_t columns)
{
    return (struct loss_tensor){.data = data, .dtype = dtype, .rank = 2, .shape = {rows, columns}};
}

struct batch batch_of(const char *loss, const struct loss_tensor *first,
                      const struct loss_tensor *second)
{
    struct batch batch = {0};
    ck_assert_ptr_nonnull(loss_find(loss));
    loss_request_init(&batch.request, loss_find(loss));
    batch.request.tensor[0] = first;
    batch.request.tensor[1] = second;
    return batch;
}

void batch_refused(struct batch *batch, const char *path, const char *message)
{
    ck_assert_int_eq(batch_run(batch, 1), LOSS_INVALID);
    ck_assert_str_eq(batch->error.path, path);
    ck_assert_str_eq(batch->error.message, message);
    batch_clear(batch);
}

const double *batch_grad(const struct batch *batch, int k)
{
    return batch->plan.grad[k].data;
}

double batch_sum_of_terms(const struct batch *batch)
{
    const double *const terms = batch->plan.output.data;
    double sum = 0;
    for (size_t i = 0; i < loss_tensor_elements(&batch->plan.output); i++)
        sum += terms[i];
    return sum;
}
