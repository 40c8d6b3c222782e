/*
 * Evaluates rows of a batch in shards, step by step, and adds their exact results. While a step is
 * evaluated, the kernel reads the files of the next one.
 */
#ifndef LOSSCTL_SHARDS_SHARD_EVAL_H
#define LOSSCTL_SHARDS_SHARD_EVAL_H

#include "ranks/ranks.h"
#include "shards/checkpoint.h"

struct shard_eval {
    const struct shard_batch *batch;
    struct ranks *ranks; /* borrowed; each rank evaluates its own rows */
    int threads;
    const bool *cancel;               /* the evaluation ends early once this is true */
    struct partial *total;            /* the result so far, with its rows */
    struct gradient_files *gradients; /* may be empty */
    struct checkpoint *checkpoint;    /* NULL: none */
    double divisor;      /* what the mean divides by; used only if there are gradients */
    uint64_t done, rows; /* of all ranks together: rows that are done, and all rows */
};

/* Appends to `share` the rows of `all`, a set (row_set.h), that process `index` of `count`
   evaluates: about the same number for each. A share begins where a shard of each tensor in the bit
   set `whole` begins. */
void shard_eval_deal(const struct shard_batch *batch, const struct buffer *all, uint64_t index,
                     uint64_t count, uint32_t whole, struct buffer *share);

/* Evaluates `rows`, a set that begins after the rows of eval->total. Adds their result, and writes
   gradients and checkpoints, the last one at the end. Waits for all ranks, and adds the rows that
   they have evaluated to eval->done. If one of them fails, returns its exit code. Returns
   EXIT_SIGNAL if eval->cancel became true on a rank; eval->total then contains the rows that were
   evaluated before. */
enum exit_code shard_eval_run(struct shard_eval *eval, const struct buffer *rows);
/* Adds only the weights that a mean divides by to eval->total, without its rows. Does not evaluate
   the loss. Waits for all ranks, and returns the same codes as shard_eval_run(). */
enum exit_code shard_eval_weigh(struct shard_eval *eval, const struct buffer *rows);

#endif
