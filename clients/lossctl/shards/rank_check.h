/* Checks that all ranks evaluate the same batch. */
#ifndef LOSSCTL_SHARDS_RANK_CHECK_H
#define LOSSCTL_SHARDS_RANK_CHECK_H

#include "shards/shard_job.h"

/* Compares the job, which has been planned, with that of rank 0: options, and paths, sizes and rows
   of shards. Returns EXIT_INPUT if they differ, for example because the machines have different
   files. All ranks must call this. */
enum exit_code rank_check(struct shard_job *job);

#endif
