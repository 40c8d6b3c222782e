/*
 * How a loss is computed: what a file in core/losses/ brings, and the tools that it is written
 * with. Private to core/.
 *
 * A loss is a map from terms (elements, or rows) to numbers, followed by a reduction. The loss
 * brings the map, as a kernel over a block of terms; walking tensors of any dtype, stride and
 * broadcast, threads, sums, divisors and upstream gradients are the engine's (run.c). A kernel
 * therefore sees contiguous arrays of `real` and nothing else.
 */
#ifndef CORE_KERNEL_LOSS_KERNEL_H
#define CORE_KERNEL_LOSS_KERNEL_H

#include "kernel/cancel.h"
#include "loss.h"

#include "kernel/compensated_sum.h"
#include "kernel/vector_math.h"

/* The arithmetic of formulas. float32 requests are computed in double and rounded once, at the end.
 */
typedef double real;

/* The most elements of an operand that a block holds, unless a single term has more. */
enum { LOSS_CHUNK = 1024 };

/* A run of consecutive terms. Operand k of term i stands at in[k] + i * row[k], or index[k] + i *
   row[k] where the plan reads it as integers; the other one is NULL, and both are where the operand
   was left out. */
struct loss_block {
    size_t first, n;                  /* the first of the terms, and how many they are */
    const real *in[LOSS_MAX_TENSORS]; /* what each operand holds for them */
    const int64_t *index[LOSS_MAX_TENSORS];
    size_t row[LOSS_MAX_TENSORS]; /* from one term to the next: `len`, or 0 where all terms share
                                     the operand */
    size_t len[LOSS_MAX_TENSORS]; /* elements of the operand that belong to one term */
    const float *in32[LOSS_MAX_TENSORS]; /* for the `single` kernel, in place of `in` */
    const struct loss_value *param;
    const struct loss_plan *plan;
    const struct loss_control *cancel; /* plan->control: once it says so, a kernel returns soon,
                                          whatever it has written (cancel.h) */
    const real *
        scale; /* [n]: upstream gradient over divisor, by which the kernel multiplies derivatives */

    real *term;   /* out, [n] */
    bool reduce;  /* the terms need not be stored: only their sum is wanted, and `scale` is the same
                     for all */
    bool reduced; /* out: so it was done, and `sum` has what they add up to, in lanes */
    real sum[SUM_LANES];
    real *grad[LOSS_MAX_TENSORS]; /* out, [n * len[k]]; NULL where it is not asked for */
    real *hess[LOSS_MAX_TENSORS]; /* the same: second derivatives, each by its element alone */
    float *grad32[LOSS_MAX_TENSORS],
        *hess32[LOSS_MAX_TENSORS]; /* for the `single` kernel, in place of these */
    size_t ignored;                /* out: terms that do not count */
    size_t invalid; /* out: the first term that cannot be; n, as found, where there is none */
    size_t invalid_element; /* out: which element of that term's row it is ... */
    int invalid_tensor;     /* out: ... of which tensor; the method's `checked`, as found */
    real *kept;    /* what the method keeps for all terms of the batch, `keep` numbers a term */
    real *scratch; /* the numbers that the method's `scratch` asked for; what they hold is left from
                      before */
    const real
        *ones; /* [n], for elementwise kernels: in place of operands that were left out ... */
    const float *ones32;          /* ... */
    real *waste;                  /* [n]: ... and of derivatives that were not asked for */
    real number[LOSS_MAX_PARAMS]; /* the parameters as reals, for formulas */
};

enum { LOSS_MAX_PASSES = 2 };

/* What a loss costs, in units of loss_plan.work: each term, and each of the plan's elements for the
   value alone, with the gradient of the first tensor, or with any other derivatives. All passes are
   counted, but not what the engine adds: copies, sums, and shared gradients (cost.c). `make
   check-cost` prints what they are measured to be. */
struct loss_cost {
    real term, value, gradient, all;
};

