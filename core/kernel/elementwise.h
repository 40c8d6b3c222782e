/*
 * From a scalar formula to kernels.
 *
 * An elementwise loss writes one function, which reads the elements of its operands and its
 * parameters by the same names as its descriptor and returns the term with its derivatives:
 *
 *     enum { INPUT, TARGET };
 *     FORMULA(mse)
 *     {
 *         const real d = in[INPUT] - in[TARGET];
 *         return (struct element){.term = d * d, .grad = {2 * d, -2 * d}, .hess = {2}};
 *     }
 *     ELEMENTWISE_KERNELS(mse, 2)
 *
 * The last line makes kernels of it, over two operands, which ELEMENTWISE(mse) puts into the
 * method. The formula is inlined with nothing left of the structures, and vectorised by the
 * compiler if it has no branches; what is not asked for is not computed.
 */
#ifndef CORE_KERNEL_ELEMENTWISE_H
#define CORE_KERNEL_ELEMENTWISE_H

#include "kernel/loss_kernel.h"

enum { ELEMENT_OPERANDS = 4 }; /* the most operands a formula reads */

struct element {
    real term;
    real grad[ELEMENT_OPERANDS]; /* the derivative of the term with respect to each operand */
    real hess[ELEMENT_OPERANDS]; /* the second derivative with respect to each prediction */
    int invalid; /* INVALID(k) where operand k cannot be: the method's `expected` says why; else 0
                  */
};

#define INVALID(k) (1 + (k))

typedef struct element element_formula(const real in[], const real p[]);

#define ELEMENT_INLINE static inline __attribute__((always_inline))
#define ELEMENT_UNUSED __attribute__((unused))

/* The head of a formula over operands in[], with parameters p[]. */
#define FORMULA(name)                                                                              \
    ELEMENT_INLINE struct element name(const real in[], const real p[] ELEMENT_UNUSED)

/* What is common to all elements of a block. The functions below are inlined with constants for it.
 */
struct elementwise {
    element_formula *formula;
    int operands;
    int shown;       /* how many leading operands are read: the others were left out, and are 1 */
    bool single;     /* operands and derivatives are float32 */
    int grads, hess; /* how many leading operands are differentiated once, and twice */
};

ELEMENT_INLINE struct element element_at(const struct loss_block *b, const real p[], size_t i,
                                         const struct elementwise e)
{
    real in[ELEMENT_OPERANDS];
    for (int k = 0; k < e.operands; k++)
        in[k] = k >= e.shown ? 1 : e.single ? (real)b->in32[k][i] : b->in[k][i];
    return e.formula(in, p);
}

/* Says which is the first element that cannot be. */
ELEMENT_INLINE void find_invalid(struct loss_block *b, const real p[], const struct elementwise e)
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

ELEMENT_INLINE void elements(struct loss_block *b, const struct elementwise e)
{
    int invalid = 0;
    real p[LOSS_MAX_PARAMS]; /* a copy that nothing can be thought to write to */
    memcpy(p, b->number, sizeof p);
#pragma GCC ivdep
    for (size_t i = 0; i < b->n; i++) {
        const struct element out = element_at(b, p, i, e);
        b->term[i] = out.term;
        for (int k = 0; k < e.grads; k++)
            if (e.single)
                b->grad32[k][i] = (float)(out.grad[k] * b->scale[i]);
            else
                b->grad[k][i] = out.grad[k] * b->scale[i];
        for (int k = 0; k < e.hess; k++)
            if (e.single)
                b->hess32[k][i] = (float)(out.hess[k] * b->scale[i]);
            else
                b->hess[k][i] = out.hess[k] * b->scale[i];
        invalid |= out.invalid;
    }
    if (invalid)
        find_invalid(b, p, e);
}

/* Elements [i, i + n) of a block that is reduced, n <= SUM_LANES: adds their terms to the lanes.
   The loop is to become as many vectors, not as many copies of itself. */
ELEMENT_INLINE int reduce_some(struct loss_block *b, const real p[], size_t i, size_t n, real scale,
                               struct sum_lanes *sum, const struct elementwise e)
{
    real term[SUM_LANES] = {0};
    int invalid = 0;
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct element out = element_at(b, p, i + k, e);
        term[k] = out.term;
        for (int g = 0; g < e.grads; g++)
            b->grad32[g][i + k] = (float)(out.grad[g] * scale);
        invalid |= out.invalid;
    }
    sum_add_lanes(sum, term);
    return invalid;
}

/* elements() where the terms need not be stored, so that they never leave the registers. */
ELEMENT_INLINE void reduce_elements(struct loss_block *b, const struct elementwise e)
{
    const real scale = b->scale[0];
    struct sum_lanes sum = {0};
    int invalid = 0;
    size_t i = 0;
    real p[LOSS_MAX_PARAMS];
    memcpy(p, b->number, sizeof p);
    for (; i + SUM_LANES <= b->n; i += SUM_LANES)
        invalid |= reduce_some(b, p, i, SUM_LANES, scale, &sum, e);
    invalid |= reduce_some(b, p, i, b->n - i, scale, &sum, e);
    memcpy(b->sum, &sum, sizeof b->sum);
    b->reduced = true;
    if (invalid)
        find_invalid(b, p, e);
}

/* Operands that were left out, and derivatives that were not asked for, get arrays of ones, and to
 * waste. */
