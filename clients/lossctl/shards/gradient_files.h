/*
 * Derivatives of tensors in shards: a file for each shard, with its base name, format and shape, in
 * the dtype of the computation. A file is written as NAME.EVALUATION-RUN.part, and renamed when all
 * rows are done. EVALUATION is a hash of what is evaluated, RUN is random: two runs never write to
 * the same file, and a run that is resumed continues only its own.
 */
#ifndef LOSSCTL_SHARDS_GRADIENT_FILES_H
#define LOSSCTL_SHARDS_GRADIENT_FILES_H

#include "memory/buffer.h"
#include "shards/shard_batch.h"

enum {
    GRADIENT_OUTPUTS = 2 * LOSS_MAX_TENSORS,
    GRADIENT_SUFFIX = sizeof ".01234567-89abcdef.part" /* bytes, with the NUL */
};

/* The derivatives with respect to one tensor. */
struct gradient_output {
    int tensor;
    bool hess;    /* the diagonal of the Hessian, else the gradient */
    char *folder; /* owned; without a slash at the end */

    /* private */
    const struct shard *open; /* the shard whose file is open; NULL: none */
    int fd;
    size_t header; /* bytes of its header */
    void *block;   /* owned: the derivatives of a step */
    size_t size;
};

struct gradient_files {
    const struct shard_batch *batch; /* borrowed */
    bool durable; /* what is written must survive a crash of the system once it is synced */
    struct partial_rows rows;     /* whose files are written; begin and end where shards do */
    char suffix[GRADIENT_SUFFIX]; /* of unfinished files; "" before the run begins */
    struct gradient_output output[GRADIENT_OUTPUTS];
    int count;

    /* private */
    int synced;    /* how many files have been synced one by one since sync_rest() */
    bool unsynced; /* sync_rest() has files to sync */
};

/* Adds the gradients with respect to tensor k or, if `hess`, the diagonals of the Hessian, to be
   written to `folder`, which is copied. Returns EXIT_USAGE if `folder` is empty. */
enum exit_code gradient_files_add(struct gradient_files *files, int k, bool hess,
                                  const char *folder);
/* Returns the bit set of the tensors that have gradients or, if `hess`, Hessians. */
uint32_t gradient_files_mask(const struct gradient_files *files, bool hess);

/* Appends lines that describe the derivatives, and the upstream gradient; none if there are no
   derivatives. */
void gradient_files_describe(const struct gradient_files *files, struct buffer *out);

/* Checks the names of the files. Returns EXIT_USAGE if two files have the same name, if a folder
   contains shards of the batch, or if its name is that of a file. */
enum exit_code gradient_files_check(const struct gradient_files *files);
/* Sets files->suffix for a new run. `evaluation` is a text that describes what the run evaluates:
   the suffix contains its hash. */
enum exit_code gradient_files_begin_run(struct gradient_files *files,
                                        const struct buffer *evaluation);
/* Makes the folders, and the files in full size. First removes unfinished files that earlier runs
   of the same evaluation have left. */
enum exit_code gradient_files_make(struct gradient_files *files);
/* Checks that the files of the run that is resumed still exist, in full size. If that run had
   evaluated all rows (`complete`), it may have renamed some of them. Returns EXIT_INPUT if one is
   missing. */
enum exit_code gradient_files_resume(struct gradient_files *files, bool complete);

/* Allocates the derivatives of a step, and points its plan at them. */
enum exit_code gradient_files_bind(struct gradient_files *files, struct loss_plan *plan);
/* Writes the derivatives of a step that has been evaluated. */
enum exit_code gradient_files_write(struct gradient_files *files, const struct shard_step *step,
                                    const struct loss_plan *plan);
/* Waits until all that has been written is on disk. */
enum exit_code gradient_files_sync(struct gradient_files *files);
/* Closes the files that are open, after the last step. */
enum exit_code gradient_files_close(struct gradient_files *files);
/* Gives all files their final names, and removes unfinished files that other runs of the same
   evaluation have left. */
enum exit_code gradient_files_finish(struct gradient_files *files);
/* Removes the unfinished files of the run with a suffix. */
void gradient_files_remove_run(const struct gradient_files *files, const char *suffix);
/* Removes the unfinished files of all runs of this evaluation. */
void gradient_files_remove_leftovers(const struct gradient_files *files);
void gradient_files_free(struct gradient_files *files);

#endif
