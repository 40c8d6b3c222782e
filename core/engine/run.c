/*
 * The engine: evaluates a plan.
 *
 * The terms are cut into a grid of blocks that depends on the shapes alone. Threads take blocks in
 * any order; each block is worked off in chunks small enough for the first-level cache: the loss's
 * kernel reads its operands where they stand if it can, else from a contiguous copy, gradients go
 * to their places, and the terms are summed. The blocks' sums are then combined in the order of the
 * grid. So nothing that can be seen depends on the number of threads.
 */
#include "engine/run.h"
#include "engine/nontemporal.h"
#include "kernel/cancel.h"
#include "parallel.h"

#include <stdlib.h>

/* Elements in a block: some 10 us of work, which is much more than handing it to a thread costs. A
   chunk has LOSS_CHUNK: 8 KiB of reals, so that the terms, their factors and two copied operands
   fit into 32 KiB of cache. */
enum { BLOCK_ELEMENTS = 16 * LOSS_CHUNK };

/* Derivatives of so many bytes are written past the caches, unless a single row would not stay in
 * the first of them. */
enum { STREAM_BYTES = 16 << 20, STREAM_ROW = 4 * LOSS_CHUNK };

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- layout ---- */

static bool is_aligned(const void *data, enum loss_dtype dtype)
{
    return (uintptr_t)data % loss_dtype_size(dtype) == 0;
}

/* An operand or derivative that a kernel can use where it stands: numbers of that dtype, one behind
 * the other. */
static bool stands_ready(const struct walk *walk, const void *data, enum loss_dtype dtype,
                         enum loss_dtype wanted)
{
    return dtype == wanted && is_aligned(data, dtype) &&
           (walk->dense || (walk->shared && walk->row_dense && walk->len > 1));
}

static void set_operand(struct run *run, int k, const struct loss_tensor *tensor, struct walk walk,
                        bool indexed)
{
    const bool once = walk.shared && walk.row_rank > 0;
    run->operand[k] = (struct operand){.present = true,
                                       .indexed = indexed,
                                       .walk = walk,
                                       .data = tensor->data,
                                       .dtype = tensor->dtype,
                                       .row = once ? 0 : walk.len};
}

static void set_derivative(struct run *run, int k, const struct loss_tensor *into, bool second)
{
    run->derivative[run->derivatives++] = (struct derivative){
        .into = into, .k = k, .second = second, .walk = walk_tensor(run->plan, k, true)};
}

/* Lists what is read and what is written. */
static void set_tensors(struct run *run)
{
    const struct loss_plan *plan = run->plan;
    const struct loss_tensor *weight = &plan->sample_weight;
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        if (plan->present[k])
            set_operand(run, k, &plan->tensor[k], walk_tensor(plan, k, false), plan->indexed[k]);
        if (plan->grad_mask >> k & 1)
            set_derivative(run, k, &plan->grad[k], false);
        if (plan->hess_mask >> k & 1)
            set_derivative(run, k, &plan->hess[k], true);
    }
    if (plan->has_grad_output)
        set_operand(run, UPSTREAM, &plan->grad_output, walk_alike(plan, &plan->grad_output), false);
    if (plan->has_sample_weight)
        set_operand(run, SAMPLE_WEIGHT, weight,
                    weight->rank == plan->terms.rank ? walk_alike(plan, weight)
                                                     : walk_samples(plan, weight),
                    false);
}

bool run_repeats(const struct walk *walk)
{
    for (int d = 0; d < walk->rank; d++)
        if (walk->step[d] == 0 && walk->dim[d] != 1)
            return true;
    return false;
}

static bool fits_float32(enum loss_dtype dtype)
{
    return dtype == LOSS_FLOAT32 || dtype == LOSS_FLOAT16 || dtype == LOSS_BFLOAT16;
}

/* Decides which tensors the kernel sees where they stand: float32 if all numbers are or fit that,
   else those that are float64. Which kernel it is may show in the last bits of a result; where
   tensors stand, and with which strides, must not. */
