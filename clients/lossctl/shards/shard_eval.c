#include "shards/shard_eval.h"
#include "cli/progress.h"
#include "shards/interrupt.h"

/* ---- Shares ---- */

/* Returns the row at `position` in a set of rows. If `position` is the number of rows in the set,
   returns the row after the last; 0 if the set is empty. */
static uint64_t row_at(const struct buffer *set, uint64_t position)
{
    struct partial_rows rows = {0, 0};
    for (size_t i = 0; i < row_set_intervals(set); i++) {
        rows = row_set_interval(set, i);
        if (position < rows.end - rows.first)
            return rows.first + position;
        position -= rows.end - rows.first;
    }
    return rows.end;
}

void shard_eval_deal(const struct shard_batch *batch, const struct buffer *all, uint64_t index,
                     uint64_t count, uint32_t whole, struct buffer *share)
{
    const uint64_t rows = row_set_rows(all);
    uint64_t bound[2];
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t position = (uint64_t)((unsigned __int128)rows * (index + i) / count);
        bound[i] = row_at(all, position);
        if (position < rows)
            bound[i] = shard_batch_cut(batch, bound[i], whole);
    }
    row_set_intersect(share, all, (struct partial_rows){bound[0], bound[1]});
}

/* ---- Steps ---- */

/* The position of a pass through the rows. */
struct position {
    const struct buffer *rows;
    size_t interval;
    uint64_t next; /* row */
};

/* Writes the rows of the next step to `step`. Returns false after the last. */
static bool next_step(const struct shard_batch *batch, struct position *at,
                      struct partial_rows *step)
{
    while (at->interval < row_set_intervals(at->rows)) {
        const struct partial_rows rows = row_set_interval(at->rows, at->interval);
        step->first = at->next > rows.first ? at->next : rows.first;
        if (step->first < rows.end) {
            step->end = shard_batch_step_end(batch, (struct partial_rows){step->first, rows.end});
            at->next = step->end;
            return true;
        }
        at->interval++;
    }
    return false;
}

/* Evaluates a step whose tensors are mapped. */
typedef enum exit_code evaluate_step(struct shard_eval *eval, const struct shard_step *step);

/* Plans a step, whose evaluation writes its result to `sums`. */
static enum exit_code plan_step(struct shard_eval *eval, const struct shard_step *step,
                                const struct loss_request *request, struct loss_plan *plan,
                                struct loss_partial *sums)
{
    struct loss_error error;
    if (loss_plan(plan, request, &error) != LOSS_OK)
        return shard_step_fail(step, eval->batch, &error);
    plan->partial = sums;
    plan->control.cancel = eval->cancel;
    return EXIT_OK;
}

/* Adds the result of a step, or reports its error. Returns EXIT_SIGNAL if it was cancelled. */
static enum exit_code add_step(struct shard_eval *eval, const struct shard_step *step,
                               enum loss_status status, const struct loss_partial *sums,
                               const struct loss_error *error)
{
    if (status == LOSS_CANCELLED)
        return EXIT_SIGNAL;
    if (status != LOSS_OK)
        return shard_step_fail(step, eval->batch, error);
    return loss_partial_add(&eval->total->sums, sums)
               ? EXIT_OK
               : fail(EXIT_INPUT, "the sums of all rows are out of range");
}

static enum exit_code weigh(struct shard_eval *eval, const struct shard_step *step)
{
    struct loss_request request = shard_step_request(step, eval->batch);
    struct loss_plan plan;
    struct loss_partial sums;
    struct loss_error error;
    request.grad = request.hess = 0;
    const enum exit_code code = plan_step(eval, step, &request, &plan, &sums);
    if (code != EXIT_OK)
        return code;
    const enum loss_status status = loss_run_weights(&plan, eval->threads, &error);
    return add_step(eval, step, status, &sums, &error);
}

/* Writes the result so far to the checkpoint, if there is one. */
static enum exit_code keep(struct shard_eval *eval)
{
    if (!eval->checkpoint)
        return EXIT_OK;
    const enum exit_code code = gradient_files_sync(eval->gradients);
    return code == EXIT_OK ? checkpoint_write(eval->checkpoint, eval->total) : code;
}

