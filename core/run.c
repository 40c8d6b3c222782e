/*
 * The engine: evaluates a plan.
 *
 * The terms are cut into a grid of blocks that depends on the shapes alone. Threads take blocks in any order; each block is
 * worked off in chunks small enough for the first-level cache: operands are read into contiguous reals, the loss's kernel runs
 * over them, gradients are written to their places, and the terms summed. The blocks' sums are then combined in the order of
 * the grid. So nothing that can be seen depends on the number of threads.
 */
#include "method.h"
#include "parallel.h"
#include "sum.h"
#include "walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Elements that a chunk holds of its longest operand: 4 KiB of reals, so that some eight arrays fit into 32 KiB of cache.
     */
    CHUNK_ELEMENTS = 512,
    /* Elements in a block: some 10 us of work, which is much more than handing it to a thread costs. */
    BLOCK_ELEMENTS = 32 * CHUNK_ELEMENTS,
};

/* One operand as the engine reads it. */
struct operand {
    bool present, indexed;
    struct walk walk;
    const void *data;
    enum loss_dtype dtype;
    size_t scratch; /* where a thread's chunk of it stands, in reals from the start of the thread's scratch */
};

enum { UPSTREAM = LOSS_MAX_TENSORS, OPERANDS }; /* grad_output goes with the tensors */

/* What one block adds up to. */
struct partial {
    struct sum sum;
    size_t ignored, nonfinite;
    size_t invalid, invalid_element; /* the first term that cannot be, terms if there is none; which of its elements ... */
    int invalid_tensor;              /* ... of which tensor */
};

struct run {
    const struct loss_plan *plan;
    size_t terms, chunk, block, blocks; /* how many there are; terms in a chunk, in a block; how many blocks */
    struct operand operand[OPERANDS];
    struct walk out[LOSS_MAX_TENSORS]; /* of the gradients */
    real *summed[LOSS_MAX_TENSORS];    /* gradients of tensors that terms share, one per term, before they are summed */
    size_t grad_scratch[LOSS_MAX_TENSORS], term_scratch, scale_scratch, method_scratch, thread_scratch;
    real *scratch;
    struct partial *partial;
    struct walk loss_walk;
    double divisor;
    bool weighing; /* the pass that finds the divisor */
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- layout --------------------------------------------------------------------------------------------------------- */

static void set_operands(struct run *run)
{
    const struct loss_plan *plan = run->plan;
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++)
        if (plan->present[k])
            run->operand[k] = (struct operand){.present = true,
                                               .indexed = plan->indexed[k],
                                               .walk = walk_tensor(plan, k, false),
                                               .data = plan->tensor[k].data,
                                               .dtype = plan->tensor[k].dtype};
    if (plan->has_grad_output)
        run->operand[UPSTREAM] = (struct operand){.present = true,
                                                  .walk = walk_alike(plan, &plan->grad_output),
                                                  .data = plan->grad_output.data,
                                                  .dtype = plan->grad_output.dtype};
}

/* Cuts the terms into chunks and blocks, and a thread's scratch into arrays. */
static bool set_grid(struct run *run)
{
    const struct loss_plan *plan = run->plan;
    run->terms = loss_tensor_elements(&plan->terms);
    size_t longest = 1;
    for (int k = 0; k < OPERANDS; k++)
        if (run->operand[k].present)
            longest = larger(longest, run->operand[k].walk.len);
    run->chunk = larger(1, CHUNK_ELEMENTS / longest);
    run->block = run->chunk * larger(1, BLOCK_ELEMENTS / CHUNK_ELEMENTS / larger(1, longest / CHUNK_ELEMENTS));
    run->blocks = run->terms / run->block + (run->terms % run->block != 0);

    size_t arrays = 0; /* of `longest` elements for each term of a chunk */
    for (int k = 0; k < OPERANDS; k++)
        run->operand[k].scratch = run->operand[k].present ? arrays++ : 0;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        run->grad_scratch[k] = plan->grad_mask >> k & 1 ? arrays++ : 0;
    run->term_scratch = arrays++;
    run->scale_scratch = arrays++;

    size_t array;
    if (__builtin_mul_overflow(run->chunk, longest, &array) || __builtin_mul_overflow(array, arrays, &run->thread_scratch))
        return false;
    for (int k = 0; k < OPERANDS; k++)
        run->operand[k].scratch *= array;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        run->grad_scratch[k] *= array;
    run->term_scratch *= array;
    run->scale_scratch *= array;
    run->method_scratch = run->thread_scratch;
    const size_t own = plan->loss->method->scratch ? plan->loss->method->scratch(plan) : 0;
    return !__builtin_add_overflow(run->thread_scratch, own, &run->thread_scratch);
}