static void set_places(struct run *run)
{
    run->single = run->method->single != NULL;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const struct operand *operand = &run->operand[k];
        run->single &= !operand->present || operand->indexed || fits_float32(operand->dtype);
    }
    for (int i = 0; i < run->derivatives; i++) {
        const struct derivative *d = &run->derivative[i];
        run->single &= !run_repeats(&d->walk) && d->into->dtype == LOSS_FLOAT32;
    }
    const enum loss_dtype wanted = run->single ? LOSS_FLOAT32 : LOSS_FLOAT64;
    for (int k = 0; k < OPERANDS; k++) {
        struct operand *operand = &run->operand[k];
        operand->in_place =
            operand->present && stands_ready(&operand->walk, operand->data, operand->dtype,
                                             operand->indexed ? LOSS_INT64 : wanted);
    }
    for (int i = 0; i < run->derivatives; i++) {
        struct derivative *d = &run->derivative[i];
        d->in_place =
            !run_repeats(&d->walk) && stands_ready(&d->walk, d->into->data, d->into->dtype, wanted);
        d->streamed = run->single && d->in_place && d->walk.len <= STREAM_ROW &&
                      loss_tensor_bytes(d->into) >= STREAM_BYTES;
    }
}

static bool add_scratch(size_t *total, size_t terms, size_t each, size_t *place)
{
    size_t count;
    *place = *total;
    return !__builtin_mul_overflow(terms, each, &count) &&
           !__builtin_add_overflow(*total, count, total);
}

/* Cuts the terms into chunks and blocks, and a thread's scratch into arrays. */
static bool set_grid(struct run *run)
{
    run->terms = loss_tensor_elements(&run->plan->terms);
    size_t longest = run->terms > 0 ? larger(1, run->plan->elements / run->terms) : 1;
    for (int k = 0; k < OPERANDS; k++)
        if (run->operand[k].present && run->operand[k].row > 0)
            longest = larger(longest, run->operand[k].walk.len);

    run->chunk = larger(1, LOSS_CHUNK / longest);
    run->block =
        run->chunk * larger(1, BLOCK_ELEMENTS / LOSS_CHUNK / larger(1, longest / LOSS_CHUNK));
    run->blocks = run->terms / run->block + (run->terms % run->block != 0);

    size_t *const total = &run->thread_scratch;
    bool fits = true;
    for (int k = 0; k < OPERANDS; k++)
        if (run->operand[k].present && !run->operand[k].in_place && run->operand[k].row > 0)
            fits &= add_scratch(total, run->chunk, run->operand[k].row, &run->operand[k].scratch);
    for (int i = 0; i < run->derivatives; i++)
        if (!run->derivative[i].in_place || run->derivative[i].streamed)
            fits &= add_scratch(total, run->chunk, run->derivative[i].walk.len,
                                &run->derivative[i].scratch);
    fits &= add_scratch(total, run->chunk, 1, &run->term_scratch) &&
            add_scratch(total, run->chunk, 1, &run->scale_scratch) &&
            add_scratch(total, run->chunk, 1, &run->waste_scratch);
    return fits && add_scratch(total, 1, run->method->scratch ? run->method->scratch(run->plan) : 0,
                               &run->method_scratch);
}

/* An array of a * b reals, NULL if that is too much. */
static real *allocate(size_t a, size_t b)
{
    size_t count;
    if (__builtin_mul_overflow(a, b, &count) || count > PTRDIFF_MAX / sizeof(real))
        return NULL;
    return malloc(larger(count, 1) * sizeof(real));
}

/* Turns an array into one of floats that starts where it does ... */
static void reals_to_floats(real *x, size_t n, const struct loss_control *cancel)
{
    for (struct stretch s = {0}; stretch_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const float narrow = (float)x[i];
            memcpy((char *)x + i * sizeof narrow, &narrow, sizeof narrow);
        }
}