ELEMENT_INLINE void fill_gaps(struct loss_block *b, int operands, bool single)
{
    for (int k = 0; k < operands; k++) {
        if (single && !b->in32[k])
            b->in32[k] = b->ones32;
        if (!single && !b->in[k])
            b->in[k] = b->ones;
        if (single && !b->grad32[k])
            b->grad32[k] = (float *)(void *)b->waste;
        if (!single && !b->grad[k])
            b->grad[k] = b->waste;
        if (single && !b->hess32[k])
            b->hess32[k] = (float *)(void *)b->waste;
        if (!single && !b->hess[k])
            b->hess[k] = b->waste;
    }
}

ELEMENT_INLINE void elementwise_shown(struct loss_block *b, element_formula *formula, int operands,
                                      int shown, bool single)
{
    int grads = operands, hess = operands;
    while (grads > 0 && !b->grad[grads - 1] && !b->grad32[grads - 1])
        grads--;
    while (hess > 0 && !b->hess[hess - 1] && !b->hess32[hess - 1])
        hess--;
    fill_gaps(b, operands, single);
    if (hess > 0)
        elements(b, (struct elementwise){formula, operands, shown, single, operands, operands});
    else if (grads == 0 && single && b->reduce)
        reduce_elements(b, (struct elementwise){formula, operands, shown, single, 0, 0});
    else if (grads == 1 && single && b->reduce)
        reduce_elements(b, (struct elementwise){formula, operands, shown, single, 1, 0});
    else if (grads == 0)
        elements(b, (struct elementwise){formula, operands, shown, single, 0, 0});
    else if (grads == 1)
        elements(b, (struct elementwise){formula, operands, shown, single, 1, 0});
    else
        elements(b, (struct elementwise){formula, operands, shown, single, operands, 0});
}

/* Input and target are always there; a formula without weights is a simpler one. */
ELEMENT_INLINE void elementwise(struct loss_block *b, element_formula *formula, int operands,
                                bool single)
{
    bool weights = false;
    for (int k = 2; k < operands; k++)
        weights |= b->in[k] || b->in32[k];
    if (operands > 2 && !weights)
        elementwise_shown(b, formula, operands, 2, single);
    else
        elementwise_shown(b, formula, operands, operands, single);
}

#define ELEMENTWISE_KERNELS(formula, operands)                                                     \
    static void formula##_kernel(struct loss_block *b)                                             \
    {                                                                                              \
        elementwise(b, formula, operands, false);                                                  \
    }                                                                                              \
    static void formula##_single(struct loss_block *b)                                             \
    {                                                                                              \
        elementwise(b, formula, operands, true);                                                   \
    }

/*
 * Where a formula is much simpler for targets that are 0 or 1, which most are, it may be written a
 * second time for these, in float32's own arithmetic, over input x and label y. Blocks of float32
 * without other operands, of which no more than the sum and the input's gradient is wanted, are
 * then computed by it, unless one of their elements is not `exact`.
 */
struct single_element {
    real term;  /* within 1.5 ulp of float32 ... */
    float grad; /* ... and within some 2 of them ... */
    int exact;  /* ... where this is 1, not 0 */
};

typedef struct single_element label_formula(float x, float y);

#define FORMULA_OF_LABELS(name)                                                                    \
    ELEMENT_INLINE struct single_element name##_of_labels(float x, float y)

/* Whether the formula can do all elements of a block. */
ELEMENT_INLINE bool all_exact(const struct loss_block *b, label_formula *formula)
{
    int exact = 1;
    for (size_t i = 0; i < b->n; i++) {
        const float x = b->in32[0][i], y = b->in32[1][i];
        exact &= formula(x, y).exact & ((y == 0) | (y == 1));
    }
    return exact;
}

/* As reduce_some() */
ELEMENT_INLINE void reduce_some_labels(struct loss_block *b, label_formula *formula, bool grad,
                                       size_t i, size_t n, float scale, struct sum_lanes *sum)
{
    real term[SUM_LANES] = {0};
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct single_element out = formula(b->in32[0][i + k], b->in32[1][i + k]);
        term[k] = out.term;
        if (grad)
            b->grad32[0][i + k] = out.grad * scale;
    }
    sum_add_lanes(sum, term);
}

ELEMENT_INLINE void reduce_labels(struct loss_block *b, label_formula *formula, bool grad)
{
    const float scale = (float)b->scale[0];
    struct sum_lanes sum = {0};
    size_t i = 0;
    for (; i + SUM_LANES <= b->n; i += SUM_LANES)
        reduce_some_labels(b, formula, grad, i, SUM_LANES, scale, &sum);
    reduce_some_labels(b, formula, grad, i, b->n - i, scale, &sum);
    memcpy(b->sum, &sum, sizeof b->sum);
    b->reduced = true;
}

/* Whether a block was one of labels, and is done. */
ELEMENT_INLINE bool elementwise_of_labels(struct loss_block *b, label_formula *formula,
                                          int operands)
{
    bool more = !b->reduce;
    for (int k = 0; k < operands; k++)
        more |= (k > 1 && b->in32[k]) || (k > 0 && b->grad32[k]) || b->hess32[k];
    if (more || !all_exact(b, formula))
        return false;
    if (b->grad32[0])
        reduce_labels(b, formula, true);
    else
        reduce_labels(b, formula, false);
    return true;
}

#define ELEMENTWISE_KERNELS_OF_LABELS(formula, operands)                                           \
    static void formula##_kernel(struct loss_block *b)                                             \
    {                                                                                              \
        elementwise(b, formula, operands, false);                                                  \
    }                                                                                              \
    static void formula##_single(struct loss_block *b)                                             \
    {                                                                                              \
        if (!elementwise_of_labels(b, formula##_of_labels, operands))                              \
            elementwise(b, formula, operands, true);                                               \
    }

#define ELEMENTWISE(formula) .kernel = formula##_kernel, .single = formula##_single

#endif
