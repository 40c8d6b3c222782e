/*
 * Makes kernels from a scalar formula.
 *
 * An elementwise loss defines one function. It reads the elements of its operands and the
 * parameters by the indices of its descriptor, and returns the term with its derivatives:
 *
 *     enum { INPUT, TARGET };
 *
 *     LOSS_FORMULA(squared)
 *     {
 *         const loss_real d = in[INPUT] - in[TARGET];
 *         return (struct element){.term = d * d, .grad = {2 * d, -2 * d}, .hess = {2}};
 *     }
 *     DEFINE_ELEMENTWISE_KERNELS(squared, 2)
 *
 * The macros expand to
 *
 *     static ALWAYS_INLINE struct element squared(const loss_real in[], const loss_real p[])
 *     {
 *         ...
 *     }
 *     static void squared_f64(struct loss_block *b)
 *     {
 *         elementwise(b, squared, NULL, NULL, 2, false, ANY_FORMULA);
 *     }
 *     static void squared_f32(struct loss_block *b)
 *     {
 *         elementwise(b, squared, NULL, NULL, 2, true, ANY_FORMULA);
 *     }
 *
 * and in the method, ELEMENTWISE_KERNELS(squared) to
 *     .kernel_f64 = squared_f64, .kernel_f32 = squared_f32
 * The compiler inlines the formula into loops over the block, one for each set of requested
 * derivatives. It vectorizes them if the formula has no branches, and drops what is not requested.
 */
#ifndef CORE_KERNEL_ELEMENTWISE_H
#define CORE_KERNEL_ELEMENTWISE_H

#include "inline.h"
#include "kernel/loss_kernel.h"
#include "kernel/prefetch.h"
#include "kernel/stream.h"
#include "kernel/wide_vector.h"

enum { ELEMENT_OPERANDS = 4 }; /* maximum number of operands of a formula */

/* The result of a formula. */
struct element {
    loss_real term;
    loss_real grad[ELEMENT_OPERANDS]; /* derivative of the term with respect to each operand */
    loss_real hess[ELEMENT_OPERANDS]; /* second derivative with respect to each prediction */
    int invalid;                      /* INVALID(k) if operand k has an invalid value, else 0 */
};

#define INVALID(k) (1 + (k))

typedef struct element element_formula(const loss_real in[], const loss_real p[]);

#define ELEMENT_UNUSED __attribute__((unused))

/* The head of a formula of operands in[] and parameters p[]. */
#define LOSS_FORMULA(name)                                                                         \
    static ALWAYS_INLINE struct element name(const loss_real in[],                                 \
                                             const loss_real p[] ELEMENT_UNUSED)

#define DEFINE_ELEMENTWISE_KERNELS(formula, operands)                                              \
    DEFINE_KERNELS_OF(formula, operands, ANY_FORMULA, NULL, NULL)

/* What the loops may assume of a formula. */
enum formula_traits {
    ANY_FORMULA,
    SHORT_FORMULA,      /* a few instructions; rejects no element */
    NONNEGATIVE_FORMULA /* likewise, and its terms are NaN or at least 0: its sums are faster */
};

#define DEFINE_SHORT_KERNELS(formula, operands)                                                    \
    DEFINE_KERNELS_OF(formula, operands, SHORT_FORMULA, NULL, NULL)

#define DEFINE_NONNEGATIVE_KERNELS(formula, operands)                                              \
    DEFINE_KERNELS_OF(formula, operands, NONNEGATIVE_FORMULA, NULL, NULL)

#define DEFINE_KERNELS_OF(formula, operands, traits, formula_f32, of_labels)                       \
    static void formula##_f64(struct loss_block *b)                                                \
    {                                                                                              \
        elementwise(b, formula, NULL, NULL, operands, false, traits);                              \
    }                                                                                              \
    static void formula##_f32(struct loss_block *b)                                                \
    {                                                                                              \
        elementwise(b, formula, formula_f32, of_labels, operands, true, traits);                   \
    }

/*
 * A second formula in float32 arithmetic, which processes twice as many elements per vector. A loss
 * whose formula is expensive may define one. It is used for float32 input and target without other
 * operands, if no derivative but the input's gradient is requested. The choice depends on the
 * request, never on other elements. Terms and gradients are within 1 ulp of float32 before they are
 * rounded or summed, unless the formula cancels.
 */
struct element_f32 {
    loss_real term;
    loss_real grad; /* derivative of the term with respect to the input */
    int invalid;    /* as in struct element */
};

typedef struct element_f32 element_formula_f32(const float in[], const loss_real p[]);

/* The head of a formula in float32 of input and target, in[0] and in[1], and parameters p[]. */
#define LOSS_FORMULA_F32(name)                                                                     \
    static ALWAYS_INLINE struct element_f32 name##_in_f32(const float in[],                        \
                                                          const loss_real p[] ELEMENT_UNUSED)

