/*
 * The interface that a file in core/losses/ implements, and helpers for it. Private to core/.
 *
 * A loss maps terms (elements, or rows) to numbers, which are then reduced. The loss implements the
 * map as a kernel over a block of terms. The engine (core/engine/) handles everything else: dtypes,
 * strides, broadcasting, threads, sums, divisors and upstream gradients. A kernel sees contiguous
 * arrays only.
 */
#ifndef CORE_KERNEL_LOSS_KERNEL_H
#define CORE_KERNEL_LOSS_KERNEL_H

#include "kernel/cancel.h"
#include "loss.h"

#include "kernel/compensated_sum.h"
#include "kernel/exact_window.h"
#include "kernel/vector_math.h"

/* The type of formulas. Even float32 requests are computed in double and rounded once, at the end,
   unless a kernel says otherwise. */
typedef double loss_real;

/* Maximum number of elements of an operand in a struct loss_block of short rows (layout.c). */
enum { LOSS_CHUNK = 1024 };

/*
 * Consecutive terms, as a kernel sees them. Term i of operand k starts at
 *
 *     in[k] + i * stride[k]        a tensor of numbers
 *     index[k] + i * stride[k]     a tensor that the plan reads as integers
 *     in_f32[k] + i * stride[k]    a tensor of numbers, for kernel_f32
 *
 * Exactly one of the three is not NULL, or none if the operand is absent.
 */
struct loss_block {
    size_t first, n; /* index of the first term, and number of terms */
    const loss_real *in[LOSS_MAX_TENSORS];
    const int64_t *index[LOSS_MAX_TENSORS];
    const float *in_f32[LOSS_MAX_TENSORS];
    size_t elements_per_term[LOSS_MAX_TENSORS];
    size_t stride[LOSS_MAX_TENSORS]; /* elements_per_term, or 0 if all terms share the operand */
    const struct loss_value *param;
    loss_real number[LOSS_MAX_PARAMS]; /* the parameters as numbers, for formulas; a kernel may
                                          replace them with constants that it derives from them */
    const struct loss_plan *plan;
    const struct loss_control *cancel; /* once cancelled, a kernel returns promptly; what it has
                                          written is not used (cancel.h) */

    /* out: the terms, [n] */
    loss_real *term;

    /* out: derivatives, [n * elements_per_term[k]]; NULL if not requested. The kernel multiplies
       those of term i by scale[i], the upstream gradient times the sample weight, divided by the
       divisor. hess: the second derivative with respect to each element alone. The _f32 arrays are
       for kernel_f32. */
    const loss_real *scale;
    loss_real *grad[LOSS_MAX_TENSORS], *hess[LOSS_MAX_TENSORS];
    float *grad_f32[LOSS_MAX_TENSORS], *hess_f32[LOSS_MAX_TENSORS];
    uint32_t streams; /* bit set of the gradients in grad_f32 that are so large that stores which
                         bypass the caches (stream.h) are faster */

    /* If not NULL, only the sum of the terms is needed and `scale` is the same for all terms. A
       kernel may then add the terms to `sum` and set `reduced`, instead of writing them. */
    struct exact_accumulator *sum;
    bool reduced;

    size_t ignored;         /* out: number of ignored terms */
    size_t invalid;         /* out: the first term with an invalid element; initially n: none */
    size_t invalid_element; /* out: which element of that term ... */
    int invalid_tensor;     /* ... of which tensor; initially the method's `checked_tensor` */

    loss_real *per_term_state; /* state_per_term() numbers for each term of the batch */
    loss_real *scratch;        /* scratch() numbers, with undefined contents */

    /* For elementwise kernels, [n]: ones in place of absent operands, and an array that receives
       the derivatives that are not requested. */
    const loss_real *default_operand;
    const float *default_operand_f32;
    loss_real *discard;
};

enum { LOSS_MAX_PASSES = 2 };

/* The cost of a loss in units of loss_plan.work: per term; and per element of the plan, for the
   value alone, with the gradient of the first tensor, and with any other derivatives. It includes
   all passes, but not the engine's work: copies, sums and gradients of broadcast tensors (cost.c).
   `make check-cost` measures it. */
struct loss_cost {
    loss_real term, value, gradient, all;
};

struct loss_method {
    /* Sets plan->terms, axis, indexed and has_term_weights from the shapes of the tensors. */
    enum loss_status (*shape)(struct loss_plan *plan, struct loss_error *error);
    /* Computes the terms of a block, and the derivatives whose array is not NULL. */
    void (*kernel_f64)(struct loss_block *block);
    /* Like kernel_f64, if all operands and derivatives are float32: reads in_f32, writes grad_f32
       and hess_f32. If NULL, kernel_f64 is used. */
    void (*kernel_f32)(struct loss_block *block);

    /* Runs once before the passes below, on one thread, over all terms. It reads the operands that
       all terms share, writes per_term_state, and takes constant time per term. NULL if absent. */
    void (*start)(struct loss_block *block);
    /* For losses whose terms depend on all rows: passes over all blocks before the kernel. Each
       writes per_term_state for the later passes and the kernel. Terminated by NULL. */
    void (*prepare[LOSS_MAX_PASSES])(struct loss_block *block);
    /* Returns the size of per_term_state for one term. NULL for 0. */
    size_t (*state_per_term)(const struct loss_plan *plan);
    /* Returns the size of block->scratch in numbers. NULL for 0. */
    size_t (*scratch)(const struct loss_plan *plan);
    /* Returns the maximum number of terms in a block, for kernels that process terms together. If
       NULL, it depends on the number of elements of a term (layout.c). */
    size_t (*terms_per_chunk)(const struct loss_plan *plan);

