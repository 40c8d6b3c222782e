/* What the parts of the engine share: run.c evaluates, broadcast_reduce.c sums the gradients of
   what terms share, invalid_element.c says which element cannot be. */
#ifndef CORE_ENGINE_RUN_H
#define CORE_ENGINE_RUN_H

#include "engine/strided.h"
#include "kernel/compensated_sum.h"

/* grad_output and the sample weights go with the tensors. */
enum { UPSTREAM = LOSS_MAX_TENSORS, SAMPLE_WEIGHT, OPERANDS };

/* One operand as the engine reads it. */
struct operand {
    bool present, indexed;
    struct walk walk;
    const void *data;
    enum loss_dtype dtype;
    size_t row; /* from one term to the next, in what the kernel sees; 0 where all terms share it */
    bool in_place;  /* the kernel sees the data itself ... */
    real *whole;    /* ... or, shared by all terms and converted once, this; owned ... */
    size_t scratch; /* ... or a copy of a chunk, which stands here in a thread's scratch, in reals
                       from its start */
};

/* A gradient or a diagonal of a Hessian, as the engine writes it. */
struct derivative {
    const struct loss_tensor *into;
    int k;       /* with respect to this tensor */
    bool second; /* a diagonal */
    struct walk walk;
    bool in_place; /* the kernel writes into it ... */
    bool streamed; /* ... or, as float32, to `scratch`, from where it goes past the caches ... */
    real *summed;  /* ... or, since terms share its elements, into this, for each term; owned ... */
    size_t scratch; /* ... or here, as above */
};
enum { DERIVATIVES = 2 * LOSS_MAX_TENSORS };

/* What one block adds up to. */
struct partial {
    struct sum sum;
    size_t ignored, nonfinite;
    size_t invalid, invalid_element; /* the first term that cannot be, terms if there is none; which
                                        of its elements ... */
    int invalid_tensor;              /* ... of which tensor */
};

/* What is done with a chunk: weights are summed for the divisor of the mean, the method prepares,
 * terms are evaluated. */
enum pass { WEIGH, PREPARE, EVALUATE = PREPARE + LOSS_MAX_PASSES };

struct run {
    const struct loss_plan *plan;
    const struct loss_method *method;
    size_t terms, chunk, block,
        blocks;  /* how many there are; terms in a chunk, in a block; how many blocks */
    bool single; /* the method's `single` kernel sees float32 in place */
    struct operand operand[OPERANDS];
    struct derivative derivative[DERIVATIVES];
    int derivatives;
    size_t term_scratch, scale_scratch, waste_scratch, method_scratch,
        thread_scratch; /* in reals */
    real *scratch;      /* owned: that of all threads */
    real *constant; /* owned: a chunk of the scale of all terms, if they have the same, a chunk of
                       ones, and one of float ones */
    real *kept;     /* owned: what the method keeps for each term */
    struct partial *partial; /* owned: one for each block */
    struct walk loss_walk;
    double divisor;
    int pass;
};

/* Decides all that needs no memory; false if some of it would be more than can be counted. */
bool run_lay_out(struct run *run, const struct loss_plan *plan);

/* Whether terms share an element of a tensor: then they may not write its derivative side by side.
 */
bool run_repeats(const struct walk *walk);

/* What a plan costs, in units of loss_plan.work. */
size_t run_work(const struct loss_plan *plan);

/* loss_run_bytes and loss_run_all, on the instruction set that this was built for. */
size_t run_bytes(const struct loss_plan *plan, int threads);
enum loss_status run_plans(const struct loss_plan *const plans[], size_t n, int threads,
                           struct loss_result results[], size_t *failed, struct loss_error *error);

/* Sums the gradients whose elements are shared by terms, and writes them. */
void fold_gradients(struct run *run, int threads);

/* Fails with what is wrong about the first element that cannot be. */
enum loss_status blame_element(const struct run *run, const struct partial *whole,
                               struct loss_error *error);

#endif