/* ... and back. */
static void floats_to_reals(real *x, size_t n, const struct loss_control *cancel)
{
    for (struct stretch s = {0}; stretch_next(&s, n, cancel);)
        for (size_t i = n - s.first; i-- > n - s.end;) {
            float narrow;
            memcpy(&narrow, (char *)x + i * sizeof narrow, sizeof narrow);
            x[i] = narrow;
        }
}

static void read_terms(const struct operand *operand, size_t t, size_t n, real *to)
{
    if (operand->indexed)
        walk_read_index(&operand->walk, operand->data, operand->dtype, t, n, (int64_t *)(void *)to);
    else
        walk_read(&operand->walk, operand->data, operand->dtype, t, n, to);
}

/* A copy of an operand for the kernel, n terms from t on. */
static void copy_terms(const struct run *run, const struct operand *operand, size_t t, size_t n,
                       real *to)
{
    read_terms(operand, t, n, to);
    if (run->single && !operand->indexed)
        reals_to_floats(to, n * operand->walk.len, operand->walk.cancel);
}

/* Operands that all terms share are converted once. */
static bool set_whole(struct run *run)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        struct operand *operand = &run->operand[k];
        if (!operand->present || operand->in_place || operand->row > 0)
            continue;
        operand->whole = allocate(1, operand->walk.len);
        if (!operand->whole)
            return false;
        copy_terms(run, operand, 0, run->terms > 0, operand->whole);
    }
    return true;
}

bool run_lay_out(struct run *run, const struct loss_plan *plan)
{
    *run = (struct run){.plan = plan,
                        .method = plan->loss->method,
                        .divisor = plan->divisor,
                        .loss_walk = walk_terms(plan)};
    set_tensors(run);
    set_places(run);
    return set_grid(run);
}

/* How many threads can have a block at a time. */
static size_t busy_threads(const struct run *run, int threads)
{
    return smaller(threads > 0 ? (size_t)threads : 1, larger(run->blocks, 1));
}

/* Adds what an array of a * b reals takes; false if that is too much. */
static bool add_array(size_t *total, size_t a, size_t b)
{
    size_t count;
    return !__builtin_mul_overflow(a, b, &count) && count <= PTRDIFF_MAX / sizeof(real) &&
           !__builtin_add_overflow(*total, larger(count, 1) * sizeof(real), total);
}

/* What set_up allocates. */
size_t run_bytes(const struct loss_plan *plan, int threads)
{
    struct run run;
    size_t total = 0;
    bool fits = run_lay_out(&run, plan);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const struct operand *operand = &run.operand[k];
        if (operand->present && !operand->in_place && operand->row == 0)
            fits = fits && add_array(&total, 1, operand->walk.len);
    }
    for (int i = 0; i < run.derivatives; i++)
        if (run_repeats(&run.derivative[i].walk))
            fits = fits && add_array(&total, run.terms, run.derivative[i].walk.len);
    if (run.method->keep)
        fits = fits && add_array(&total, run.terms, run.method->keep(plan));
    fits = fits && add_array(&total, run.thread_scratch, busy_threads(&run, threads)) &&
           add_array(&total, run.chunk, 3) &&
           add_array(&total, larger(run.blocks, 1),
                     (sizeof *run.partial + sizeof(real) - 1) / sizeof(real));
    return fits ? total : SIZE_MAX;
}

static bool set_up(struct run *run, const struct loss_plan *plan, int threads)
{
    if (!run_lay_out(run, plan) || !set_whole(run))
        return false;
    for (int i = 0; i < run->derivatives; i++) {
        struct derivative *d = &run->derivative[i];
        if (run_repeats(&d->walk) && !(d->summed = allocate(run->terms, d->walk.len)))
            return false;
    }
    if (run->method->keep && !(run->kept = allocate(run->terms, run->method->keep(plan))))
        return false;
    run->scratch = allocate(run->thread_scratch, busy_threads(run, threads));
    run->partial = malloc(larger(run->blocks, 1) * sizeof *run->partial);
    run->constant = allocate(run->chunk, 3);
    return run->scratch && run->partial && run->constant;
}

