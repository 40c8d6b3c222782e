/* Deterministic batches that fit a loss, made from its descriptor. */
#ifndef LOSSCTL_BENCH_SAMPLE_H
#define LOSSCTL_BENCH_SAMPLE_H

#include "cli/fail.h"
#include "evaluate/task.h"

struct sample {
    void *data[LOSS_MAX_TENSORS]; /* owned */
};

/* Sets the required tensors of a task, whose data `sample` owns: call sample_free() after
   task_free(), in any case. The predictions have about `n` elements, in rows of `columns` if they
   are not a vector. Returns EXIT_USAGE if the loss accepts no such batch. */
enum exit_code sample_fill(struct sample *sample, struct task *task, size_t n, size_t columns);
void sample_free(struct sample *sample);

#endif