/* Like DEFINE_ELEMENTWISE_KERNELS, for a loss with both formulas. */
#define DEFINE_ELEMENTWISE_KERNELS_F32(formula, operands)                                          \
    DEFINE_KERNELS_OF(formula, operands, ANY_FORMULA, formula##_in_f32, NULL)

/* The head of a formula that gives the same bits as LOSS_FORMULA_F32 if the target is 0 or 1, with
   less work. It is used for blocks of such targets. */
#define LOSS_FORMULA_OF_LABELS(name)                                                               \
    static ALWAYS_INLINE struct element_f32 name##_of_labels(const float in[],                     \
                                                             const loss_real p[] ELEMENT_UNUSED)

#define DEFINE_ELEMENTWISE_KERNELS_OF_LABELS(formula, operands)                                    \
    DEFINE_KERNELS_OF(formula, operands, ANY_FORMULA, formula##_in_f32, formula##_of_labels)

/* The kernels as members of a struct loss_method. */
#define ELEMENTWISE_KERNELS(formula) .kernel_f64 = formula##_f64, .kernel_f32 = formula##_f32

/* What is the same for all elements of a block. The functions below are inlined with constants for
   it. */
struct elementwise {
    element_formula *formula;
    element_formula_f32 *formula_f32; /* used instead if not NULL */
    int operands;
    int operands_present; /* leading operands that are read; the others are absent and count as 1 */
    bool f32;             /* operands and derivatives are float32 */
    enum formula_traits traits;
    int grads, hess; /* number of leading operands that are differentiated once, and twice */
    bool streams;    /* the gradient of the first operand is streamed */
};

static ALWAYS_INLINE bool is_nonnegative(const struct elementwise e)
{
    return e.traits == NONNEGATIVE_FORMULA;
}

/* Returns true if reduce_vector() processes the elements. With vectors of two doubles, GCC may
   compute single elements, and assembling vectors of them would be slow. */
static ALWAYS_INLINE bool uses_vectors(const struct elementwise e)
{
    return e.traits != ANY_FORMULA && SUM_WIDTH > 2;
}

static ALWAYS_INLINE loss_real operand_at(const struct loss_block *b, int k, size_t i,
                                          const struct elementwise e)
{
    if (k >= e.operands_present)
        return 1;
    return e.f32 ? (loss_real)b->in_f32[k][i] : b->in[k][i];
}

static ALWAYS_INLINE struct element element_at(const struct loss_block *b, const loss_real p[],
                                               size_t i, const struct elementwise e)
{
    if (e.formula_f32) {
        const float in[] = {b->in_f32[0][i], b->in_f32[1][i]};
        const struct element_f32 out = e.formula_f32(in, p);
        return (struct element){.term = out.term, .grad = {out.grad}, .invalid = out.invalid};
    }
    loss_real in[ELEMENT_OPERANDS];
    for (int k = 0; k < e.operands; k++)
        in[k] = operand_at(b, k, i, e);
    return e.formula(in, p);
}

/* Records the first invalid element. */
static ALWAYS_INLINE void find_invalid(struct loss_block *b, const loss_real p[],
                                       const struct elementwise e)
{
    for (size_t i = 0; i < b->n; i++) {
        const int found = element_at(b, p, i, e).invalid;
        if (!found)
            continue;
        b->invalid = i;
        b->invalid_tensor = found - 1;
        return;
    }
}

/* Computes terms and derivatives. */
static ALWAYS_INLINE void elements(struct loss_block *b, const struct elementwise e)
{
    int invalid = 0;
    loss_real p[LOSS_MAX_PARAMS]; /* a copy: the compiler sees that no store changes it */
    memcpy(p, b->number, sizeof p);
#pragma GCC ivdep
    for (size_t i = 0; i < b->n; i++) {
        const struct element out = element_at(b, p, i, e);
        b->term[i] = out.term;
        for (int k = 0; k < e.grads; k++)
            if (e.f32)
                b->grad_f32[k][i] = (float)(out.grad[k] * b->scale[i]);
            else
                b->grad[k][i] = out.grad[k] * b->scale[i];
        for (int k = 0; k < e.hess; k++)
            if (e.f32)
                b->hess_f32[k][i] = (float)(out.hess[k] * b->scale[i]);
            else
                b->hess[k][i] = out.hess[k] * b->scale[i];
        invalid |= out.invalid;
    }
    if (invalid)
        find_invalid(b, p, e);
}

/* Which elements were invalid. */
typedef int32_t flag_vector __attribute__((vector_size(WINDOW_LANES * sizeof(int32_t))));

/* What reduce_elements() keeps in registers. */
struct reduction {
    struct window window;
    double start; /* of the window */
    flag_vector invalid;
};

/* Adds the terms of elements [i, i + n), n <= WINDOW_LANES, to the window, and writes the
   gradients. Unrolling is off because the compiler vectorizes the loop as it is. */
static ALWAYS_INLINE void reduce_lanes(struct loss_block *b, const loss_real p[], size_t i,
                                       size_t n, struct reduction *to, const struct elementwise e)
{
    loss_real term[WINDOW_LANES] = {0};
    int32_t invalid[WINDOW_LANES] = {0};
    const loss_real scale = b->scale[0];
    flag_vector flags;
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct element out = element_at(b, p, i + k, e);
        term[k] = out.term;
        for (int g = 0; g < e.grads; g++)
            b->grad_f32[g][i + k] = (float)(out.grad[g] * scale);
        invalid[k] = out.invalid;
    }
    for (int v = 0; v < WINDOW_VECTORS; v++)
        window_add(&to->window, v, read_doubles(term + v * SUM_WIDTH), to->start, WINDOW_FEW_LEVELS,
                   is_nonnegative(e));
    memcpy(&flags, invalid, sizeof flags);
    to->invalid |= flags;
}