/* Terms that share an element of a tensor may not write its gradient side by side: theirs go to an array of their own first. */
static bool set_gradients(struct run *run)
{
    const struct loss_plan *plan = run->plan;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!(plan->grad_mask >> k & 1))
            continue;
        run->out[k] = walk_tensor(plan, k, true);
        bool repeats = false;
        for (int d = 0; d < run->out[k].rank; d++)
            repeats |= run->out[k].step[d] == 0 && run->out[k].dim[d] != 1;
        size_t count;
        if (!repeats)
            continue;
        if (__builtin_mul_overflow(run->terms, run->out[k].len, &count) || count > PTRDIFF_MAX / sizeof(real))
            return false;
        run->summed[k] = malloc(larger(count, 1) * sizeof(real));
        if (!run->summed[k])
            return false;
    }
    return true;
}

static bool set_up(struct run *run, const struct loss_plan *plan, int *threads)
{
    *run = (struct run){.plan = plan, .divisor = plan->divisor};
    set_operands(run);
    if (!set_grid(run) || !set_gradients(run))
        return false;
    run->loss_walk = walk_terms(plan);
    if ((size_t)*threads > run->blocks)
        *threads = (int)larger(run->blocks, 1);
    size_t reals;
    if (__builtin_mul_overflow(run->thread_scratch, (size_t)*threads, &reals) || reals > PTRDIFF_MAX / sizeof(real))
        return false;
    run->scratch = malloc(reals * sizeof(real));
    run->partial = malloc(larger(run->blocks, 1) * sizeof *run->partial);
    return run->scratch && run->partial;
}

static void tear_down(struct run *run)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        free(run->summed[k]);
    free(run->scratch);
    free(run->partial);
}

/* ---- blocks --------------------------------------------------------------------------------------------------------- */

/* Reads operand k of terms [t, t + n) for a kernel. Operands of rows that all terms share are read once and not repeated. */
static void read_operand(const struct run *run, struct loss_block *b, int k, size_t t, real *scratch)
{
    const struct operand *operand = &run->operand[k];
    const bool once = operand->walk.shared && operand->walk.row_rank > 0;
    real *to = scratch + operand->scratch;
    b->len[k] = operand->walk.len;
    b->row[k] = once ? 0 : operand->walk.len;
    if (operand->indexed) {
        b->index[k] = (int64_t *)(void *)to;
        walk_read_index(&operand->walk, operand->data, operand->dtype, t, once ? 1 : b->n, (int64_t *)(void *)to);
    } else {
        b->in[k] = to;
        walk_read(&operand->walk, operand->data, operand->dtype, t, once ? 1 : b->n, to);
    }
}

/* The factor of each term's gradients. */
static const real *scales(const struct run *run, size_t t, size_t n, real *scratch)
{
    real *scale = scratch + run->scale_scratch;
    const struct operand *upstream = &run->operand[UPSTREAM];
    if (upstream->present)
        walk_read(&upstream->walk, upstream->data, upstream->dtype, t, n, scale);
    const real share = 1 / run->divisor;
    for (size_t i = 0; i < n; i++)
        scale[i] = upstream->present ? scale[i] / run->divisor : share;
    return scale;
}

static void set_up_block(const struct run *run, struct loss_block *b, real *scratch)
{
    b->term = scratch + run->term_scratch;
    b->scratch = scratch + run->method_scratch;
    b->invalid = b->n;
    b->invalid_tensor = run->plan->loss->method->checked;
    b->plan = run->plan;
    b->param = run->plan->param;
    for (int k = 0; k < LOSS_MAX_PARAMS; k++)
        b->number[k] = b->param[k].number;
}

