/*
 * From a scalar formula to a kernel.
 *
 * An elementwise loss writes one function, which reads the elements of its operands and its parameters by the same names as its
 * descriptor and returns the term with its derivatives:
 *
 *     enum { INPUT, TARGET };
 *     static inline struct element mse(const real in[], const real p[])
 *     {
 *         const real d = in[INPUT] - in[TARGET];
 *         return (struct element){.term = d * d, .grad = {2 * d, -2 * d}};
 *     }
 *     ELEMENTWISE_KERNEL(mse, 2)
 *
 * The last line makes `mse_kernel` of it, over two operands. The formula is inlined with nothing left of the structures; what
 * is not asked for is not computed.
 */
#ifndef CORE_ELEMENTWISE_H
#define CORE_ELEMENTWISE_H

#include "method.h"

enum { ELEMENT_OPERANDS = 4 }; /* the most operands a formula reads */

struct element {
    real term;
    real grad[ELEMENT_OPERANDS]; /* the derivative of the term with respect to each operand */
    bool invalid;                /* an operand cannot be: the method's `expected` says why */
};

typedef struct element element_formula(const real in[], const real p[]);

#define ELEMENT_INLINE static inline __attribute__((always_inline))

ELEMENT_INLINE struct element element_at(const struct loss_block *b, size_t i, element_formula *formula, int operands)
{
    real in[ELEMENT_OPERANDS];
    for (int k = 0; k < operands; k++)
        in[k] = b->in[k] ? b->in[k][i] : 1;
    return formula(in, b->number);
}

/* `grads` is how many leading operands are differentiated; a constant wherever this is called. */
ELEMENT_INLINE void elements(struct loss_block *b, element_formula *formula, int operands, int grads)
{
    bool invalid = false;
    for (size_t i = 0; i < b->n; i++) {
        const struct element e = element_at(b, i, formula, operands);
        b->term[i] = e.term;
        for (int k = 0; k < grads; k++)
            if (b->grad[k])
                b->grad[k][i] = e.grad[k] * b->scale[i];
        invalid |= e.invalid;
    }
    for (size_t i = 0; invalid && i < b->n; i++)
        if (element_at(b, i, formula, operands).invalid) {
            b->invalid = i;
            return;
        }
}

ELEMENT_INLINE void elementwise(struct loss_block *b, element_formula *formula, int operands)
{
    int last = operands;
    while (last > 0 && !b->grad[last - 1])
        last--;
    if (last == 0)
        elements(b, formula, operands, 0);
    else if (last == 1)
        elements(b, formula, operands, 1);
    else
        elements(b, formula, operands, operands);
}

#define ELEMENTWISE_KERNEL(formula, operands)                                                                                  \
    static void formula##_kernel(struct loss_block *b)                                                                         \
    {                                                                                                                          \
        elementwise(b, formula, operands);                                                                                     \
    }

#endif
