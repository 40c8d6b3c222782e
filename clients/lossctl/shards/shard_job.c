#include "shards/shard_job.h"
#include "cli/progress.h"
#include "shards/interrupt.h"
#include "shards/rank_check.h"
#include "shards/shard_eval.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void shard_job_init(struct shard_job *job, const struct loss_request *request, struct ranks *ranks)
{
    *job = (struct shard_job){.part = 1, .parts = 1, .ranks = ranks};
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
    buffer_free(&job->share);
    buffer_free(&job->weights);
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
        shard_batch_describe(&job->batch, &job->result);
    job->own = job->result;
    return code;
}

/* ---- Checkpoints ---- */

/* Discards the checkpoint with --restart; otherwise reads it into job->result. Only rank 0 calls
   this. */
static enum exit_code load(struct shard_job *job)
{
    enum exit_code code = job->restart ? checkpoint_discard(&job->saved) : EXIT_OK;
    if (code == EXIT_OK)
        code = checkpoint_load(&job->saved, &job->result);
    const uint64_t done = row_set_rows(&job->result.rows);
    if (code == EXIT_OK && done == 0) {
        job->gradients.suffix[0] = '\0'; /* the previous run may not have made all its files */
        return checkpoint_discard(&job->saved);
    }
    if (code == EXIT_OK && !progress_is_disabled())
        fprintf(stderr, "lossctl: resuming: %" PRIu64 " of %" PRIu64 " rows are done\n", done,
                row_set_rows(&job->rows));
    return code;
}

/* Chooses the names of unfinished files, unless the checkpoint contains them. */
static enum exit_code begin_run(struct shard_job *job)
{
    struct buffer text = {0};
    if (job->gradients.count == 0 || *job->gradients.suffix)
        return EXIT_OK;
    partial_append(&job->own, &text);
    buffer_printf(&text, "\npart %" PRIu64 " of %" PRIu64 "\n", job->part, job->parts);
    gradient_files_describe(&job->gradients, &text);
    shard_batch_describe_files(&job->batch, SHARD_WITH_ROWS, &text);
    const enum exit_code code = gradient_files_begin_run(&job->gradients, &text);
    buffer_free(&text);
    return code;
}

/* Initializes the checkpoint. Rank 0 also reads it, and chooses the names of unfinished files. */
static enum exit_code resume(struct shard_job *job)
{
    enum exit_code code = EXIT_OK;
    if (job->checkpoint)
        code = checkpoint_init(&job->saved, job->checkpoint, job->checkpoint_every,
                               job->ranks->rank, &job->gradients, job->part, job->parts);
    if (code == EXIT_OK && job->checkpoint && job->ranks->rank == 0)
        code = load(job);
    return code == EXIT_OK && job->ranks->rank == 0 ? begin_run(job) : code;
}

/* Tells all ranks the names of unfinished files. */
static enum exit_code share_suffix(struct shard_job *job)
{
    struct buffer suffix = {0};
    if (job->gradients.count == 0)
        return EXIT_OK;
    buffer_append(&suffix, job->gradients.suffix, sizeof job->gradients.suffix);
    ranks_broadcast(job->ranks, &suffix);
    if (!suffix.failed)
        memcpy(job->gradients.suffix, suffix.data, sizeof job->gradients.suffix);
    const enum exit_code code = suffix.failed ? fail_memory() : EXIT_OK;
    buffer_free(&suffix);
    return code;
}

/* Finds this rank's share of the rows of the part that are left to evaluate, and of the rows of the
   whole batch, whose weights it adds. */
static enum exit_code deal(struct shard_job *job)
{
    struct buffer *const done = &job->result.rows;
    struct buffer all = {0};
    const uint64_t rank = (uint64_t)job->ranks->rank, size = (uint64_t)job->ranks->size;
    ranks_broadcast(job->ranks, done);
    for (size_t i = 0; i < row_set_intervals(&job->rows); i++)
        row_set_subtract(&job->left, row_set_interval(&job->rows, i), done);
    shard_eval_deal(&job->batch, &job->left, rank, size, 0, &job->share);
    row_set_append(&all, (struct partial_rows){0, job->batch.rows});
    shard_eval_deal(&job->batch, &all, rank, size, 0, &job->weights);
    const bool failed = all.failed || job->left.failed || job->share.failed || job->weights.failed;
    buffer_free(&all);
    job->done = row_set_rows(done);
    return failed ? fail_memory() : EXIT_OK;
}

