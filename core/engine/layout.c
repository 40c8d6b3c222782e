/*
 * Chooses how a plan is run: the grid of chunks and blocks, the kernel, the tensors that it uses in
 * place, and the layout of a thread's scratch memory.
 *
 * The grid depends only on shapes, not on the machine or the number of threads.
 */
#include "engine/run.h"

#include <stdlib.h>

/* Elements in a block: about 10 us of work, much more than the cost of dispatching it to a thread.
   A chunk has LOSS_CHUNK elements, 8 KiB of doubles: terms, scales and two copied operands fit into
   an L1 cache of 32 KiB. */
enum { BLOCK_ELEMENTS = 16 * LOSS_CHUNK };

/* Chunks of rows of more than SHORT_ROW elements have up to ROWS_CHUNK elements: kernels process
   such rows one at a time, and the fixed cost of a chunk is high if it has few rows. */
enum { SHORT_ROW = 64, ROWS_CHUNK = 8 * LOSS_CHUNK };

/* The number of rows in a chunk is a multiple of this if it is larger. It is the number of floats
   in the longest vector, for kernels whose vectors run across rows. */
enum { ROWS_MULTIPLE = 16 };

/* Gradients of at least this many bytes are streamed. Smaller ones may still be in the caches when
   they are read. */
enum { STREAM_BYTES = 32 << 20 };

/* ---- Operands and derivatives ---- */

static void set_operand(struct run *run, int k, const struct loss_tensor *tensor,
                        struct strided_view view, bool indexed)
{
    const bool once = view.shared && view.row_rank > 0;
    run->operand[k] = (struct operand){.present = true,
                                       .indexed = indexed,
                                       .view = view,
                                       .data = tensor->data,
                                       .dtype = tensor->dtype,
                                       .stride = once ? 0 : view.elements_per_term};
}

static void set_derivative(struct run *run, int k, const struct loss_tensor *into, bool second)
{
    run->derivative[run->derivatives++] = (struct derivative){
        .into = into, .k = k, .second = second, .view = strided_tensor(run->plan, k, true)};
}

static void set_tensors(struct run *run)
{
    const struct loss_plan *plan = run->plan;
    const struct loss_tensor *upstream = &plan->grad_output, *weight = &plan->sample_weight;
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        if (plan->present[k])
            set_operand(run, k, &plan->tensor[k], strided_tensor(plan, k, false), plan->indexed[k]);
        if (plan->grad_mask >> k & 1)
            set_derivative(run, k, &plan->grad[k], false);
        if (plan->hess_mask >> k & 1)
            set_derivative(run, k, &plan->hess[k], true);
    }
    if (plan->has_grad_output)
        set_operand(run, UPSTREAM, upstream, strided_like_terms(plan, upstream), false);
    if (plan->has_sample_weight)
        set_operand(run, SAMPLE_WEIGHT, weight,
                    weight->rank == plan->terms.rank ? strided_like_terms(plan, weight)
                                                     : strided_samples(plan, weight),
                    false);
}

/* ---- Kernel and tensors in place ---- */

static bool is_aligned(const void *data, enum loss_dtype dtype)
{
    return (uintptr_t)data % loss_dtype_size(dtype) == 0;
}

/* Returns true if a kernel can use the tensor in place: its elements are aligned, contiguous and of
 * dtype `wanted`. */
static bool is_directly_usable(const struct strided_view *view, const void *data,
                               enum loss_dtype dtype, enum loss_dtype wanted)
{
    return dtype == wanted && is_aligned(data, dtype) &&
           (view->dense || (view->shared && view->row_dense && view->elements_per_term > 1));
}

static bool fits_float32(enum loss_dtype dtype)
{
    return dtype == LOSS_FLOAT32 || dtype == LOSS_FLOAT16 || dtype == LOSS_BFLOAT16;
}

/* Chooses the kernel. The choice may change the last bits of a result, so it depends only on dtypes
   and broadcasting, never on strides or alignment. */