/* Like reduce_lanes(), for SUM_WIDTH elements, whose terms it adds to vector v of the window. The
   formula is short and rejects no element. Floats are widened as they are read and narrowed as they
   are written, which saves instructions that would limit the speed of such formulas. */
static ALWAYS_INLINE void reduce_vector(struct loss_block *b, const loss_real p[], size_t i, int v,
                                        struct reduction *to, const struct elementwise e)
{
    loss_real in[ELEMENT_OPERANDS][SUM_WIDTH], term[SUM_WIDTH], grad[SUM_WIDTH] = {0};
    const loss_real scale = b->scale[0];
    for (int k = 0; k < e.operands_present; k++)
        write_doubles(in[k], read_floats(b->in_f32[k] + i));
#pragma GCC unroll 1
    for (int lane = 0; lane < SUM_WIDTH; lane++) {
        loss_real x[ELEMENT_OPERANDS];
        for (int k = 0; k < e.operands; k++)
            x[k] = k < e.operands_present ? in[k][lane] : 1;
        const struct element out = e.formula(x, p);
        term[lane] = out.term;
        if (e.grads > 0)
            grad[lane] = out.grad[0] * scale;
    }
    if (e.grads > 0 && e.streams)
        stream_floats(b->grad_f32[0] + i, read_doubles(grad));
    else if (e.grads > 0)
        write_floats(b->grad_f32[0] + i, read_doubles(grad));
    window_add(&to->window, v, read_doubles(term), to->start, WINDOW_FEW_LEVELS, is_nonnegative(e));
}

/* Adds the terms of PREFETCH_LINE elements. */
static ALWAYS_INLINE void reduce_line(struct loss_block *b, const loss_real p[], size_t i,
                                      struct reduction *to, const struct elementwise e)
{
    if (uses_vectors(e))
#pragma GCC unroll 8
        for (size_t k = 0; k < PREFETCH_LINE; k += SUM_WIDTH)
            reduce_vector(b, p, i + k, (int)(k / SUM_WIDTH) % WINDOW_VECTORS, to, e);
    else
#pragma GCC unroll 2
        for (size_t k = 0; k < PREFETCH_LINE; k += WINDOW_LANES)
            reduce_lanes(b, p, i + k, WINDOW_LANES, to, e);
}

/* Prefetches for a later iteration. */
static ALWAYS_INLINE void prefetch(const struct loss_block *b, size_t i, const struct elementwise e)
{
    for (int k = 0; k < e.operands_present; k++)
        prefetch_read(b->in_f32[k], i + PREFETCH_DISTANCE);
    for (int g = 0; g < e.grads && !e.streams; g++)
        prefetch_write(b->grad_f32[g], i + PREFETCH_DISTANCE);
}

/* Like elements(), but adds the terms to b->sum from registers instead of storing them. Returns
   false, without adding any, if the window does not have their exact sum. */
static ALWAYS_INLINE bool reduce_elements(struct loss_block *b, const struct elementwise e)
{
    const int exponent = b->sum->exponent;
    struct reduction to = {.start = window_start(exponent), .invalid = {0}};
    size_t i = 0;
    loss_real p[LOSS_MAX_PARAMS];
    memcpy(p, b->number, sizeof p);
    window_open(&to.window, exponent, WINDOW_FEW_LEVELS);
    for (; i + PREFETCH_LINE <= b->n; i += PREFETCH_LINE) {
        prefetch(b, i, e);
        reduce_line(b, p, i, &to, e);
    }
    for (; i < b->n; i += WINDOW_LANES)
        reduce_lanes(b, p, i, b->n - i < WINDOW_LANES ? b->n - i : WINDOW_LANES, &to, e);
    int invalid = 0;
    for (int k = 0; k < WINDOW_LANES; k++)
        invalid |= to.invalid[k];
    if (invalid)
        find_invalid(b, p, e);
    if (is_nonnegative(e))
        window_check_end(&to.window, to.start);
    return accumulator_close(b->sum, &to.window, WINDOW_FEW_LEVELS);
}