    /* Returns the number of elements that the kernel processes; SIZE_MAX on overflow. If NULL, that
       of the terms or of the longest tensor, whichever is larger. */
    size_t (*elements)(const struct loss_plan *plan);
    /* The cost, or a function that returns it if it depends on the plan. */
    struct loss_cost cost;
    struct loss_cost (*cost_of)(const struct loss_plan *plan);

    /* If plan->has_term_weights: writes to block->term what each term adds to the divisor of the
       mean. Only the operands in `term_weight_operands` are set, and no derivatives. */
    void (*term_weights)(struct loss_block *block);
    uint32_t term_weight_operands;
    /* Returns true if term i is ignored; its sample weight then has no effect. At least the
       operands in `term_weight_operands` are set. NULL if no term is ever ignored. */
    bool (*is_ignored)(const struct loss_block *block, size_t i);

    /* If a batch cannot be split into parts, returns the reason, as part of a sentence: "each query
       is compared with every key"; else returns NULL. NULL if every batch can be split. */
    const char *(*indivisible)(const struct loss_plan *plan);
    /* Returns where tensor k of `rank` dimensions has its samples (loss_plan.sample_axis). NULL:
       along the axis that corresponds to the first dimension of the terms. */
    int (*sample_axis)(int k, int rank);

    /* The tensor whose elements the kernel checks, if it is always the same one. */
    int checked_tensor;
    /* Writes the condition that elements of a tensor must satisfy, for an error message: "class
       indices must be in [0, 10)". */
    void (*expected)(const struct loss_plan *plan, int tensor, char *text, size_t size);
};

/* ---- Shape rules (plan/shape.c) ---- */

/* One term for each element of all tensors broadcast together. Optional tensors must broadcast to
   the shape of the others. */
enum loss_status loss_shape_broadcast(struct loss_plan *plan, struct loss_error *error);
/* Like loss_shape_broadcast(), with PyTorch's warning if target and input differ in shape. */
enum loss_status loss_shape_broadcast_warn(struct loss_plan *plan, struct loss_error *error);
/* Like loss_shape_broadcast(), for input, target and an optional weight of the terms; the mean
   divides by the sum of the weights. The method sets `term_weights` to loss_element_term_weights
   and `term_weight_operands` to WEIGHTED_OPERANDS. */
enum loss_status loss_shape_weighted(struct loss_plan *plan, struct loss_error *error);
void loss_element_term_weights(struct loss_block *block);
enum { WEIGHTED_WEIGHT = 2, WEIGHTED_OPERANDS = 1u << WEIGHTED_WEIGHT };
/* One term for each element. The required tensors have the same shape; optional ones broadcast. */
enum loss_status loss_shape_same(struct loss_plan *plan, struct loss_error *error);
/* One term for each row of classes. Tensors: input (C), (N, C) or (N, C, d1, ...); target, class
   indices of the input's shape without C, or probabilities of the input's shape if its kind is
   LOSS_CLASSES; weight (C). */
enum loss_status loss_shape_classes(struct loss_plan *plan, struct loss_error *error);
/* One term for each pair of rows: input1, input2 (N, D) or (D), target (N) or (). */
enum loss_status loss_shape_pairs(struct loss_plan *plan, struct loss_error *error);
/* One term for each row of the last `within` dimensions. The required tensors have the same shape,
   of at least `within` dimensions; optional ones broadcast to it, but not along those dimensions.
 */
enum loss_status loss_shape_rows(struct loss_plan *plan, int within, struct loss_error *error);

/* Fails for a tensor of the wrong shape with "target has shape (4,); " and `format`, which states
   what was expected. */
__attribute__((format(printf, 4, 5))) enum loss_status
loss_shape_error(const struct loss_plan *plan, struct loss_error *error, int tensor,
                 const char *format, ...);

/* Returns true if a tensor broadcasts to `shape`. */
bool loss_broadcasts_to(const struct loss_tensor *tensor, const struct loss_tensor *shape);
/* Returns true if two tensors have the same shape. */
bool loss_same_shape(const struct loss_tensor *a, const struct loss_tensor *b);
/* Adds a warning to a plan. */
enum loss_warning { WARN_BROADCAST, WARN_MEAN, WARN_BACKGROUND, WARN_WEIGHT, LOSS_WARNINGS };
void loss_warn(struct loss_plan *plan, enum loss_warning warning);

/* ---- Parts of batches (plan/split.c) ---- */

/* Checks that the batch of a plan can be a part of a larger one, and sets plan->sample_axis. */
enum loss_status loss_check_split(struct loss_plan *plan, struct loss_error *error);

/* ---- Descriptors ---- */

/* The numbers of a tensor in a loss's example. */
#define NUMBERS(...) ((const double[]){__VA_ARGS__})

/* The reductions that every loss supports. */
enum { MEAN_SUM_NONE = 1u << LOSS_MEAN | 1u << LOSS_SUM | 1u << LOSS_NONE };

/* ---- Formulas ---- */

static inline void zero_all(loss_real *x, size_t n, const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        memset(x + s.first, 0, slice_len(&s) * sizeof *x);
}

/* Returns the larger number; b if either is NaN. Unlike fmax(), it can be vectorized. */
static inline loss_real vmax(loss_real a, loss_real b)
{
    return a > b ? a : b;
}

/* Returns the smaller number; b if either is NaN. */
static inline loss_real vmin(loss_real a, loss_real b)
{
    return a < b ? a : b;
}

/* Returns -1, 0 or 1; 0 for NaN, like PyTorch. */
static inline loss_real sign(loss_real x)
{
    const loss_real below = x < 0 ? -1 : 0;
    return x > 0 ? 1 : below;
}

/* Returns max(0, x); NaN if x is NaN, like PyTorch's clamp. */
static inline loss_real positive(loss_real x)
{
    return x <= 0 ? 0 : x;
}

#endif