static void tear_down(struct run *run)
{
    for (int k = 0; k < OPERANDS; k++)
        free(run->operand[k].whole);
    for (int i = 0; i < run->derivatives; i++)
        free(run->derivative[i].summed);
    free(run->kept);
    free(run->constant);
    free(run->scratch);
    free(run->partial);
}

/* ---- chunks ---- */

/* Shows operand k of the block's terms to its kernel. */
static void show_operand(const struct run *run, struct loss_block *b, int k, real *scratch)
{
    const struct operand *operand = &run->operand[k];

    const void *at = operand->whole;
    b->row[k] = operand->row;
    if (operand->in_place) {
        at =
            (const char *)operand->data + b->first * operand->row * loss_dtype_size(operand->dtype);
    } else if (!at) {
        copy_terms(run, operand, b->first, b->n, scratch + operand->scratch);
        at = scratch + operand->scratch;
    }
    if (operand->indexed)
        b->index[k] = at;
    else if (run->single)
        b->in32[k] = at;
    else
        b->in[k] = at;
}

/* Where the kernel shall write a derivative of the block's terms. */
static void show_derivative(const struct run *run, struct loss_block *b, const struct derivative *d,
                            real *scratch)
{
    const size_t skipped = b->first * d->walk.len;
    char *const place = (char *)d->into->data + skipped * loss_dtype_size(d->into->dtype);
    if (run->single)
        (d->second ? b->hess32 : b->grad32)[d->k] =
            (float *)(void *)(d->in_place && !d->streamed ? place : (char *)(scratch + d->scratch));
    else
        (d->second ? b->hess : b->grad)[d->k] = d->in_place ? (real *)(void *)place
                                                : d->summed ? d->summed + skipped
                                                            : scratch + d->scratch;
}

static void read_factors(const struct run *run, const struct loss_block *b, int k, real *to)
{
    read_terms(&run->operand[k], b->first, b->n, to);
}

/* The factor of each term's derivatives: upstream gradient times sample weight over divisor.
 * `weight` is a scratch of n. */
static const real *scales(const struct run *run, const struct loss_block *b, real *scale,
                          real *weight)
{
    const bool upstream = run->operand[UPSTREAM].present,
               weighed = run->operand[SAMPLE_WEIGHT].present;
    if (!upstream && !weighed)
        return run->constant;
    if (upstream)
        read_factors(run, b, UPSTREAM, scale);
    for (size_t i = 0; i < b->n; i++)
        scale[i] = (upstream ? scale[i] : 1) / run->divisor;
    if (weighed)
        read_factors(run, b, SAMPLE_WEIGHT, weight);
    for (size_t i = 0; weighed && i < b->n; i++)
        scale[i] *= weight[i];
    return scale;
}

/* Called when the divisor is known. */
static void set_constants(struct run *run)
{
    const size_t n = run->chunk < run->terms ? run->chunk : run->terms;
    real *const ones = run->constant + run->chunk;
    float *const ones32 = (float *)(void *)(ones + run->chunk);
    for (size_t i = 0; i < n; i++) {
        run->constant[i] = 1 / run->divisor;
        ones[i] = 1;
        ones32[i] = 1;
    }
}

static struct loss_block block_of(const struct run *run, size_t t, size_t n, real *scratch)
{
    struct loss_block b = {.first = t,
                           .n = n,
                           .term = scratch + run->term_scratch,
                           .scratch = scratch + run->method_scratch};
    b.kept = run->kept;
    b.ones = run->constant + run->chunk;
    b.ones32 = (const float *)(const void *)(b.ones + run->chunk);
    b.waste = scratch + run->waste_scratch;
    b.invalid = n;
    b.invalid_tensor = run->method->checked;
    b.plan = run->plan;
    b.cancel = &run->plan->control;
    b.param = run->plan->param;
    for (int k = 0; k < LOSS_MAX_PARAMS; k++)
        b.number[k] = b.param[k].number;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        b.len[k] = run->operand[k].walk.len;
    return b;
}

