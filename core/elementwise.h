/*
 * From a scalar formula to kernels.
 *
 * An elementwise loss writes one function, which reads the elements of its operands and its parameters by the same names as its
 * descriptor and returns the term with its derivatives:
 *
 *     enum { INPUT, TARGET };
 *     ELEMENT_INLINE struct element mse(const real in[], const real p[])
 *     {
 *         const real d = in[INPUT] - in[TARGET];
 *         return (struct element){.term = d * d, .grad = {2 * d, -2 * d}, .hess = {2}};
 *     }
 *     ELEMENTWISE_KERNELS(mse, 2)
 *
 * The last line makes kernels of it, over two operands, which ELEMENTWISE(mse) puts into the method. The formula is inlined
 * with nothing left of the structures, and vectorised by the compiler if it has no branches; what is not asked for is not
 * computed.
 */
#ifndef CORE_ELEMENTWISE_H
#define CORE_ELEMENTWISE_H

#include "method.h"

enum { ELEMENT_OPERANDS = 4 }; /* the most operands a formula reads */

struct element {
    real term;
    real grad[ELEMENT_OPERANDS]; /* the derivative of the term with respect to each operand */
    real hess[ELEMENT_OPERANDS]; /* the second derivative with respect to each prediction */
    int invalid;                 /* INVALID(k) where operand k cannot be: the method's `expected` says why; else 0 */
};

#define INVALID(k) (1 + (k))

typedef struct element element_formula(const real in[], const real p[]);

#define ELEMENT_INLINE static inline __attribute__((always_inline))

/* What is common to all elements of a block. The functions below are inlined with constants for it. */
struct elementwise {
    element_formula *formula;
    int operands;
    int shown;       /* how many leading operands are read: the others were left out, and are 1 */
    bool single;     /* operands and derivatives are float32 */
    int grads, hess; /* how many leading operands are differentiated once, and twice */
};

ELEMENT_INLINE struct element element_at(const struct loss_block *b, const real p[], size_t i, const struct elementwise e)
{
    real in[ELEMENT_OPERANDS];
    for (int k = 0; k < e.operands; k++)
        in[k] = k >= e.shown ? 1 : e.single ? (real)b->in32[k][i] : b->in[k][i];
    return e.formula(in, p);
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
    for (size_t i = 0; invalid && i < b->n; i++) {
        const int found = element_at(b, p, i, e).invalid;
        if (!found)
            continue;
        b->invalid = i;
        b->invalid_tensor = found - 1;
        return;
    }
}

/* Operands that were left out, and derivatives that were not asked for, get arrays of ones, and to waste. */
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

ELEMENT_INLINE void elementwise_shown(struct loss_block *b, element_formula *formula, int operands, int shown, bool single)
{
    int grads = operands, hess = operands;
    while (grads > 0 && !b->grad[grads - 1] && !b->grad32[grads - 1])
        grads--;
    while (hess > 0 && !b->hess[hess - 1] && !b->hess32[hess - 1])
        hess--;
    fill_gaps(b, operands, single);
    if (hess > 0)
        elements(b, (struct elementwise){formula, operands, shown, single, operands, operands});
    else if (grads == 0)
        elements(b, (struct elementwise){formula, operands, shown, single, 0, 0});
    else if (grads == 1)
        elements(b, (struct elementwise){formula, operands, shown, single, 1, 0});
    else
        elements(b, (struct elementwise){formula, operands, shown, single, operands, 0});
}

/* Input and target are always there; a formula without weights is a simpler one. */
ELEMENT_INLINE void elementwise(struct loss_block *b, element_formula *formula, int operands, bool single)
{
    bool weights = false;
    for (int k = 2; k < operands; k++)
        weights |= b->in[k] || b->in32[k];
    if (operands > 2 && !weights)
        elementwise_shown(b, formula, operands, 2, single);
    else
        elementwise_shown(b, formula, operands, operands, single);
}

#define ELEMENTWISE_KERNELS(formula, operands)                                                                                 \
    static void formula##_kernel(struct loss_block *b)                                                                         \
    {                                                                                                                          \
        elementwise(b, formula, operands, false);                                                                              \
    }                                                                                                                          \
    static void formula##_single(struct loss_block *b)                                                                         \
    {                                                                                                                          \
        elementwise(b, formula, operands, true);                                                                               \
    }

#define ELEMENTWISE(formula) .kernel = formula##_kernel, .single = formula##_single

#endif
