/*
 * Runs plans: evaluates all blocks of a plan, or of several plans together, and combines their
 * results.
 *
 * Threads take blocks in any order. The sums are exact, so no result depends on it.
 */
#include "engine/run.h"
#include "kernel/cancel.h"
#include "parallel.h"

#include <stdlib.h>

/* ---- Passes over all blocks ---- */

/* Sets a result to that of no blocks. */
static void clear_partial(const struct run *run, struct partial *partial)
{
    partial->ignored = partial->nonfinite = 0;
    partial->invalid = run->terms;
    accumulator_init(&partial->sum);
}

/* Runs that have the same grid. */
struct fused_runs {
    struct run *const *run;
    size_t n;
};

/* Evaluates one block of every run, while the shared operands are in the cache. */
static void evaluate_block_of_each(void *context, size_t block, int thread)
{
    const struct fused_runs *fused = context;
    for (size_t i = 0; i < fused->n; i++)
        block_evaluate(fused->run[i], block, thread);
}

/* Runs one pass over all blocks of `n` runs. */
static void run_pass(struct run *const runs[], size_t n, int pass, int threads)
{
    struct fused_runs fused = {runs, n};
    const size_t used = layout_threads(runs[0], threads);
    for (size_t i = 0; i < n; i++) {
        runs[i]->pass = pass;
        for (size_t k = 0; k < used; k++)
            clear_partial(runs[i], &runs[i]->partial[k]);
    }
    parallel_for(runs[0]->blocks, (int)used, evaluate_block_of_each, &fused);
}

/* Combines the results of the threads in the last pass. */
static void combine(const struct run *run, int threads, struct partial *whole)
{
    clear_partial(run, whole);
    for (size_t k = 0; k < layout_threads(run, threads); k++) {
        struct partial *part = &run->partial[k];
        accumulator_flush(&part->sum);
        exact_sum_merge(&whole->sum.sum, &part->sum.sum);
        whole->ignored += part->ignored;
        whole->nonfinite += part->nonfinite;
        if (part->invalid < whole->invalid) {
            whole->invalid = part->invalid;
            whole->invalid_element = part->invalid_element;
            whole->invalid_tensor = part->invalid_tensor;
        }
    }
    whole->nonfinite += exact_sum_nonfinite(&whole->sum.sum);
}

/* ---- One run ---- */

static enum loss_status cancelled_error(const struct loss_plan *plan, struct loss_error *error)
{
    return loss_fail(error, LOSS_CANCELLED, "the evaluation of %s was cancelled", plan->loss->name);
}

static enum loss_status out_of_memory_error(const struct loss_plan *plan, struct loss_error *error)
{
    return loss_fail(error, LOSS_UNAVAILABLE, "insufficient memory to evaluate %s",
                     plan->loss->name);
}

/* Starts the partial result, and sums the weights that the mean divides by if the sum is needed. */
static void sum_weights(struct run *run, int threads)
{
    const struct loss_plan *plan = run->plan;
    const bool weighed =
        plan->reduction == LOSS_MEAN && (plan->has_term_weights || plan->has_sample_weight);
    struct partial weights;
    if (plan->has_partial)
        *plan->partial = (struct loss_partial){.weighed = weighed};
    if (!weighed || (plan->has_divisor && !plan->has_partial))
        return;
    run_pass(&run, 1, PASS_WEIGHTS, threads);
    combine(run, threads, &weights);
    if (!plan->has_divisor)
        run->divisor = exact_sum_value(&weights.sum.sum);
    if (plan->has_partial)
        plan->partial->weight = exact_sum_integer(&weights.sum.sum);
    run->nonfinite_weights = exact_sum_nonfinite(&weights.sum.sum);
}

/* Does everything that precedes PASS_EVALUATE. */
static void begin(struct run *run, int threads)
{
    sum_weights(run, threads);
    block_set_constants(run);
    block_start_method(run);
    for (int i = 0; i < LOSS_MAX_PASSES && run->method->prepare[i]; i++)
        run_pass(&run, 1, PASS_PREPARE + i, threads);
}

static enum loss_status check_weights(const struct run *run, struct loss_error *error)
{
    if (run->nonfinite_weights == 0)
        return LOSS_OK;
    return loss_fail_at(error, LOSS_INVALID, "/partial",
                        "NaN or infinite weights: %zu; a partial result cannot contain their sum",
                        run->nonfinite_weights);
}

