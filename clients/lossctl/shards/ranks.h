/*
 * The processes that evaluate one batch together: ranks 0 to size - 1. Each evaluates a part of the
 * rows; rank 0 prints. Without a launcher such as mpirun there is one.
 */
#ifndef LOSSCTL_SHARDS_RANKS_H
#define LOSSCTL_SHARDS_RANKS_H

#include "cli/fail.h"
#include "evaluation/partial.h"

struct ranks {
    int rank, size;
    /* Replaces the sums of each rank by those of all ranks. Returns false if they are out of range:
       see loss_partial_add(). */
    bool (*add)(struct loss_partial *sums);
    /* Replaces the bytes of each rank by those of rank 0; their sizes may differ. Sets
       bytes->failed if memory runs out. */
    void (*broadcast)(struct buffer *bytes);
    /* Waits until all ranks have called this. */
    void (*barrier)(void);
    /* Ends the other ranks, because this one has failed. */
    void (*abort)(enum exit_code code);
};

/* One process. */
extern const struct ranks ranks_single;

#endif