static void choose_kernel(struct run *run)
{
    run->f32 = run->method->kernel_f32 != NULL;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const struct operand *operand = &run->operand[k];
        run->f32 &= !operand->present || operand->indexed || fits_float32(operand->dtype);
    }
    for (int i = 0; i < run->derivatives; i++) {
        const struct derivative *d = &run->derivative[i];
        run->f32 &= !strided_repeats(&d->view) && d->into->dtype == LOSS_FLOAT32;
    }
}

/* Chooses which tensors the kernel uses in place. */
static void choose_places(struct run *run)
{
    const enum loss_dtype wanted = run->f32 ? LOSS_FLOAT32 : LOSS_FLOAT64;
    for (int k = 0; k < OPERANDS; k++) {
        struct operand *operand = &run->operand[k];
        operand->in_place =
            operand->present && is_directly_usable(&operand->view, operand->data, operand->dtype,
                                                   operand->indexed ? LOSS_INT64 : wanted);
    }
    for (int i = 0; i < run->derivatives; i++) {
        struct derivative *d = &run->derivative[i];
        d->in_place = !strided_repeats(&d->view) &&
                      is_directly_usable(&d->view, d->into->data, d->into->dtype, wanted);
        if (run->f32 && d->in_place && !d->second && loss_tensor_bytes(d->into) >= STREAM_BYTES)
            run->streams |= UINT32_C(1) << d->k;
    }
}

/* ---- Grid and scratch ---- */

static void choose_grid(struct run *run)
{
    run->terms = loss_tensor_elements(&run->plan->terms);
    size_t longest = run->terms > 0 ? size_max(1, run->plan->elements / run->terms) : 1;
    for (int k = 0; k < OPERANDS; k++)
        if (run->operand[k].present && run->operand[k].stride > 0)
            longest = size_max(longest, run->operand[k].view.elements_per_term);

    const size_t chunk = longest > SHORT_ROW ? ROWS_CHUNK : LOSS_CHUNK;
    run->chunk = size_max(1, chunk / longest);
    if (run->method->terms_per_chunk)
        run->chunk = run->method->terms_per_chunk(run->plan);
    else if (run->chunk > ROWS_MULTIPLE)
        run->chunk -= run->chunk % ROWS_MULTIPLE;
    run->block = run->chunk * size_max(1, BLOCK_ELEMENTS / run->chunk / longest);
    run->blocks = run->terms / run->block + (run->terms % run->block != 0);
}

/* Adds an array of `terms` * `each` numbers to the scratch memory. Returns false if its size
   overflows. */
static bool add_scratch(size_t *total, size_t terms, size_t each, size_t *offset)
{
    size_t count;
    *offset = *total;
    return !__builtin_mul_overflow(terms, each, &count) &&
           !__builtin_add_overflow(*total, count, total);
}

/* Divides a thread's scratch memory into arrays. */
static bool divide_scratch(struct run *run)
{
    size_t *const total = &run->thread_scratch;
    bool fits = true;
    for (int k = 0; k < OPERANDS; k++) {
        struct operand *operand = &run->operand[k];
        if (operand->present && !operand->in_place && operand->stride > 0)
            fits &= add_scratch(total, run->chunk, operand->stride, &operand->scratch);
    }
    for (int i = 0; i < run->derivatives; i++) {
        struct derivative *d = &run->derivative[i];
        if (!d->in_place)
            fits &= add_scratch(total, run->chunk, d->view.elements_per_term, &d->scratch);
    }
    fits &= add_scratch(total, run->chunk, 1, &run->term_scratch) &&
            add_scratch(total, run->chunk, 1, &run->scale_scratch) &&
            add_scratch(total, run->chunk, 1, &run->discard_scratch);
    return fits && add_scratch(total, 1, run->method->scratch ? run->method->scratch(run->plan) : 0,
                               &run->method_scratch);
}