/* Writes the partial result, except for the weights. */
static enum loss_status write_partial(const struct run *run, const struct partial *whole,
                                      struct loss_error *error)
{
    const struct loss_plan *plan = run->plan;
    const struct exact_sum *sum = &whole->sum.sum;
    if (check_weights(run, error) != LOSS_OK)
        return error->status;
    plan->partial->sum = exact_sum_integer(sum);
    plan->partial->terms = run->terms;
    plan->partial->samples = plan->terms.shape[0];
    plan->partial->count = run->terms - whole->ignored;
    plan->partial->nan = sum->nan;
    plan->partial->inf = sum->infinite;
    plan->partial->neg_inf = sum->negative_infinite;
    return LOSS_OK;
}

/* Combines the results of the pass that evaluates. */
static enum loss_status finish(struct run *run, int threads, struct loss_result *result,
                               struct loss_error *error)
{
    const struct loss_plan *plan = run->plan;
    struct partial whole;
    combine(run, threads, &whole);
    if (cancel_requested(&plan->control))
        return cancelled_error(plan, error);
    if (whole.invalid < run->terms)
        return invalid_element_error(run, &whole, error);
    broadcast_reduce(run, threads);
    if (cancel_requested(&plan->control))
        return cancelled_error(plan, error);
    if (plan->has_partial && write_partial(run, &whole, error) != LOSS_OK)
        return error->status;
    *result =
        (struct loss_result){.count = run->terms - whole.ignored, .nonfinite = whole.nonfinite};
    if (plan->reduction != LOSS_NONE)
        result->loss = exact_sum_value(&whole.sum.sum) / run->divisor;
    return LOSS_OK;
}

enum loss_status run_weights(const struct loss_plan *plan, int threads, struct loss_error *error)
{
    struct run run;
    enum loss_status status = LOSS_OK;
    threads = threads < 1 ? 1 : threads;
    if (layout_allocate(&run, plan, threads))
        sum_weights(&run, threads);
    else
        status = out_of_memory_error(plan, error);
    if (status == LOSS_OK)
        status = cancel_requested(&plan->control) ? cancelled_error(plan, error)
                                                  : check_weights(&run, error);
    layout_free(&run);
    return status;
}

/* ---- Several runs ---- */

static bool same_grid(const struct run *a, const struct run *b)
{
    return a->terms == b->terms && a->block == b->block;
}

/* Evaluates the first run and all others that have the same grid, after moving them to the front.
   Returns the number of runs evaluated. */
static size_t evaluate_fused(struct run *runs[], size_t n, int threads)
{
    size_t count = 1;
    begin(runs[0], threads);
    for (size_t i = 1; i < n; i++)
        if (same_grid(runs[0], runs[i])) {
            struct run *const next = runs[i];
            runs[i] = runs[count];
            runs[count++] = next;
            begin(next, threads);
        }
    run_pass(runs, count, PASS_EVALUATE, threads);
    return count;
}

/* Allocates a run for each plan. Returns the number of runs allocated before memory ran out or a
   plan was cancelled. */
static size_t allocate_all(struct run *run, const struct loss_plan *const plans[], size_t n,
                           int threads)
{
    for (size_t ready = 0; ready < n; ready++) {
        if (cancel_requested(&plans[ready]->control))
            return ready;
        if (!layout_allocate(&run[ready], plans[ready], threads)) {
            layout_free(&run[ready]);
            return ready;
        }
    }
    return n;
}

enum loss_status run_all(const struct loss_plan *const plans[], size_t n, int threads,
                         struct loss_result results[], size_t *failed, struct loss_error *error)
{
    struct run one, *only = &one;
    struct run *const run = n == 1 ? &one : malloc(n * sizeof *run);
    struct run **const order = n == 1 ? &only : malloc(n * sizeof *order);
    enum loss_status status = LOSS_OK;
    threads = threads < 1 ? 1 : threads;
    const size_t ready = run && order ? allocate_all(run, plans, n, threads) : 0;
    *failed = ready;
    if (ready < n)
        status = cancel_requested(&plans[ready]->control)
                     ? cancelled_error(plans[ready], error)
                     : out_of_memory_error(plans[ready], error);
    for (size_t i = 0; i < ready; i++)
        order[i] = &run[i];
    for (size_t i = 0; i < n && status == LOSS_OK;)
        i += evaluate_fused(order + i, n - i, threads);
    for (size_t i = 0; i < n && status == LOSS_OK; i++) {
        *failed = i;
        status = finish(&run[i], threads, &results[i], error);
    }
    for (size_t i = 0; i < ready; i++)
        layout_free(&run[i]);
    if (n != 1) {
        free(order);
        free(run);
    }
    return status;
}