struct loss_method {
    /* Sets plan->terms, axis, indexed and weighed from the shapes of the tensors that are present.
     */
    enum loss_status (*shape)(struct loss_plan *plan, struct loss_error *error);
    /* Computes the terms of a block, and those gradients and second derivatives whose array is
     * there. */
    void (*kernel)(struct loss_block *block);
    /* Runs once, before all else, on one thread, over all terms: it sees the operands that these
       share, writes to `kept`, and takes no longer than a look at each term. NULL if there is
       nothing to do. */
    void (*start)(struct loss_block *block);
    /* The same as `kernel`, where all operands and derivatives are float32 and stand ready: in32,
     * grad32, hess32. NULL if there is none. */
    void (*single)(struct loss_block *block);
    /* For losses whose terms depend on all rows: these run over all blocks, one after the other,
       before the kernel does, and leave in `kept` what they find, `keep` numbers for each term, for
       those that come after them. NULL ends them. */
    void (*prepare[LOSS_MAX_PASSES])(struct loss_block *block);
    size_t (*keep)(const struct loss_plan *plan);
    /* How many numbers the kernel wants to work with; NULL for none. */
    size_t (*scratch)(const struct loss_plan *plan);
    /* How many elements it works on, where these are more than the tensors hold; NULL where they
       are not. SIZE_MAX if they are too many to be counted. */
    size_t (*elements)(const struct loss_plan *plan);
    /* What it costs; or, where that depends on the plan, a function that says so. */
    struct loss_cost cost;
    struct loss_cost (*cost_of)(const struct loss_plan *plan);
    /* For plan->weighed: what each term adds to the divisor of the mean. Gets no gradients and only
       the operands in `weigh_operands`; writes block->term. */
    void (*weigh)(struct loss_block *block);
    uint32_t weigh_operands;
    /* Returns true if term i of a block is ignored, so that no sample weight is read for it. Gets
       the operands that `weigh` gets. NULL if no term ever is. */
    bool (*ignores)(const struct loss_block *block, size_t i);
    /* Which tensor the kernel checks, if it is always the same; and what elements of a tensor must
       be ("class indices must be in [0, 10)"). */
    int checked;
    void (*expected)(const struct loss_plan *plan, int tensor, char *text, size_t size);
};

/* ---- shape rules (shape.c) ---- */

/* One term for each element, all tensors broadcast together; optional ones must fit into what the
 * others make. */
enum loss_status loss_shape_broadcast(struct loss_plan *plan, struct loss_error *error);
/* The same, with PyTorch's warning where the target's shape is not the input's. */
enum loss_status loss_shape_broadcast_warn(struct loss_plan *plan, struct loss_error *error);
/* The same, for losses whose tensors are input, target and an optional weight of the terms, and
   whose mean divides by the sum of the weights: these have loss_weigh_weights and WEIGHTED_OPERANDS
   as `weigh` and `weigh_operands`. */
enum loss_status loss_shape_weighted(struct loss_plan *plan, struct loss_error *error);
void loss_weigh_weights(struct loss_block *block);
enum { WEIGHTED_WEIGHT = 2, WEIGHTED_OPERANDS = 1u << WEIGHTED_WEIGHT };
/* One term for each element, the required tensors of equal shapes; optional ones broadcast. */
enum loss_status loss_shape_same(struct loss_plan *plan, struct loss_error *error);
/* One term for each row of classes: tensors are input (C), (N, C) or (N, C, d1, ...), target of
   class indices without the C or of probabilities of the input's shape where it is LOSS_CLASSES,
   and weight (C). */
enum loss_status loss_shape_classes(struct loss_plan *plan, struct loss_error *error);
/* One term for each pair of rows: input1, input2 (N, D) or (D), target (N) or (). */
enum loss_status loss_shape_pairs(struct loss_plan *plan, struct loss_error *error);

/* One term for each row of the last `within` dimensions: the required tensors of one shape, of at
   least so many dimensions; optional ones broadcast to it, but not along those dimensions. */
enum loss_status loss_shape_rows(struct loss_plan *plan, int within, struct loss_error *error);

/* Fails for a tensor whose shape does not fit; `why` says what was expected, ending the sentence
 * "target has shape (4,); ...".
 */
__attribute__((format(printf, 4, 5))) enum loss_status loss_misfit(const struct loss_plan *plan,
                                                                   struct loss_error *error,
                                                                   int tensor, const char *why,
                                                                   ...);

/* Returns true if a tensor broadcasts to `shape` without widening it. */
bool loss_broadcasts_to(const struct loss_tensor *tensor, const struct loss_tensor *shape);

/* Whether two tensors have the same dimensions. */
bool loss_same_shape(const struct loss_tensor *a, const struct loss_tensor *b);

/* Adds a warning to a plan; `text` is static. */
void loss_warn(struct loss_plan *plan, const char *text);

/* The numbers of a tensor in a loss's example. */
#define NUMBERS(...) ((const double[]){__VA_ARGS__})

/* The reductions that every loss has. */
enum { MEAN_SUM_NONE = 1u << LOSS_MEAN | 1u << LOSS_SUM | 1u << LOSS_NONE };

/* ---- long rows ---- */

static inline void zero_all(real *x, size_t n, const struct loss_control *cancel)
{
    for (struct stretch s = {0}; stretch_next(&s, n, cancel);)
        memset(x + s.first, 0, stretch_len(&s) * sizeof *x);
}

/* ---- small mathematics ---- */

/* Formulas say exp and log, and mean those that can be vectorised. */
#define exp   math_exp
#define log   math_log
#define log1p math_log1p

/* The larger of two; b where a is NaN. Unlike fmax it can be vectorised. */
static inline real larger_of(real a, real b)
{
    return a > b ? a : b;
}

/* -1, 0 or 1; 0 for NaN, as PyTorch has it. */
static inline real sign(real x)
{
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

/* max(0, x) that lets NaN through, as PyTorch's clamp does. */
static inline real positive(real x)
{
    return x <= 0 ? 0 : x;
}

#endif