static void multiply_by_weights(const struct run *run, const struct loss_block *b, real *weight)
{
    if (!run->operand[SAMPLE_WEIGHT].present)
        return;
    bool (*const ignores)(const struct loss_block *, size_t) = run->method->ignores;
    read_factors(run, b, SAMPLE_WEIGHT, weight);
    for (size_t i = 0; i < b->n; i++)
        b->term[i] *= ignores && ignores(b, i) ? 0 : weight[i];
}

/* The pass that finds the divisor of the mean: the weights of the terms themselves, times those of
 * the samples. */
static void weigh_chunk(const struct run *run, struct loss_block *b, real *scratch,
                        struct partial *partial)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present && run->method->weigh_operands >> k & 1)
            show_operand(run, b, k, scratch);
    if (run->plan->weighed)
        run->method->weigh(b);
    else
        for (size_t i = 0; i < b->n; i++)
            b->term[i] = 1;
    multiply_by_weights(run, b, scratch + run->scale_scratch);
    sum_add_all(&partial->sum, b->term, b->n);
}

/* What is found out about a block while its chunks are worked off. */
struct tally {
    struct partial partial;
    struct sum_lanes
        lanes;  /* float32: what the terms add up to, which goes to the partial at the end */
    bool count; /* terms that are not finite are counted */
};

/* Terms that are NaN or infinite, in the dtype in which they are given out. */
static size_t count_nonfinite(const struct run *run, const real *term, size_t n)
{
    const bool narrow = run->plan->reduction == LOSS_NONE && run->plan->dtype == LOSS_FLOAT32;
    size_t nonfinite = 0;
    for (size_t i = 0; i < n; i++)
        nonfinite += isfinite(narrow ? (float)term[i] : term[i]) ? 0 : 1;
    return nonfinite;
}

/* Brings what the kernel wrote into scratch to its place. */
static void write_derivative(const struct run *run, const struct loss_block *b,
                             const struct derivative *d)
{
    real *from = (d->second ? b->hess : b->grad)[d->k];
    if (run->single) {
        from = (real *)(void *)(d->second ? b->hess32 : b->grad32)[d->k];
        floats_to_reals(from, b->n * d->walk.len, b->cancel);
    }
    walk_write(&d->walk, d->into->data, d->into->dtype, b->first, b->n, from);
}

static void collect(const struct run *run, const struct loss_block *b, struct tally *tally)
{
    struct partial *const partial = &tally->partial;
    const struct loss_plan *plan = run->plan;
    partial->ignored += b->ignored;
    if (b->invalid < b->n && b->first + b->invalid < partial->invalid) {
        partial->invalid = b->first + b->invalid;
        partial->invalid_element = b->invalid_element;
        partial->invalid_tensor = b->invalid_tensor;
    }
    for (int i = 0; i < run->derivatives; i++) {
        const struct derivative *d = &run->derivative[i];
        if (!d->in_place && !d->summed)
            write_derivative(run, b, d);
    }
    if (plan->reduction == LOSS_NONE) {
        walk_write(&run->loss_walk, plan->output.data, plan->output.dtype, b->first, b->n, b->term);
        partial->nonfinite += count_nonfinite(run, b->term, b->n);
        return;
    }
    if (tally->count)
        partial->nonfinite += count_nonfinite(run, b->term, b->n);
    if (b->reduced)
        sum_add_lanes(&tally->lanes, b->sum);
    else if (plan->dtype == LOSS_FLOAT32)
        sum_add_array(&tally->lanes, b->term, b->n);
    else
        sum_add_all(&partial->sum, b->term, b->n);
}

