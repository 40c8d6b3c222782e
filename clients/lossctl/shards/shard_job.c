#include "shards/shard_job.h"
#include "cli/progress.h"
#include "shards/interrupt.h"
#include "shards/row_set.h"
#include "shards/shard_eval.h"

#include <inttypes.h>
#include <stdio.h>

void shard_job_init(struct shard_job *job, const struct loss_request *request)
{
    *job = (struct shard_job){.part = 1, .parts = 1, .ranks = &ranks_single};
    shard_batch_init(&job->batch, request);
    job->gradients.batch = &job->batch;
}

void shard_job_free(struct shard_job *job)
{
    gradient_files_free(&job->gradients);
    checkpoint_free(&job->saved);
    partial_free(&job->result);
    partial_free(&job->own);
    buffer_free(&job->rows);
    buffer_free(&job->left);
    shard_batch_free(&job->batch);
}

/* ---- Planning ---- */

static uint32_t differentiated(const struct shard_job *job)
{
    return gradient_files_mask(&job->gradients, false) | gradient_files_mask(&job->gradients, true);
}

/* Finds the rows of the part. */
static enum exit_code choose_rows(struct shard_job *job)
{
    const uint64_t all = job->batch.rows;
    struct buffer whole = {0};
    row_set_append(&whole, (struct partial_rows){0, all});
    shard_eval_deal(&job->batch, &whole, job->part - 1, job->parts, differentiated(job),
                    &job->rows);
    const bool failed = whole.failed || job->rows.failed;
    buffer_free(&whole);
    const uint64_t none = job->part == job->parts ? all : 0; /* the last has the last files */
    job->gradients.rows = (struct partial_rows){none, none};
    if (!failed && job->rows.len > 0)
        job->gradients.rows = row_set_interval(&job->rows, 0);
    return failed ? fail_memory() : EXIT_OK;
}

static enum exit_code plan(struct shard_job *job)
{
    job->batch.request.grad = gradient_files_mask(&job->gradients, false);
    job->batch.request.hess = gradient_files_mask(&job->gradients, true);
    job->gradients.durable = job->checkpoint;
    enum exit_code code = shard_batch_plan(&job->batch, job->step_rows);
    if (code == EXIT_OK)
        code = choose_rows(job);
    if (code == EXIT_OK)
        code = gradient_files_check(&job->gradients);
    if (code == EXIT_OK)
        code = shard_batch_describe(&job->batch, &job->result);
    job->own = job->result;
    return code;
}

/* ---- Checkpoints ---- */

/* Reads the checkpoint into job->result. Only rank 0 calls this. */
static enum exit_code load(struct shard_job *job)
{
    if (job->restart)
        checkpoint_remove(&job->saved);
    const enum exit_code code = checkpoint_load(&job->saved, &job->result);
    const uint64_t done = row_set_rows(&job->result.rows);
    if (code == EXIT_OK && done > 0 && !progress_is_disabled())
        fprintf(stderr, "lossctl: resuming: %" PRIu64 " of %" PRIu64 " rows are done\n", done,
                row_set_rows(&job->rows));
    return code;
}

/* Finds the rows that are left to evaluate. */
static enum exit_code find_left(struct shard_job *job)
{
    struct buffer *const done = &job->result.rows;
    enum exit_code code = EXIT_OK;
    if (job->checkpoint)
        code = checkpoint_init(&job->saved, job->checkpoint, job->checkpoint_every,
                               job->ranks->rank, &job->gradients, job->part, job->parts);
    if (code == EXIT_OK && job->checkpoint && job->ranks->rank == 0)
        code = load(job);
    if (code != EXIT_OK)
        return code;
    job->ranks->broadcast(done);
    for (size_t i = 0; i < row_set_intervals(&job->rows); i++)
        row_set_subtract(&job->left, row_set_interval(&job->rows, i), done);
    return done->failed || job->left.failed ? fail_memory() : EXIT_OK;
}

/* Makes the files for gradients, or finds those of the run that wrote the checkpoint. */
static enum exit_code prepare_gradients(struct shard_job *job)
{
    enum exit_code code = EXIT_OK;
    job->cancel = interrupt_catch(); /* from now on, there are files to remove */
    if (job->ranks->rank == 0 && job->result.rows.len > 0) {
        code = gradient_files_resume(&job->gradients, job->left.len == 0);
    } else if (job->ranks->rank == 0) {
        job->made = true;
        code = gradient_files_make(&job->gradients);
    }
    if (code == EXIT_OK)
        job->ranks->barrier(); /* the files exist */
    return code;
}

/* ---- Evaluation ---- */

