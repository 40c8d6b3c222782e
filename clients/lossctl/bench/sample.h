/* Deterministic batches that fit a loss, made from its descriptor. */
#ifndef LOSSCTL_BENCH_SAMPLE_H
#define LOSSCTL_BENCH_SAMPLE_H

#include "cli/fail.h"
#include "evaluate/task.h"

struct sample {
    void *data[LOSS_MAX_TENSORS]; /* owned */
};

/* Sets the required tensors of a task. The predictions have about `n` elements; rows of classes
   have `columns` columns. */
enum exit_code sample_fill(struct sample *sample, struct task *task, size_t n, size_t columns);
void sample_free(struct sample *sample);

#endif