static enum exit_code evaluate(struct shard_eval *eval, const struct shard_step *step)
{
    struct loss_request request = shard_step_request(step, eval->batch);
    struct loss_plan plan;
    struct loss_partial sums;
    struct loss_result result;
    struct loss_error error;
    request.has_divisor = eval->gradients->count > 0 && eval->batch->plan.reduction != LOSS_SUM;
    request.divisor = eval->divisor;
    enum exit_code code = plan_step(eval, step, &request, &plan, &sums);
    if (code == EXIT_OK)
        code = gradient_files_bind(eval->gradients, &plan);
    if (code != EXIT_OK)
        return code;
    const enum loss_status status = loss_run(&plan, eval->threads, &result, &error);
    code = add_step(eval, step, status, &sums, &error);
    if (code == EXIT_OK)
        code = gradient_files_write(eval->gradients, step, &plan);
    if (code != EXIT_OK)
        return code;
    row_set_append(&eval->total->rows, step->rows);
    if (eval->total->rows.failed)
        return fail_memory();
    return eval->checkpoint && checkpoint_is_due(eval->checkpoint) ? keep(eval) : EXIT_OK;
}

/* Evaluates a step and closes it. First opens the next one if there is one. */
static enum exit_code run_step(struct shard_eval *eval, evaluate_step *run, struct shard_step *step,
                               struct shard_step *next, const struct partial_rows *next_rows)
{
    enum exit_code code = EXIT_OK;
    if (next_rows)
        code = shard_step_open(next, eval->batch, *next_rows, run == evaluate);
    const bool opened = code == EXIT_OK && next_rows;
    if (code == EXIT_OK)
        code = run(eval, step);
    const char *const changed = shard_step_close(step);
    if (code == EXIT_OK && changed)
        code = shard_window_fail_changed(changed);
    if (code != EXIT_OK && opened)
        shard_step_close(next);
    return code;
}

/* Evaluates all steps, unless another rank ends the pass early. */
static enum exit_code run_steps(struct shard_eval *eval, evaluate_step *run,
                                const struct buffer *rows, struct rank_pass *pass)
{
    struct shard_step step[2];
    struct position at = {.rows = rows};
    struct partial_rows current, next;
    uint64_t own = 0;
    if (!next_step(eval->batch, &at, &current))
        return EXIT_OK;
    enum exit_code code = shard_step_open(&step[0], eval->batch, current, run == evaluate);
    for (unsigned i = 0; code == EXIT_OK; i++) {
        const bool more = pass->all.code == EXIT_OK && next_step(eval->batch, &at, &next);
        code = run_step(eval, run, &step[i % 2], &step[(i + 1) % 2], more ? &next : NULL);
        if (code == EXIT_OK)
            own += current.end - current.first;
        progress_set((double)(eval->done + rank_pass_report(pass, own)), (double)eval->rows);
        current = next;
        if (!more)
            break;
    }
    return code;
}

/* Passes through the rows, together with the other ranks. */
static enum exit_code run_all(struct shard_eval *eval, evaluate_step *run,
                              const struct buffer *rows)
{
    struct rank_pass pass;
    rank_pass_begin(&pass, eval->ranks);
    enum exit_code code = run_steps(eval, run, rows, &pass);
    if (run == evaluate && (code == EXIT_OK || code == EXIT_SIGNAL)) {
        const enum exit_code kept = keep(eval);
        code = kept == EXIT_OK ? code : kept;
    }
    if (code == EXIT_SIGNAL)
        code = (enum exit_code)(EXIT_SIGNAL + interrupt_signal());
    code = rank_pass_end(&pass, code);
    progress_end();
    eval->done += pass.all.rows;
    if (code < EXIT_SIGNAL)
        return code;
    interrupt_raise((int)code - EXIT_SIGNAL);
    return EXIT_SIGNAL;
}

enum exit_code shard_eval_run(struct shard_eval *eval, const struct buffer *rows)
{
    progress_begin("evaluating %s", eval->batch->request.loss->name);
    return run_all(eval, evaluate, rows);
}

enum exit_code shard_eval_weigh(struct shard_eval *eval, const struct buffer *rows)
{
    progress_begin("adding the weights of %s", eval->batch->request.loss->name);
    return run_all(eval, weigh, rows);
}
