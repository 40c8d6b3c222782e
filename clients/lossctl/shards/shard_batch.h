/*
 * A batch whose tensors are in shards, and steps of it: runs of rows that are evaluated at once.
 * The plan of the whole batch decides which tensors have rows and which all rows share.
 */
#ifndef LOSSCTL_SHARDS_SHARD_BATCH_H
#define LOSSCTL_SHARDS_SHARD_BATCH_H

#include "evaluation/partial.h"
#include "shards/shard_list.h"

struct shard_batch {
    struct loss_request request; /* without tensors */
    uint32_t given;              /* bit set of the tensors (evaluation.h) that have a list */
    struct shard_list list[EVALUATION_TENSORS];
    struct loss_plan plan; /* of the whole batch */
    uint64_t rows;         /* of the whole batch */

    /* private */
    uint32_t split;     /* bit set of the tensors that have rows; all rows share the others */
    uint32_t uncut;     /* bit set of the tensors whose shards cannot be cut between rows */
    uint64_t step_rows; /* maximum number of rows of a step; UINT64_MAX: a step is a whole shard */
    struct loss_tensor shared[EVALUATION_TENSORS];
    struct shard_window window[EVALUATION_TENSORS]; /* of the shared ones */
};

/* Rows of a batch, with their tensors mapped. */
struct shard_step {
    struct partial_rows rows;
    struct loss_tensor tensor[EVALUATION_TENSORS];
    struct shard_window window[EVALUATION_TENSORS]; /* private */
};

/* Starts a batch of a request without tensors. Call shard_batch_free() in any case. */
void shard_batch_init(struct shard_batch *batch, const struct loss_request *request);
/* Opens the shards of tensor k; see shard_list_open(). */
enum exit_code shard_batch_add(struct shard_batch *batch, int k, const char *text);
/* Plans the whole batch, after all tensors have been added, and maps the tensors that all rows
   share. `step_rows` is the maximum number of rows of a step; 0 chooses it. Returns EXIT_USAGE if
   the batch cannot be split, or EXIT_INPUT if the tensors do not fit together. */
enum exit_code shard_batch_plan(struct shard_batch *batch, uint64_t step_rows);
/* Initializes `partial` with a description of the batch and no rows: see partial_begin(). */
void shard_batch_describe(const struct shard_batch *batch, struct partial *partial);
/* Appends lines that describe all shards: see shard_list_describe(). */
void shard_batch_describe_files(const struct shard_batch *batch, enum shard_detail detail,
                                struct buffer *out);
/* Unmaps the tensors that all rows share, after the last step. Returns EXIT_INPUT if a file of them
   has changed since it was opened. */
enum exit_code shard_batch_close_shared(struct shard_batch *batch);
void shard_batch_free(struct shard_batch *batch);

/* Returns the last row, at most `row`, at which the batch can be cut: a shard begins there in each
   tensor of the bit set `whole`, and in each tensor whose shards cannot be cut. */
uint64_t shard_batch_cut(const struct shard_batch *batch, uint64_t row, uint32_t whole);

/* Returns the end of the step that begins at rows.first: at most rows.end, within one shard of each
   tensor. */
uint64_t shard_batch_step_end(const struct shard_batch *batch, struct partial_rows rows);
/* Maps the tensors of the rows of one step. With `ahead`, the kernel starts to read all of them.
   Call shard_step_close() if this succeeds. */
enum exit_code shard_step_open(struct shard_step *step, const struct shard_batch *batch,
                               struct partial_rows rows, bool ahead);
/* Unmaps. Returns the path of a file that has changed since it was opened, or NULL. */
const char *shard_step_close(struct shard_step *step);
/* Points a copy of the batch's request at the tensors of a step. */
struct loss_request shard_step_request(const struct shard_step *step,
                                       const struct shard_batch *batch);
/* Reports an error of the evaluation of a step: names the file and its row. */
enum exit_code shard_step_fail(const struct shard_step *step, const struct shard_batch *batch,
                               const struct loss_error *error);

#endif
