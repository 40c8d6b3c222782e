/*
 * Checkpoints: what has been evaluated so far, so that an evaluation that ends early can be
 * resumed.
 *
 * Rank R writes FILE.rankR, the result of the rows that it has evaluated since the start. The next
 * run merges FILE and all FILE.rankR into FILE, and evaluates the other rows, with any number of
 * ranks. Each file is replaced atomically. It begins with lines that describe the evaluation (part,
 * gradients, shards with their sizes and times), and name the unfinished files of gradients; the
 * last line is the partial result.
 */
#ifndef LOSSCTL_SHARDS_CHECKPOINT_H
#define LOSSCTL_SHARDS_CHECKPOINT_H

#include "evaluation/partial.h"
#include "shards/gradient_files.h"

struct checkpoint {
    const char *path; /* borrowed: FILE */
    double every;     /* seconds between two checkpoints */

    /* private */
    struct gradient_files *files; /* borrowed */
    struct buffer own;            /* owned: the name of FILE.rankR, with a NUL */
    struct buffer head;           /* owned: the lines before the partial result */
    double written;               /* when this rank has last written: evaluation_clock() */
};

/* Starts the checkpoint of part `k` of `n` of a batch, and of the gradients in `files`, for a rank.
   Call checkpoint_free() in any case. */
enum exit_code checkpoint_init(struct checkpoint *checkpoint, const char *path, double every,
                               int rank, struct gradient_files *files, uint64_t k, uint64_t n);
void checkpoint_free(struct checkpoint *checkpoint);

/* Replaces `done`, which describes the batch and has no rows, by the result of the rows in the
   checkpoint, if there is one; files->suffix becomes that of its run. Only one rank calls this.
   Returns EXIT_INPUT if the checkpoint is of
   another evaluation, or if shards have changed. */
enum exit_code checkpoint_load(struct checkpoint *checkpoint, struct partial *done);

/* Returns true if it is time to write. */
bool checkpoint_is_due(const struct checkpoint *checkpoint);
/* Writes the result of the rows that this rank has evaluated. */
enum exit_code checkpoint_write(struct checkpoint *checkpoint, const struct partial *result);
/* Removes the checkpoint, of any evaluation, and the unfinished files of its run. Returns
   EXIT_INPUT, and removes nothing, if FILE is not a checkpoint. */
enum exit_code checkpoint_discard(const struct checkpoint *checkpoint);
/* Removes the checkpoint of this evaluation, after it has ended. */
void checkpoint_remove(const struct checkpoint *checkpoint);

#endif
