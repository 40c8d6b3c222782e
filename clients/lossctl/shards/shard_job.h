/* One evaluation over shards, from the files of its tensors to its result. */
#ifndef LOSSCTL_SHARDS_SHARD_JOB_H
#define LOSSCTL_SHARDS_SHARD_JOB_H

#include "ranks/ranks.h"
#include "shards/checkpoint.h"

struct shard_job {
    /* Set by the caller. */
    int threads;
    uint64_t part, parts;     /* evaluates part `part` of `parts`, from 1 on */
    uint64_t step_rows;       /* 0: default */
    const char *checkpoint;   /* FILE; NULL: none */
    double checkpoint_every;  /* seconds */
    bool restart;             /* discards the checkpoint */
    struct ranks *ranks;      /* borrowed */
    struct shard_batch batch; /* with its tensors */
    struct gradient_files gradients;

    /* The result, on rank 0: that of all rows of the part, with its rows. */
    struct partial result;
    double ms; /* duration of the evaluation */

    /* private */
    struct checkpoint saved;
    struct buffer rows;    /* the rows of the part */
    struct buffer left;    /* those of them that the checkpoint does not contain */
    struct buffer share;   /* the rows of `left` that this rank evaluates */
    struct buffer weights; /* the rows of the whole batch whose weights this rank adds */
    struct partial own;    /* the result of the rows that this rank has evaluated */
    uint64_t done;         /* how many rows of the part have been evaluated, by all ranks */
    bool made;             /* the files for gradients have been made */
    const bool *cancel;    /* becomes true when a signal ends the job */
};

/* Starts a job of one part without gradients. Call shard_job_free() in any case. */
void shard_job_init(struct shard_job *job, const struct loss_request *request, struct ranks *ranks);
/* Plans, evaluates and writes the gradients, together with the other ranks: all return the same
   code. If a signal arrives, writes the checkpoint and returns EXIT_SIGNAL plus its number. */
enum exit_code shard_job_run(struct shard_job *job);
/* Removes the checkpoint, after the result has been written. */
void shard_job_finish(const struct shard_job *job);
void shard_job_free(struct shard_job *job);

#endif