static void stream_derivatives(const struct run *run, const struct loss_block *b)
{
    for (int i = 0; i < run->derivatives; i++) {
        const struct derivative *d = &run->derivative[i];
        if (d->streamed)
            stream_out((float *)d->into->data + b->first * d->walk.len,
                       (d->second ? b->hess32 : b->grad32)[d->k], b->n * d->walk.len);
    }
}

static void evaluate_chunk(const struct run *run, struct loss_block *b, real *scratch,
                           struct tally *tally)
{
    real *const scale = scratch + run->scale_scratch;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present)
            show_operand(run, b, k, scratch);
    for (int i = 0; i < run->derivatives; i++)
        show_derivative(run, b, &run->derivative[i], scratch);
    b->scale = run->derivatives > 0 ? scales(run, b, scale, b->term) : run->constant;

    if (run->pass < EVALUATE) {
        run->method->prepare[run->pass - PREPARE](b);
        return;
    }
    b->reduce = run->plan->reduction != LOSS_NONE && b->scale == run->constant &&
                !run->operand[SAMPLE_WEIGHT].present && !tally->count;
    (run->single ? run->method->single : run->method->kernel)(b);
    multiply_by_weights(run, b, scale);
    stream_derivatives(run, b);
    collect(run, b, tally);
}

/* ---- the whole ---- */

/* Works off a block. Where its sum is not finite, that has to be done again, and the terms that are
 * not be counted. */
static struct partial block_partial(const struct run *run, size_t block, real *scratch, bool count)
{
    struct tally tally = {.partial = {.invalid = run->terms}, .count = count};
    const size_t first = block * run->block,
                 end = run->terms - first < run->block ? run->terms : first + run->block;
    for (size_t t = first; t < end && !cancel_asked(&run->plan->control); t += run->chunk) {
        struct loss_block b =
            block_of(run, t, end - t < run->chunk ? end - t : run->chunk, scratch);
        if (run->pass == WEIGH)
            weigh_chunk(run, &b, scratch, &tally.partial);
        else
            evaluate_chunk(run, &b, scratch, &tally);
    }
    sum_add(&tally.partial.sum, sum_up(&tally.lanes));
    return tally.partial;
}

static void run_block(struct run *run, size_t block, int thread)
{
    if (cancel_asked(&run->plan->control)) {
        run->partial[block] = (struct partial){.invalid = run->terms};
        return;
    }
    real *const scratch = run->scratch + (size_t)thread * run->thread_scratch;
    struct partial partial = block_partial(run, block, scratch, false);
    if (!isfinite(partial.sum.value) && run->pass == EVALUATE && run->plan->reduction != LOSS_NONE)
        partial = block_partial(run, block, scratch, true);
    stream_end();
    run->partial[block] = partial;
}

/* Runs whose grids are the same. */
struct together {
    struct run *const *run;
    size_t n;
};

/* While a block's operands are in the cache, all that read them do. */
static void run_block_of_each(void *context, size_t block, int thread)
{
    const struct together *together = context;
    for (size_t i = 0; i < together->n; i++)
        run_block(together->run[i], block, thread);
}

/* What the blocks of the last pass add up to, combined in the order of the grid. */
static struct partial combine(const struct run *run)
{
    struct partial whole = {.invalid = run->terms};
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

/* One pass over all blocks of `n` runs. */
static void run_blocks(struct run *const runs[], size_t n, int pass, int threads)
{
    struct together together = {runs, n};
    for (size_t i = 0; i < n; i++)
        runs[i]->pass = pass;
    const size_t blocks = runs[0]->blocks;
    parallel_for(blocks, (int)smaller((size_t)threads, larger(blocks, 1)), run_block_of_each,
                 &together); /* as scratch is for */
}

/* The method's first look at what all terms share. */
static void start_method(const struct run *run)
{
    if (!run->method->start)
        return;
    struct loss_block b = block_of(run, 0, run->terms, run->scratch);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present && run->operand[k].row == 0)
            show_operand(run, &b, k, run->scratch);
    run->method->start(&b);
}

