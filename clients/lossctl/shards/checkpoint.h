/*
 * Checkpoints: what has been evaluated so far, so that an evaluation that ends early can be
 * resumed.
 *
 * Rank R writes FILE.rankR, the result of the rows that it has evaluated since the start. The next
 * run merges FILE and all FILE.rankR into FILE, and evaluates the other rows, with any number of
 * ranks. Each file is replaced atomically. A file begins with lines that describe the evaluation
 * (part, gradients, shards with their sizes and times) and name the unfinished files of gradients;
 * its last line is the partial result.
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
    double written; /* evaluation_clock() at the last write, or at the start if there was none */
};

/* Initializes the checkpoint of part `k` of `n` of a batch and of the gradients in `files`, for a
   rank. Neither reads nor writes files. Call checkpoint_free() in any case. */
enum exit_code checkpoint_init(struct checkpoint *checkpoint, const char *path, double every,
                               int rank, struct gradient_files *files, uint64_t k, uint64_t n);
void checkpoint_free(struct checkpoint *checkpoint);

/* Replaces `done`, which describes the batch and has no rows, by the result of the rows in the
   checkpoint, if there is one, and sets files->suffix to the suffix of its run. Merges all
   FILE.rankR into FILE and removes them. Only one rank may call this. Returns EXIT_INPUT if the
   checkpoint is of another evaluation, or if shards have changed. */
enum exit_code checkpoint_load(struct checkpoint *checkpoint, struct partial *done);

/* Returns true if `every` seconds have passed since the last write, or since the start. */
bool checkpoint_is_due(const struct checkpoint *checkpoint);
/* Writes the result of the rows that this rank has evaluated to its FILE.rankR. */
enum exit_code checkpoint_write(struct checkpoint *checkpoint, const struct partial *result);
/* Removes the checkpoint, even if it is of another evaluation, and the unfinished files of
   gradients of its run. Returns EXIT_INPUT, and removes nothing, if FILE is not a checkpoint. */
enum exit_code checkpoint_discard(const struct checkpoint *checkpoint);
/* Removes FILE and all FILE.rankR, after the evaluation has ended. Ignores errors. */
void checkpoint_remove(const struct checkpoint *checkpoint);

#endif
