/*
 * Evaluates one block of terms, chunk by chunk: loads the operands, calls the loss's kernel, writes
 * the derivatives, and sums the terms.
 */
#include "engine/run.h"
#include "kernel/cancel.h"
#include "kernel/stream.h"

/* ---- Operands ---- */

/* Converts an array of n loss_reals to floats that start at the same address. */
static void narrow_to_floats(loss_real *x, size_t n, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = s.first; i < s.end; i++) {
            const float narrow = (float)x[i];
            memcpy((char *)x + i * sizeof narrow, &narrow, sizeof narrow);
        }
}

/* The reverse of narrow_to_floats(). Starts at the end, so that no float is overwritten before it
   is read. */
static void widen_from_floats(loss_real *x, size_t n, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        for (size_t i = n - s.first; i-- > n - s.end;) {
            float narrow;
            memcpy(&narrow, (char *)x + i * sizeof narrow, sizeof narrow);
            x[i] = narrow;
        }
}

static void read_terms(const struct operand *operand, size_t t, size_t n, loss_real *to)
{
    if (operand->indexed)
        strided_read_index(&operand->view, operand->data, operand->dtype, t, n,
                           (int64_t *)(void *)to);
    else
        strided_read(&operand->view, operand->data, operand->dtype, t, n, to);
}

void block_copy_operand(const struct run *run, const struct operand *operand, size_t t, size_t n,
                        loss_real *to)
{
    read_terms(operand, t, n, to);
    if (run->f32 && !operand->indexed)
        narrow_to_floats(to, n * operand->view.elements_per_term, operand->view.cancel);
}

/* Sets where the kernel reads operand k, copying the chunk's terms if necessary. */
static void load_operand(const struct run *run, struct loss_block *b, int k, loss_real *scratch)
{
    const struct operand *operand = &run->operand[k];

    const void *at = operand->shared_copy;
    b->stride[k] = operand->stride;
    if (operand->in_place) {
        at = (const char *)operand->data +
             b->first * operand->stride * loss_dtype_size(operand->dtype);
    } else if (!at) {
        block_copy_operand(run, operand, b->first, b->n, scratch + operand->scratch);
        at = scratch + operand->scratch;
    }
    if (operand->indexed)
        b->index[k] = at;
    else if (run->f32)
        b->in_f32[k] = at;
    else
        b->in[k] = at;
}

/* ---- Derivatives ---- */

/* Sets where the kernel writes a derivative of the chunk's terms. */
static void bind_derivative(const struct run *run, struct loss_block *b, const struct derivative *d,
                            loss_real *scratch)
{
    const size_t offset = b->first * d->view.elements_per_term;
    char *const place = (char *)d->into->data + offset * loss_dtype_size(d->into->dtype);
    void *to = scratch + d->scratch;
    if (d->in_place)
        to = place;
    else if (d->summed)
        to = d->summed + offset;
    if (run->f32)
        (d->second ? b->hess_f32 : b->grad_f32)[d->k] = to;
    else
        (d->second ? b->hess : b->grad)[d->k] = to;
}

/* Copies what the kernel wrote into scratch to the derivative's tensor. */
static void write_derivative(const struct run *run, const struct loss_block *b,
                             const struct derivative *d)
{
    loss_real *from = (d->second ? b->hess : b->grad)[d->k];
    if (run->f32) {
        from = (loss_real *)(void *)(d->second ? b->hess_f32 : b->grad_f32)[d->k];
        widen_from_floats(from, b->n * d->view.elements_per_term, b->cancel);
    }
    strided_write(&d->view, d->into->data, d->into->dtype, b->first, b->n, from);
}

/* ---- Weights and scales ---- */

/* Reads the upstream gradient or the sample weight of each term. */
static void read_factors(const struct run *run, const struct loss_block *b, int k, loss_real *to)
{
    read_terms(&run->operand[k], b->first, b->n, to);
}

/* Returns the factor of each term's derivatives: upstream gradient times sample weight over
   divisor. `scale` and `weight` are scratch arrays of n numbers. */
static const loss_real *term_scales(const struct run *run, const struct loss_block *b,
                                    loss_real *scale, loss_real *weight)
{
    const bool upstream = run->operand[UPSTREAM].present,
               weighted = run->operand[SAMPLE_WEIGHT].present;
    if (!upstream && !weighted)
        return run->constant;
    if (upstream)
        read_factors(run, b, UPSTREAM, scale);
    for (size_t i = 0; i < b->n; i++)
        scale[i] = (upstream ? scale[i] : 1) / run->divisor;
    if (weighted)
        read_factors(run, b, SAMPLE_WEIGHT, weight);
    for (size_t i = 0; weighted && i < b->n; i++)
        scale[i] *= weight[i];
    return scale;
}

static void multiply_by_sample_weights(const struct run *run, const struct loss_block *b,
                                       loss_real *weight)
{
    if (!run->operand[SAMPLE_WEIGHT].present)
        return;
    bool (*const is_ignored)(const struct loss_block *, size_t) = run->method->is_ignored;
    read_factors(run, b, SAMPLE_WEIGHT, weight);
    for (size_t i = 0; i < b->n; i++)
        b->term[i] *= is_ignored && is_ignored(b, i) ? 0 : weight[i];
}