/* The pass that finds the divisor of the mean. */
static void weigh_chunk(const struct run *run, size_t t, size_t n, real *scratch, struct partial *partial)
{
    const struct loss_method *method = run->plan->loss->method;
    struct loss_block b = {.first = t, .n = n};
    set_up_block(run, &b, scratch);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present && method->weigh_operands >> k & 1)
            read_operand(run, &b, k, t, scratch);
        else
            b.len[k] = run->operand[k].walk.len; /* how many classes there are, say */
    method->weigh(&b);
    sum_add_all(&partial->sum, b.term, n);
}

static void evaluate_chunk(const struct run *run, size_t t, size_t n, real *scratch, struct partial *partial)
{
    const struct loss_plan *plan = run->plan;
    struct loss_block b = {.first = t, .n = n};
    set_up_block(run, &b, scratch);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (run->operand[k].present)
            read_operand(run, &b, k, t, scratch);
        if (plan->grad_mask >> k & 1)
            b.grad[k] = run->summed[k] ? run->summed[k] + t * b.len[k] : scratch + run->grad_scratch[k];
    }
    b.scale = scales(run, t, n, scratch);
    plan->loss->method->kernel(&b);

    partial->ignored += b.ignored;
    if (b.invalid < n && t + b.invalid < partial->invalid) {
        partial->invalid = t + b.invalid;
        partial->invalid_element = b.invalid_element;
        partial->invalid_tensor = b.invalid_tensor;
    }
    const bool narrow = plan->reduction == LOSS_NONE && plan->dtype == LOSS_FLOAT32;
    for (size_t i = 0; i < n; i++)
        partial->nonfinite += isfinite(narrow ? (float)b.term[i] : b.term[i]) ? 0 : 1;
    if (plan->reduction == LOSS_NONE)
        walk_write(&run->loss_walk, plan->output.data, plan->output.dtype, t, n, b.term);
    else
        sum_add_all(&partial->sum, b.term, n);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (b.grad[k] && !run->summed[k])
            walk_write(&run->out[k], plan->grad[k].data, plan->grad[k].dtype, t, n, b.grad[k]);
}

static void run_block(void *context, size_t block, int thread)
{
    const struct run *run = context;
    struct partial partial = {.invalid = run->terms};
    const size_t first = block * run->block, end = run->terms - first < run->block ? run->terms : first + run->block;
    for (size_t t = first; t < end; t += run->chunk) {
        const size_t n = end - t < run->chunk ? end - t : run->chunk;
        real *scratch = run->scratch + (size_t)thread * run->thread_scratch;
        if (run->weighing)
            weigh_chunk(run, t, n, scratch, &partial);
        else
            evaluate_chunk(run, t, n, scratch, &partial);
    }
    run->partial[block] = partial;
}

/* All blocks, combined in the order of the grid. */
static struct partial run_blocks(struct run *run, int threads)
{
    struct partial whole = {.invalid = run->terms};
    parallel_for(run->blocks, threads, run_block, run);
    for (size_t block = 0; block < run->blocks; block++) {
        const struct partial *part = &run->partial[block];
        sum_merge(&whole.sum, &part->sum);
        whole.ignored += part->ignored;
        whole.nonfinite += part->nonfinite;
        if (part->invalid < whole.invalid) {
            whole.invalid = part->invalid;
            whole.invalid_element = part->invalid_element;
            whole.invalid_tensor = part->invalid_tensor;
        }
    }
    return whole;
}

/* ---- gradients of what terms share ---------------------------------------------------------------------------------- */

struct fold {
    const struct run *run;
    int k;
};

/* Sums the gradients of all terms that share element `at` of tensor k. They stand in run->summed, at multiples of the gaps that
   each dimension of the terms makes there. */
static void fold_element(void *context, size_t at, int thread)
{
    (void)thread;
    const struct fold *fold = context;
    const struct walk *out = &fold->run->out[fold->k];
    const size_t len = out->len;
    size_t term = 0, repeats = 1, gap[LOSS_MAX_RANK], gap_all = 1, within = 0;
    for (int d = out->rank - 1; d >= 0; d--) {
        gap[d] = gap_all;
        gap_all *= out->dim[d];
    }
    /* The coordinates of the element: a dimension that it runs along fixes one of the terms'; others are summed over. */
    for (int d = 0; d < out->rank; d++) {
        if (out->step[d] == 0)
            repeats *= out->dim[d];
        else
            term += at / (size_t)out->step[d] % out->dim[d] * gap[d];
    }
    for (int i = 0; i < out->row_rank; i++)
        within = within * out->row_dim[i] + at / (size_t)out->row_step[i] % out->row_dim[i];

    struct sum sum = {0};
    for (size_t r = 0; r < repeats; r++) {
        size_t rest = r, shared = term;
        for (int d = out->rank - 1; d >= 0; d--)
            if (out->step[d] == 0) {
                shared += rest % out->dim[d] * gap[d];
                rest /= out->dim[d];
            }
        sum_add(&sum, fold->run->summed[fold->k][shared * len + within]);
    }
    const struct walk alone = walk_number();
    const struct loss_tensor *grad = &fold->run->plan->grad[fold->k];
    walk_write(&alone, (char *)grad->data + at * loss_dtype_size(grad->dtype), grad->dtype, 0, 1, &(real){sum_value(&sum)});
}