/* Makes the files for gradients, or checks those of the run that wrote the checkpoint. */
static enum exit_code prepare_gradients(struct shard_job *job)
{
    job->cancel = interrupt_catch(); /* from now on, there are files to remove */
    if (job->ranks->rank > 0)
        return EXIT_OK;
    if (job->result.rows.len > 0)
        return gradient_files_resume(&job->gradients, job->left.len == 0);
    job->made = true;
    return gradient_files_make(&job->gradients);
}

/* ---- Evaluation ---- */

/* Finds what the mean divides by, if gradients need it. */
static enum exit_code find_divisor(struct shard_job *job, struct shard_eval *eval)
{
    struct partial weights = job->own;
    eval->divisor = job->batch.plan.divisor;
    if (job->gradients.count == 0 || !weights.sums.weighed)
        return EXIT_OK;
    struct shard_eval pass = *eval;
    pass.total = &weights;
    pass.done = 0;
    pass.rows = job->batch.rows;
    enum exit_code code = shard_eval_weigh(&pass, &job->weights);
    if (code == EXIT_OK && !ranks_add(job->ranks, &weights.sums))
        code = fail(EXIT_INPUT, "the sums of all weights are out of range");
    eval->divisor = loss_partial_divisor(&weights.sums, job->batch.plan.reduction);
    if (code == EXIT_OK && !isfinite(eval->divisor))
        code = fail(EXIT_INPUT, "the sum of all weights is infinite, so the mean has no gradients");
    return code;
}

/* Evaluates this rank's share. */
static enum exit_code evaluate(struct shard_job *job)
{
    struct shard_eval eval = {.batch = &job->batch,
                              .ranks = job->ranks,
                              .threads = job->threads,
                              .cancel = job->cancel,
                              .total = &job->own,
                              .gradients = &job->gradients,
                              .checkpoint = job->checkpoint ? &job->saved : NULL,
                              .done = job->done,
                              .rows = row_set_rows(&job->rows)};
    enum exit_code code = find_divisor(job, &eval);
    if (code == EXIT_OK)
        code = shard_eval_run(&eval, &job->share);
    if (code == EXIT_OK)
        code = shard_batch_close_shared(&job->batch);
    job->done = eval.done;
    return code;
}

/* Adds the results of all ranks to that of the checkpoint, which rank 0 has. */
static enum exit_code combine(struct shard_job *job)
{
    struct partial *const result = &job->result;
    if (!ranks_add(job->ranks, &job->own.sums) || !loss_partial_add(&result->sums, &job->own.sums))
        return fail(EXIT_INPUT, "the sums of all rows are out of range");
    buffer_free(&result->rows);
    buffer_append(&result->rows, job->rows.data, job->rows.len);
    return result->rows.failed ? fail_memory() : gradient_files_close(&job->gradients);
}

static enum exit_code finish_gradients(struct shard_job *job)
{
    return job->ranks->rank == 0 ? gradient_files_finish(&job->gradients) : EXIT_OK;
}

/* Reports that a signal has ended the job. */
static enum exit_code report_signal(struct shard_job *job)
{
    enum exit_code code = (enum exit_code)(EXIT_SIGNAL + interrupt_signal());
    if (job->ranks->rank == 0)
        code = fail(code, "interrupted after %" PRIu64 " of %" PRIu64 " rows%s", job->done,
                    row_set_rows(&job->rows), job->checkpoint ? "; run again to resume" : "");
    return ranks_agree(job->ranks, code);
}

enum exit_code shard_job_run(struct shard_job *job)
{
    static enum exit_code (*const phases[])(struct shard_job * job) = {
        plan,     rank_check, resume,          share_suffix, deal, prepare_gradients,
        evaluate, combine,    finish_gradients};
    const double started = evaluation_clock();
    enum exit_code code = EXIT_OK;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0] && code == EXIT_OK; i++)
        code = ranks_agree(job->ranks, phases[i](job));
    if (code == EXIT_SIGNAL)
        code = report_signal(job);
    if (code != EXIT_OK && job->made && !job->checkpoint)
        gradient_files_remove_run(&job->gradients, job->gradients.suffix);
    job->ms = evaluation_clock() - started;
    return code;
}

void shard_job_finish(const struct shard_job *job)
{
    if (job->checkpoint)
        checkpoint_remove(&job->saved);
}
