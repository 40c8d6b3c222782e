/* Batches that fit a loss, made from its descriptor: the same numbers every time. */
#ifndef LOSSCTL_BENCH_SAMPLE_H
#define LOSSCTL_BENCH_SAMPLE_H

#include "cli/lossctl.h"
#include "evaluate/task.h"

struct sample {
    void *data[LOSS_MAX_TENSORS]; /* owned */
};

/* Gives a task that has begun the tensors that its loss cannot do without, the predictions being of
   about n elements; rows of classes have so many columns. */
enum exit_code sample_give(struct sample *sample, struct task *task, size_t n, size_t columns);
void sample_free(struct sample *sample);

#endif
