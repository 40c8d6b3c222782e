/* Tries common shapes with the planner to find those that a loss accepts. */
#include "bench/sample.h"

#include <stdlib.h>
#include <string.h>

/* The shapes of a batch. */
enum layout {
    VECTOR,    /* every tensor is a vector */
    ROWS,      /* every tensor has rows */
    CLASSES,   /* rows with a value for each class, and one label per row */
    PAIRS,     /* two tensors with rows, and one label per row */
    SEQUENCES, /* sequences of rows, their labels, and the lengths of both */
    LAYOUTS
};

/* xorshift64* (G. Marsaglia, S. Vigna); uniform in (0, 1). */
static double uniform(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return ((double)(*state * UINT64_C(2685821657736338717) >> 12) + 0.5) * 0x1p-52;
}

static size_t at_least_one(size_t n)
{
    return n > 0 ? n : 1;
}

static struct loss_tensor layout_shape(enum layout layout, int k, size_t n, size_t columns)
{
    const size_t rows = at_least_one(n / columns), batch = at_least_one(n / columns / columns);
    const struct loss_tensor vector = {.rank = 1, .shape = {n}},
                             table = {.rank = 2, .shape = {rows, columns}},
                             labels = {.rank = 1, .shape = {rows}},
                             lengths = {.rank = 1, .shape = {batch}},
                             sequences = {.rank = 3, .shape = {columns, batch, columns}},
                             labelings = {.rank = 2, .shape = {batch, columns}};
    switch (layout) {
    case VECTOR:
        return vector;
    case CLASSES:
        return k == 0 ? table : labels;
    case PAIRS:
        return k < 2 ? table : labels;
    case SEQUENCES:
        if (k == 0)
            return sequences;
        return k == 1 ? labelings : lengths;
    default:
        return table;
    }
}

/* Returns true if the loss accepts these shapes. A vector must give one term per element. */
static bool fits(const struct loss_descriptor *loss, enum layout layout, size_t n, size_t columns,
                 struct loss_plan *plan)
{
    struct loss_tensor tensor[LOSS_MAX_TENSORS];
    struct loss_request request;
    struct loss_error error;
    bool indexed = false;
    loss_request_init(&request, loss);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        tensor[k] = layout_shape(layout, k, n, columns);
        request.tensor[k] = loss->tensors[k].optional ? NULL : &tensor[k];
    }
    if (loss_plan(plan, &request, &error) != LOSS_OK)
        return false;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        indexed |= plan->indexed[k];
    if (layout == VECTOR)
        return plan->terms.rank == 1 && plan->terms.shape[0] == n;
    return layout != CLASSES || indexed;
}

/* Returns a class in [0, columns) for a random value. Tensors 2 and 3 of sequences are the lengths
   of inputs and labels, chosen so that the labels fit into the steps. */
static int64_t index_value(double value, enum layout layout, int k, size_t columns)
{
    if (layout == SEQUENCES && k == 2)
        return (int64_t)columns;
    return (int64_t)(value * (double)(layout == SEQUENCES && k == 3 ? columns / 2 : columns));
}

/* Returns a value from 0.25 to 0.75, which is a valid probability, or for some targets 1, which is
   also a valid label. */
static float real_value(double value, bool target)
{
    return target && value > 0.6 ? 1 : 0.25F + 0.5F * (float)value;
}

static void *make_numbers(struct loss_tensor *tensor, bool indexed, enum layout layout, int k,
                          size_t columns, uint64_t *state)
{
    const size_t n = loss_tensor_elements(tensor);
    tensor->dtype = indexed ? LOSS_INT64 : LOSS_FLOAT32;
    tensor->data = malloc(loss_tensor_bytes(tensor) + 1);
    for (size_t i = 0; tensor->data && i < n; i++)
        if (indexed)
            ((int64_t *)tensor->data)[i] = index_value(uniform(state), layout, k, columns);
        else
            ((float *)tensor->data)[i] = real_value(uniform(state), k == 1);
    return tensor->data;
}

enum exit_code sample_fill(struct sample *sample, struct task *task, size_t n, size_t columns)
{
    static const enum layout order[] = {CLASSES, VECTOR, ROWS, PAIRS, SEQUENCES};
    const struct loss_descriptor *const loss = task->loss;
    struct loss_plan plan;
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    size_t i = 0,
           probe = 2 * columns * columns; /* small, so that no loss rejects it for its size */
    *sample = (struct sample){.data = {NULL}};
    columns = columns < n ? columns : n;
    probe = n < probe ? n : probe;
    while (i < LAYOUTS && !fits(loss, order[i], probe, columns, &plan))
        i++;
    if (i == LAYOUTS)
        return fail(EXIT_USAGE, "%s does not accept a batch of %zu elements in rows of %zu",
                    loss->name, n, columns);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        struct loss_tensor tensor = layout_shape(order[i], k, n, columns);
        if (loss->tensors[k].optional)
            continue;
        sample->data[k] = make_numbers(&tensor, plan.indexed[k], order[i], k, columns, &state);
        if (!sample->data[k])
            return fail_memory();
        task_set_tensor(task, k, &tensor);
    }
    return EXIT_OK;
}

void sample_free(struct sample *sample)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        free(sample->data[k]);
    *sample = (struct sample){.data = {NULL}};
}