/* What comes before the pass that evaluates. */
static void begin(struct run *run, int threads)
{
    const struct loss_plan *plan = run->plan;
    if (plan->reduction == LOSS_MEAN && (plan->weighed || plan->has_sample_weight)) {
        run_blocks(&run, 1, WEIGH, threads);
        const struct partial weights = combine(run);
        run->divisor = sum_value(&weights.sum);
    }
    set_constants(run);
    start_method(run);
    for (int i = 0; i < LOSS_MAX_PASSES && run->method->prepare[i]; i++)
        run_blocks(&run, 1, PREPARE + i, threads);
}

static enum loss_status given_up(const struct loss_plan *plan, struct loss_error *error)
{
    return loss_fail(error, LOSS_CANCELLED, "%s was given up before it was evaluated",
                     plan->loss->name);
}

/* What comes behind it. */
static enum loss_status finish(struct run *run, int threads, struct loss_result *result,
                               struct loss_error *error)
{
    const struct loss_plan *plan = run->plan;
    const struct partial whole = combine(run);
    if (cancel_asked(&plan->control))
        return given_up(plan, error);
    if (whole.invalid < run->terms)
        return blame_element(run, &whole, error);
    fold_gradients(run, threads);
    if (cancel_asked(&plan->control))
        return given_up(plan, error);
    *result =
        (struct loss_result){.count = run->terms - whole.ignored, .nonfinite = whole.nonfinite};
    if (plan->reduction != LOSS_NONE)
        result->loss = sum_value(&whole.sum) / run->divisor;
    return LOSS_OK;
}

static bool same_grid(const struct run *a, const struct run *b)
{
    return a->terms == b->terms && a->block == b->block;
}

/* Evaluates the first of the runs and those of the others that can go with it, which are moved to
 * the front; how many. */
static size_t evaluate_together(struct run *runs[], size_t n, int threads)
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
    run_blocks(runs, count, EVALUATE, threads);
    return count;
}

static enum loss_status no_memory(const struct loss_plan *plan, struct loss_error *error)
{
    return loss_fail(error, LOSS_UNAVAILABLE, "there is not enough memory to evaluate %s",
                     plan->loss->name);
}

/* Sets up a run of each plan; how many could be before memory ran out or one was cancelled. */
static size_t set_up_all(struct run *run, const struct loss_plan *const plans[], size_t n,
                         int threads)
{
    size_t ready = 0;
    bool possible = true;
    while (ready < n && possible && !cancel_asked(&plans[ready]->control))
        possible = set_up(&run[ready], plans[ready], threads) && ++ready;
    if (!possible)
        tear_down(&run[ready]);
    return ready;
}

enum loss_status run_plans(const struct loss_plan *const plans[], size_t n, int threads,
                           struct loss_result results[], size_t *failed, struct loss_error *error)
{
    struct run one, *only = &one;
    struct run *const run = n == 1 ? &one : malloc(n * sizeof *run);
    struct run **const order = n == 1 ? &only : malloc(n * sizeof *order);
    enum loss_status status = LOSS_OK;
    threads = threads < 1 ? 1 : threads;
    const size_t ready = run && order ? set_up_all(run, plans, n, threads) : 0;
    *failed = ready;
    if (ready < n)
        status = cancel_asked(&plans[ready]->control) ? given_up(plans[ready], error)
                                                      : no_memory(plans[ready], error);
    for (size_t i = 0; i < ready; i++)
        order[i] = &run[i];
    for (size_t i = 0; i < n && status == LOSS_OK;)
        i += evaluate_together(order + i, n - i, threads);
    for (size_t i = 0; i < n && status == LOSS_OK; i++) {
        *failed = i;
        status = finish(&run[i], threads, &results[i], error);
    }
    for (size_t i = 0; i < ready; i++)
        tear_down(&run[i]);
    if (n != 1) {
        free(order);
        free(run);
    }
    return status;
}