/* Finds what the mean divides by, if gradients need it. */
static enum exit_code find_divisor(struct shard_job *job, struct shard_eval *eval)
{
    struct buffer all = {0}, share = {0};
    struct partial weights = job->own;
    eval->divisor = job->batch.plan.divisor;
    if (job->gradients.count == 0 || !weights.sums.weighed)
        return EXIT_OK;
    row_set_append(&all, (struct partial_rows){0, job->batch.rows});
    shard_eval_deal(&job->batch, &all, (uint64_t)job->ranks->rank, (uint64_t)job->ranks->size, 0,
                    &share);
    struct shard_eval pass = *eval;
    pass.total = &weights;
    pass.rows = row_set_rows(&share);
    enum exit_code code =
        all.failed || share.failed ? fail_memory() : shard_eval_weigh(&pass, &share);
    buffer_free(&all);
    buffer_free(&share);
    if (code == EXIT_OK && !job->ranks->add(&weights.sums))
        code = fail(EXIT_INPUT, "the sums of all weights are out of range");
    eval->divisor = loss_partial_divisor(&weights.sums, job->batch.plan.reduction);
    return code;
}

/* Evaluates this rank's share of the rows that are left. */
static enum exit_code evaluate(struct shard_job *job)
{
    struct buffer share = {0};
    struct shard_eval eval = {.batch = &job->batch,
                              .threads = job->threads,
                              .cancel = job->cancel,
                              .gradients = &job->gradients,
                              .checkpoint = job->checkpoint ? &job->saved : NULL};
    enum exit_code code = find_divisor(job, &eval);
    if (code != EXIT_OK)
        return code;
    shard_eval_deal(&job->batch, &job->left, (uint64_t)job->ranks->rank, (uint64_t)job->ranks->size,
                    0, &share);
    eval.total = &job->own;
    eval.rows = row_set_rows(&job->rows);
    eval.done = eval.rows - row_set_rows(&job->left);
    code = share.failed ? fail_memory() : shard_eval_run(&eval, &share);
    buffer_free(&share);
    return code;
}

/* Writes what this rank has evaluated to the checkpoint. */
static enum exit_code save(struct shard_job *job)
{
    if (!job->checkpoint)
        return EXIT_OK;
    const enum exit_code code = gradient_files_sync(&job->gradients);
    return code == EXIT_OK ? checkpoint_write(&job->saved, &job->own) : code;
}

/* Ends a job that a signal has interrupted. */
static enum exit_code interrupted(struct shard_job *job)
{
    const enum exit_code code = save(job);
    const uint64_t done = row_set_rows(&job->result.rows) + row_set_rows(&job->own.rows);
    if (code != EXIT_OK)
        return code;
    return fail((enum exit_code)(EXIT_SIGNAL + interrupt_signal()),
                "interrupted after %" PRIu64 " of %" PRIu64 " rows%s", done,
                row_set_rows(&job->rows), job->checkpoint ? "; run again to resume" : "");
}

/* Adds the results of all ranks to that of the checkpoint, which rank 0 has. */
static enum exit_code combine(struct shard_job *job)
{
    struct partial *const result = &job->result;
    enum exit_code code = save(job);
    if (code != EXIT_OK)
        return code;
    if (!job->ranks->add(&job->own.sums) || !loss_partial_add(&result->sums, &job->own.sums))
        return fail(EXIT_INPUT, "the sums of all rows are out of range");
    buffer_free(&result->rows);
    buffer_append(&result->rows, job->rows.data, job->rows.len);
    if (result->rows.failed)
        return fail_memory();
    code = gradient_files_close(&job->gradients);
    if (code != EXIT_OK)
        return code;
    job->ranks->barrier(); /* all gradients have been written */
    return job->ranks->rank == 0 ? gradient_files_finish(&job->gradients) : EXIT_OK;
}

enum exit_code shard_job_run(struct shard_job *job)
{
    const double started = evaluation_clock();
    enum exit_code code = plan(job);
    if (code == EXIT_OK)
        code = find_left(job);
    if (code == EXIT_OK)
        code = prepare_gradients(job);
    if (code == EXIT_OK)
        code = evaluate(job);
    if (code == EXIT_OK)
        code = combine(job);
    if (code == EXIT_SIGNAL)
        code = interrupted(job);
    if (code != EXIT_OK && job->made && !job->checkpoint)
        gradient_files_discard(&job->gradients);
    if (code != EXIT_OK)
        job->ranks->abort(code);
    job->ms = evaluation_clock() - started;
    return code;
}

void shard_job_finish(const struct shard_job *job)
{
    if (job->checkpoint)
        checkpoint_remove(&job->saved);
}
