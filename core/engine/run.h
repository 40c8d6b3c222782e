/*
 * Shared by the parts of the engine: the state of one evaluation, and the functions of
 *
 *     layout.c             chooses how a plan is run: grid, kernel, copies, scratch memory
 *     block.c              evaluates one block of terms
 *     broadcast_reduce.c   sums the gradients of broadcast tensors
 *     invalid_element.c    reports an element that a loss rejects
 *     cost.c               estimates the work of a plan
 *     run.c                runs all blocks and combines their results
 */
#ifndef CORE_ENGINE_RUN_H
#define CORE_ENGINE_RUN_H

#include "engine/strided.h"
#include "kernel/exact_window.h"

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Indices of grad_output and the sample weights among the operands, after the tensors. */
enum { UPSTREAM = LOSS_MAX_TENSORS, SAMPLE_WEIGHT, OPERANDS };

/*
 * One operand. The kernel reads it from one of three places: `data` (in_place), `shared_copy` (an
 * operand that all terms share, converted once), or a converted copy of each chunk.
 */
struct operand {
    bool present, indexed;
    struct strided_view view;
    const void *data; /* borrowed */
    enum loss_dtype dtype;
    size_t stride; /* elements from one term to the next in what the kernel reads; 0 if all terms
                      share the operand */
    bool in_place;
    loss_real *shared_copy; /* owned */
    size_t scratch;         /* offset of the chunk's copy in a thread's scratch, in loss_reals */
};

/*
 * A gradient, or the diagonal of a Hessian. The kernel writes it to `into` (in_place), to `summed`
 * (if terms share elements), or to a thread's scratch memory, which is then converted to
 * `into`.
 */
struct derivative {
    const struct loss_tensor *into;
    int k;       /* index of the tensor that it is the derivative with respect to */
    bool second; /* a Hessian diagonal */
    struct strided_view view;
    bool in_place;
    loss_real *summed; /* owned: one row for each term */
    size_t scratch;    /* offset in a thread's scratch, in loss_reals */
};
enum { DERIVATIVES = 2 * LOSS_MAX_TENSORS };

/* The result of the blocks that one thread evaluated, or of all blocks. */
struct partial {
    struct exact_accumulator sum; /* of the terms; empty with LOSS_NONE */
    size_t ignored;
    size_t nonfinite; /* with LOSS_NONE: terms that are NaN or infinite; else `sum` counts them */
    size_t invalid;   /* first term that has an invalid element; the number of terms if none */
    size_t invalid_element; /* which element of that term ... */
    int invalid_tensor;     /* ... of which tensor */
};

/* The passes over all blocks. */
enum pass { PASS_WEIGHTS, PASS_PREPARE, PASS_EVALUATE = PASS_PREPARE + LOSS_MAX_PASSES };

/* One evaluation of a plan. */
struct run {
    const struct loss_plan *plan;
    const struct loss_method *method;
    size_t terms;     /* number of terms */
    size_t chunk;     /* terms for one call of the kernel */
    size_t block;     /* terms that a thread takes at a time: a multiple of `chunk` */
    size_t blocks;    /* number of blocks */
    bool f32;         /* method->kernel_f32 is used, else kernel_f64 */
    uint32_t streams; /* loss_block.streams */
    struct operand operand[OPERANDS];
    struct derivative derivative[DERIVATIVES];
    int derivatives;
    struct strided_view output_view;
    /* Offsets in a thread's scratch memory, and its size, in loss_reals. */
    size_t term_scratch, scale_scratch, discard_scratch, method_scratch, thread_scratch;
    loss_real *scratch;        /* owned: the scratch of all threads */
    loss_real *constant;       /* owned: three arrays of a chunk: 1 / divisor, ones, float ones */
    loss_real *per_term_state; /* owned: method->state_per_term numbers for each term */
    struct partial *partial;   /* owned: one for each thread */
    double divisor;
    size_t nonfinite_weights; /* how many weights that the mean divides by are NaN or infinite */
    int pass;
};

/* ---- layout.c ---- */

/* Chooses the layout of a run without allocating anything. Returns false if a size overflows. */
bool layout_choose(struct run *run, const struct loss_plan *plan);
/* Chooses the layout and allocates the memory of a run on `threads` threads. Returns false if
   memory ran out or a size overflows. Call layout_free() in either case. */
bool layout_allocate(struct run *run, const struct loss_plan *plan, int threads);
void layout_free(struct run *run);
/* Returns how many of `threads` threads have work. */
size_t layout_threads(const struct run *run, int threads);
/* Returns an upper bound of the bytes that are allocated to run a plan (loss_run_bytes()). */
size_t layout_bytes(const struct loss_plan *plan, int threads);

/* ---- block.c ---- */

/* Evaluates block `block` in the current pass on thread `thread` and adds its result to
   run->partial[thread]. */
void block_evaluate(struct run *run, size_t block, int thread);
/* Converts terms [t, t + n) of an operand to the format that the kernel reads. */
void block_copy_operand(const struct run *run, const struct operand *operand, size_t t, size_t n,
                        loss_real *to);
/* Fills run->constant. Call it after run->divisor is set. */
void block_set_constants(struct run *run);
/* Calls method->start, if there is one. */
void block_start_method(const struct run *run);

/* ---- broadcast_reduce.c ---- */

/* Sums the derivatives whose elements are shared by terms, and writes them. */
void broadcast_reduce(struct run *run, int threads);

/* ---- invalid_element.c ---- */

/* Fails with a message about the invalid element in `whole`. */
enum loss_status invalid_element_error(const struct run *run, const struct partial *whole,
                                       struct loss_error *error);

/* ---- cost.c ---- */

/* Returns the estimated cost of a plan, in the unit of loss_plan.work. */
size_t cost_estimate(const struct loss_plan *plan);

/* ---- run.c ---- */

/* Implements loss_run_all() for the instruction set that this file is compiled for. */
enum loss_status run_all(const struct loss_plan *const plans[], size_t n, int threads,
                         struct loss_result results[], size_t *failed, struct loss_error *error);
/* The same for loss_run_weights(). */
enum loss_status run_weights(const struct loss_plan *plan, int threads, struct loss_error *error);

#endif