static void fold_gradients(struct run *run, int threads)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->summed[k])
            parallel_for(loss_tensor_elements(&run->plan->grad[k]), threads, fold_element, &(struct fold){run, k});
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* Says which element of which tensor made term t impossible. */
static enum loss_status fail_element(const struct run *run, const struct partial *whole, struct loss_error *error)
{
    const struct loss_plan *plan = run->plan;
    const size_t t = whole->invalid, within = whole->invalid_element;
    const int k = whole->invalid_tensor;
    const struct operand *operand = &run->operand[k];
    const struct walk row_major = walk_tensor(plan, k, true);
    size_t at = (size_t)walk_offset(&row_major, t, within), rest = at, coordinate[LOSS_MAX_RANK];
    for (int axis = plan->tensor[k].rank - 1; axis >= 0; axis--) {
        coordinate[axis] = rest % plan->tensor[k].shape[axis];
        rest /= plan->tensor[k].shape[axis];
    }
    char path[sizeof error->path], place[sizeof error->path] = "", expected[160], value[40];
    size_t path_len = (size_t)snprintf(path, sizeof path, "/%s", plan->loss->tensors[k].name), place_len = 0;
    for (int axis = 0; axis < plan->tensor[k].rank && path_len < sizeof path - 24; axis++) {
        path_len += (size_t)snprintf(path + path_len, sizeof path - path_len, "/%zu", coordinate[axis]);
        place_len += (size_t)snprintf(place + place_len, sizeof place - place_len, "[%zu]", coordinate[axis]);
    }
    const char *const data =
        (const char *)operand->data + walk_offset(&operand->walk, t, within) * (ptrdiff_t)loss_dtype_size(operand->dtype);
    const struct walk alone = walk_number();
    if (operand->indexed) {
        int64_t index;
        walk_read_index(&alone, data, operand->dtype, 0, 1, &index);
        snprintf(value, sizeof value, "%" PRId64, index);
    } else {
        real x;
        walk_read(&alone, data, operand->dtype, 0, 1, &x);
        snprintf(value, sizeof value, "%.17g", x);
    }
    plan->loss->method->expected(plan, k, expected, sizeof expected);
    loss_fail_at(error, LOSS_INVALID, path, "%s%.80s is %s; %s", plan->loss->tensors[k].name, place, value, expected);
    error->tensor = k;
    error->element = (int64_t)at;
    return LOSS_INVALID;
}

enum loss_status loss_run(const struct loss_plan *plan, int threads, struct loss_result *result, struct loss_error *error)
{
    struct run run;
    enum loss_status status = LOSS_OK;
    threads = threads < 1 ? 1 : threads;
    if (!set_up(&run, plan, &threads)) {
        status = loss_fail(error, LOSS_UNAVAILABLE, "there is not enough memory to evaluate %s", plan->loss->name);
        goto cleanup;
    }
    if (plan->weighed) {
        run.weighing = true;
        const struct partial weights = run_blocks(&run, threads);
        run.divisor = sum_value(&weights.sum);
        run.weighing = false;
    }
    const struct partial whole = run_blocks(&run, threads);
    if (whole.invalid < run.terms) {
        status = fail_element(&run, &whole, error);
        goto cleanup;
    }
    fold_gradients(&run, threads);
    *result = (struct loss_result){.count = run.terms - whole.ignored, .nonfinite = whole.nonfinite};
    if (plan->reduction != LOSS_NONE)
        result->loss = sum_value(&whole.sum) / run.divisor;
cleanup:
    tear_down(&run);
    return status;
}