bool layout_choose(struct run *run, const struct loss_plan *plan)
{
    *run = (struct run){.plan = plan,
                        .method = plan->loss->method,
                        .divisor = plan->divisor,
                        .output_view = strided_terms(plan)};
    set_tensors(run);
    choose_kernel(run);
    choose_places(run);
    choose_grid(run);
    return divide_scratch(run);
}

size_t layout_threads(const struct run *run, int threads)
{
    return size_min(threads > 0 ? (size_t)threads : 1, size_max(run->blocks, 1));
}

/* ---- Memory ---- */

/* Adds the size of an array of a * b loss_reals. Returns false on overflow. */
static bool add_array(size_t *total, size_t a, size_t b)
{
    size_t count;
    return !__builtin_mul_overflow(a, b, &count) && count <= PTRDIFF_MAX / sizeof(loss_real) &&
           !__builtin_add_overflow(*total, size_max(count, 1) * sizeof(loss_real), total);
}

size_t layout_bytes(const struct loss_plan *plan, int threads)
{
    struct run run;
    size_t total = sizeof run + sizeof(struct run *); /* of run_all() with several plans */
    bool fits = layout_choose(&run, plan);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const struct operand *operand = &run.operand[k];
        if (operand->present && !operand->in_place && operand->stride == 0)
            fits = fits && add_array(&total, 1, operand->view.elements_per_term);
    }
    for (int i = 0; i < run.derivatives; i++)
        if (strided_repeats(&run.derivative[i].view))
            fits = fits && add_array(&total, run.terms, run.derivative[i].view.elements_per_term);
    if (run.method->state_per_term)
        fits = fits && add_array(&total, run.terms, run.method->state_per_term(plan));
    fits = fits && add_array(&total, run.thread_scratch, layout_threads(&run, threads)) &&
           add_array(&total, run.chunk, 3) &&
           add_array(&total, layout_threads(&run, threads),
                     (sizeof *run.partial + sizeof(loss_real) - 1) / sizeof(loss_real));
    return fits ? total : SIZE_MAX;
}

/* Allocates an array of a * b loss_reals. Returns NULL if memory ran out or the size overflows. */
static loss_real *allocate(size_t a, size_t b)
{
    size_t count;
    if (__builtin_mul_overflow(a, b, &count) || count > PTRDIFF_MAX / sizeof(loss_real))
        return NULL;
    return malloc(size_max(count, 1) * sizeof(loss_real));
}

/* Makes the converted copies of operands that all terms share. Returns false if memory ran out. */
static bool convert_shared_operands(struct run *run)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        struct operand *operand = &run->operand[k];
        if (!operand->present || operand->in_place || operand->stride > 0)
            continue;
        operand->shared_copy = allocate(1, operand->view.elements_per_term);
        if (!operand->shared_copy)
            return false;
        block_copy_operand(run, operand, 0, run->terms > 0, operand->shared_copy);
    }
    return true;
}

bool layout_allocate(struct run *run, const struct loss_plan *plan, int threads)
{
    if (!layout_choose(run, plan) || !convert_shared_operands(run))
        return false;
    for (int i = 0; i < run->derivatives; i++) {
        struct derivative *d = &run->derivative[i];
        if (strided_repeats(&d->view) &&
            !(d->summed = allocate(run->terms, d->view.elements_per_term)))
            return false;
    }
    if (run->method->state_per_term &&
        !(run->per_term_state = allocate(run->terms, run->method->state_per_term(plan))))
        return false;
    run->scratch = allocate(run->thread_scratch, layout_threads(run, threads));
    run->partial = malloc(layout_threads(run, threads) * sizeof *run->partial);
    run->constant = allocate(run->chunk, 3);
    return run->scratch && run->partial && run->constant;
}

void layout_free(struct run *run)
{
    for (int k = 0; k < OPERANDS; k++)
        free(run->operand[k].shared_copy);
    for (int i = 0; i < run->derivatives; i++)
        free(run->derivative[i].summed);
    free(run->per_term_state);
    free(run->constant);
    free(run->scratch);
    free(run->partial);
}