void block_set_constants(struct run *run)
{
    const size_t n = size_min(run->chunk, run->terms);
    loss_real *const ones = run->constant + run->chunk;
    float *const ones_f32 = (float *)(void *)(ones + run->chunk);
    for (size_t i = 0; i < n; i++) {
        run->constant[i] = 1 / run->divisor;
        ones[i] = 1;
        ones_f32[i] = 1;
    }
}

/* ---- Chunks ---- */

/* Makes the parts of the kernel's view that are the same for all chunks. */
static struct loss_block make_block(const struct run *run, loss_real *scratch)
{
    struct loss_block b = {.term = scratch + run->term_scratch,
                           .scratch = scratch + run->method_scratch};
    b.per_term_state = run->per_term_state;
    b.default_operand = run->constant + run->chunk;
    b.default_operand_f32 = (const float *)(const void *)(b.default_operand + run->chunk);
    b.discard = scratch + run->discard_scratch;
    b.invalid_tensor = run->method->checked_tensor;
    b.plan = run->plan;
    b.cancel = &run->plan->control;
    b.param = run->plan->param;
    b.streams = run->streams;
    for (int k = 0; k < LOSS_MAX_PARAMS; k++)
        b.number[k] = b.param[k].number;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        b.elements_per_term[k] = run->operand[k].view.elements_per_term;
    return b;
}

/* Sets the terms of a view to [t, t + n). */
static void set_terms(struct loss_block *b, size_t t, size_t n)
{
    b->first = t;
    b->n = n;
    b->invalid = n;
}

/* PASS_WEIGHTS: adds the chunk's weights to the divisor of the mean. */
static void sum_weights(const struct run *run, struct loss_block *b, loss_real *scratch,
                        struct partial *partial)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present && run->method->term_weight_operands >> k & 1)
            load_operand(run, b, k, scratch);
    if (run->plan->has_term_weights)
        run->method->term_weights(b);
    else
        for (size_t i = 0; i < b->n; i++)
            b->term[i] = 1;
    multiply_by_sample_weights(run, b, scratch + run->scale_scratch);
    accumulator_add(&partial->sum, b->term, b->n);
}

/* Counts terms that are NaN or infinite in the dtype of the output. */
static size_t count_nonfinite(const struct run *run, const loss_real *term, size_t n)
{
    const bool narrow = run->plan->dtype == LOSS_FLOAT32;
    size_t nonfinite = 0;
    for (size_t i = 0; i < n; i++)
        nonfinite += isfinite(narrow ? (float)term[i] : term[i]) ? 0 : 1;
    return nonfinite;
}

/* Writes the chunk's terms to the output, or adds them to the result unless the kernel has. */
static void collect_terms(const struct run *run, const struct loss_block *b,
                          struct partial *partial)
{
    const struct loss_plan *plan = run->plan;
    if (plan->reduction == LOSS_NONE) {
        strided_write(&run->output_view, plan->output.data, plan->output.dtype, b->first, b->n,
                      b->term);
        partial->nonfinite += count_nonfinite(run, b->term, b->n);
    } else if (!b->reduced) {
        accumulator_add(&partial->sum, b->term, b->n);
    }
}

static void collect(const struct run *run, const struct loss_block *b, struct partial *partial)
{
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
    collect_terms(run, b, partial);
}

/* PASS_PREPARE and PASS_EVALUATE: calls the loss's functions for one chunk. */
static void evaluate_chunk(const struct run *run, struct loss_block *b, loss_real *scratch,
                           struct partial *partial)
{
    loss_real *const scale = scratch + run->scale_scratch;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present)
            load_operand(run, b, k, scratch);
    for (int i = 0; i < run->derivatives; i++)
        bind_derivative(run, b, &run->derivative[i], scratch);
    b->scale = run->derivatives > 0 ? term_scales(run, b, scale, b->term) : run->constant;

    if (run->pass < PASS_EVALUATE) {
        run->method->prepare[run->pass - PASS_PREPARE](b);
        return;
    }
    if (run->plan->reduction != LOSS_NONE && b->scale == run->constant &&
        !run->operand[SAMPLE_WEIGHT].present)
        b->sum = &partial->sum;
    (run->f32 ? run->method->kernel_f32 : run->method->kernel_f64)(b);
    multiply_by_sample_weights(run, b, scale);
    collect(run, b, partial);
}

/* ---- Blocks ---- */

void block_evaluate(struct run *run, size_t block, int thread)
{
    loss_real *const scratch = run->scratch + (size_t)thread * run->thread_scratch;
    struct partial *const partial = &run->partial[thread];
    const size_t first = block * run->block, end = first + size_min(run->terms - first, run->block);
    const struct loss_block all = make_block(run, scratch);
    for (size_t t = first; t < end && !cancel_requested(&run->plan->control); t += run->chunk) {
        struct loss_block b = all;
        set_terms(&b, t, size_min(end - t, run->chunk));
        if (run->pass == PASS_WEIGHTS)
            sum_weights(run, &b, scratch, partial);
        else
            evaluate_chunk(run, &b, scratch, partial);
    }
    if (run->streams)
        stream_end();
}

void block_start_method(const struct run *run)
{
    if (!run->method->start)
        return;
    struct loss_block b = make_block(run, run->scratch);
    set_terms(&b, 0, run->terms);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (run->operand[k].present && run->operand[k].stride == 0)
            load_operand(run, &b, k, run->scratch);
    run->method->start(&b);
}