/* Streams a large gradient, which makes short formulas faster: they wait for memory. */
static ALWAYS_INLINE bool reduce_elements_fastest(struct loss_block *b, const struct elementwise e)
{
    struct elementwise streaming = e;
    streaming.streams = true;
    if (uses_vectors(e) && e.grads == 1 && (b->streams & 1) &&
        (uintptr_t)b->grad_f32[0] % STREAM_ALIGNMENT == 0)
        return reduce_elements(b, streaming);
    return reduce_elements(b, e);
}

/* Points absent operands to ones, and derivatives that are not requested to an array that is
   discarded. */
static ALWAYS_INLINE void set_defaults(struct loss_block *b, int operands, bool f32)
{
    for (int k = 0; k < operands; k++) {
        if (f32 && !b->in_f32[k])
            b->in_f32[k] = b->default_operand_f32;
        if (!f32 && !b->in[k])
            b->in[k] = b->default_operand;
        if (f32 && !b->grad_f32[k])
            b->grad_f32[k] = (float *)(void *)b->discard;
        if (!f32 && !b->grad[k])
            b->grad[k] = b->discard;
        if (f32 && !b->hess_f32[k])
            b->hess_f32[k] = (float *)(void *)b->discard;
        if (!f32 && !b->hess[k])
            b->hess[k] = b->discard;
    }
}

/* Runs the loop for the requested derivatives, whose counts are constants for the compiler. */
static ALWAYS_INLINE void elementwise_loop(struct loss_block *b, const struct elementwise e)
{
    if (e.f32 && b->sum && b->sum->levels == WINDOW_FEW_LEVELS && e.hess == 0 && e.grads <= 1)
        b->reduced = reduce_elements_fastest(b, e);
    if (!b->reduced)
        elements(b, e);
}

/* Returns true if all targets are 0 or 1. */
static ALWAYS_INLINE bool all_labels(const struct loss_block *b)
{
    const float *const y = b->in_f32[1];
    int labels = 1;
    for (size_t i = 0; i < b->n; i++)
        labels &= (y[i] == 0) | (y[i] == 1);
    return labels;
}

/* Runs the loop with the fastest formula for the operands that are present. */
static ALWAYS_INLINE void elementwise_fastest(struct loss_block *b, struct elementwise e,
                                              element_formula_f32 *formula_f32,
                                              element_formula_f32 *of_labels)
{
    if (e.operands_present == 2 && of_labels && all_labels(b)) {
        e.formula_f32 = of_labels;
        elementwise_loop(b, e);
        return;
    }
    e.formula_f32 = e.operands_present == 2 ? formula_f32 : NULL;
    elementwise_loop(b, e);
}

/* Chooses the loop for the derivatives that are requested. */
static ALWAYS_INLINE void elementwise_present(struct loss_block *b, const struct elementwise e,
                                              element_formula_f32 *formula_f32,
                                              element_formula_f32 *of_labels)
{
    int grads = e.operands, hess = e.operands;
    while (grads > 0 && !b->grad[grads - 1] && !b->grad_f32[grads - 1])
        grads--;
    while (hess > 0 && !b->hess[hess - 1] && !b->hess_f32[hess - 1])
        hess--;
    set_defaults(b, e.operands, e.f32);
    struct elementwise input = e, all = e, hessian = e;
    input.grads = 1;
    all.grads = hessian.grads = hessian.hess = e.operands;
    if (hess > 0)
        elementwise_loop(b, hessian);
    else if (grads > 1)
        elementwise_loop(b, all);
    else if (grads == 1)
        elementwise_fastest(b, input, formula_f32, of_labels);
    else
        elementwise_fastest(b, e, formula_f32, of_labels);
}

/* The first two operands are always present. Without weights the formula is simpler. */
static ALWAYS_INLINE void elementwise(struct loss_block *b, element_formula *formula,
                                      element_formula_f32 *formula_f32,
                                      element_formula_f32 *of_labels, int operands, bool f32,
                                      enum formula_traits traits)
{
    const struct elementwise weighted = {
        .formula = formula, .operands = operands, .operands_present = operands, .f32 = f32};
    const struct elementwise pair = {.formula = formula,
                                     .operands = operands,
                                     .operands_present = 2,
                                     .f32 = f32,
                                     .traits = traits};
    bool weights = false;
    for (int k = 2; k < operands; k++)
        weights |= b->in[k] || b->in_f32[k];
    if (weights)
        elementwise_present(b, weighted, formula_f32, of_labels);
    else
        elementwise_present(b, pair, formula_f32, of_labels);
}

#endif
