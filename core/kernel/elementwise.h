/*
 * Makes kernels from a scalar formula.
 *
 * An elementwise loss defines one function. It reads the operands and parameters by their indices
 * in the descriptor, and returns the term and its derivatives:
 *
 *     enum { INPUT, TARGET };
 *
 *     LOSS_FORMULA(mse)
 *     {
 *         const loss_real d = in[INPUT] - in[TARGET];
 *         return (struct element){.term = d * d, .grad = {2 * d, -2 * d}, .hess = {2}};
 *     }
 *     DEFINE_ELEMENTWISE_KERNELS(mse, 2)
 *
 * The macros expand to
 *
 *     static inline __attribute__((always_inline))
 *     struct element mse(const loss_real in[], const loss_real p[])
 *     {
 *         ...
 *     }
 *     static void mse_f64(struct loss_block *b)
 *     {
 *         elementwise(b, mse, 2, false);
 *     }
 *     static void mse_f32(struct loss_block *b)
 *     {
 *         elementwise(b, mse, 2, true);
 *     }
 *
 * and in the method, ELEMENTWISE_KERNELS(mse) expands to `.kernel_f64 = mse_f64, .kernel_f32 =
 * mse_f32`.
 *
 * The compiler inlines the formula into loops over the block, one for each set of requested
 * derivatives. It vectorises the loops if the formula has no branches, and drops what is not
 * requested.
 */
#ifndef CORE_KERNEL_ELEMENTWISE_H
#define CORE_KERNEL_ELEMENTWISE_H

#include "kernel/loss_kernel.h"

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

#define ELEMENT_INLINE static inline __attribute__((always_inline))
#define ELEMENT_UNUSED __attribute__((unused))

/* Begins the definition of a formula of operands in[] and parameters p[]. */
#define LOSS_FORMULA(name)                                                                         \
    ELEMENT_INLINE struct element name(const loss_real in[], const loss_real p[] ELEMENT_UNUSED)

#define DEFINE_ELEMENTWISE_KERNELS(formula, operands)                                              \
    static void formula##_f64(struct loss_block *b)                                                \
    {                                                                                              \
        elementwise(b, formula, operands, false);                                                  \
    }                                                                                              \
    static void formula##_f32(struct loss_block *b)                                                \
    {                                                                                              \
        elementwise(b, formula, operands, true);                                                   \
    }

/* The kernels as members of a struct loss_method. */
#define ELEMENTWISE_KERNELS(formula) .kernel_f64 = formula##_f64, .kernel_f32 = formula##_f32

/* What all elements of a block have in common. The functions below are inlined with constant values
   of it. */
struct elementwise {
    element_formula *formula;
    int operands;
    int operands_present; /* leading operands that are read; the others are absent and count as 1 */
    bool f32;             /* operands and derivatives are float32 */
    int grads, hess;      /* leading operands that are differentiated once, and twice */
};

ELEMENT_INLINE loss_real operand_at(const struct loss_block *b, int k, size_t i,
                                    const struct elementwise e)
{
    if (k >= e.operands_present)
        return 1;
    return e.f32 ? (loss_real)b->in_f32[k][i] : b->in[k][i];
}

ELEMENT_INLINE struct element element_at(const struct loss_block *b, const loss_real p[], size_t i,
                                         const struct elementwise e)
{
    loss_real in[ELEMENT_OPERANDS];
    for (int k = 0; k < e.operands; k++)
        in[k] = operand_at(b, k, i, e);
    return e.formula(in, p);
}

/* Records the first invalid element. */
ELEMENT_INLINE void find_invalid(struct loss_block *b, const loss_real p[],
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
ELEMENT_INLINE void elements(struct loss_block *b, const struct elementwise e)
{
    int invalid = 0;
    loss_real p[LOSS_MAX_PARAMS]; /* a copy, so that the compiler knows that no store changes it */
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

/* Adds the terms of elements [i, i + n), n <= SUM_LANES, to the lanes. Unrolling is disabled
   because the loop is vectorised as it is. */
ELEMENT_INLINE int reduce_lanes(struct loss_block *b, const loss_real p[], size_t i, size_t n,
                                loss_real scale, struct sum_lanes *sum, const struct elementwise e)
{
    loss_real term[SUM_LANES] = {0};
    int invalid = 0;
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct element out = element_at(b, p, i + k, e);
        term[k] = out.term;
        for (int g = 0; g < e.grads; g++)
            b->grad_f32[g][i + k] = (float)(out.grad[g] * scale);
        invalid |= out.invalid;
    }
    sum_add_lanes(sum, term);
    return invalid;
}

/* Like elements(), but sums the terms in registers instead of storing them. */
ELEMENT_INLINE void reduce_elements(struct loss_block *b, const struct elementwise e)
{
    const loss_real scale = b->scale[0];
    struct sum_lanes sum = {0};
    int invalid = 0;
    size_t i = 0;
    loss_real p[LOSS_MAX_PARAMS];
    memcpy(p, b->number, sizeof p);
    for (; i + SUM_LANES <= b->n; i += SUM_LANES)
        invalid |= reduce_lanes(b, p, i, SUM_LANES, scale, &sum, e);
    invalid |= reduce_lanes(b, p, i, b->n - i, scale, &sum, e);
    memcpy(b->sum, &sum, sizeof b->sum);
    b->reduced = true;
    if (invalid)
        find_invalid(b, p, e);
}

/* Replaces absent operands by ones, and derivatives that are not requested by an array that is
   discarded. */
ELEMENT_INLINE void set_defaults(struct loss_block *b, int operands, bool f32)
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

/* Chooses the loop for the derivatives that are requested. */
ELEMENT_INLINE void elementwise_present(struct loss_block *b, element_formula *formula,
                                        int operands, int operands_present, bool f32)
{
    const struct elementwise e = {formula, operands, operands_present, f32, 0, 0};
    int grads = operands, hess = operands;
    while (grads > 0 && !b->grad[grads - 1] && !b->grad_f32[grads - 1])
        grads--;
    while (hess > 0 && !b->hess[hess - 1] && !b->hess_f32[hess - 1])
        hess--;
    set_defaults(b, operands, f32);
    if (hess > 0)
        elements(
            b, (struct elementwise){formula, operands, operands_present, f32, operands, operands});
    else if (grads == 0 && f32 && b->reduce)
        reduce_elements(b, e);
    else if (grads == 1 && f32 && b->reduce)
        reduce_elements(b, (struct elementwise){formula, operands, operands_present, f32, 1, 0});
    else if (grads == 0)
        elements(b, e);
    else if (grads == 1)
        elements(b, (struct elementwise){formula, operands, operands_present, f32, 1, 0});
    else
        elements(b, (struct elementwise){formula, operands, operands_present, f32, operands, 0});
}

/* Specializes for absent weights: the formula is then simpler. Input and target are always present.
 */
ELEMENT_INLINE void elementwise(struct loss_block *b, element_formula *formula, int operands,
                                bool f32)
{
    bool weights = false;
    for (int k = 2; k < operands; k++)
        weights |= b->in[k] || b->in_f32[k];
    if (operands > 2 && !weights)
        elementwise_present(b, formula, operands, 2, f32);
    else
        elementwise_present(b, formula, operands, operands, f32);
}

/* ---- Labels 0 and 1 ---- */

/*
 * If a formula is much simpler for targets 0 and 1, the usual case, a loss may define a second
 * version of it for input x and label y, in float32 arithmetic. It is used for float32 blocks
 * without other operands if only the sum and the input's gradient are requested and all elements
 * are `accurate`.
 */
struct element_f32 {
    loss_real term; /* if accurate, within 1.5 ulp of float32 */
    float grad;     /* if accurate, within about 2 ulp of float32 */
    int accurate;   /* 1, or 0 if the float32 arithmetic loses too much for this x */
};

typedef struct element_f32 label_formula(float x, float y);

#define LOSS_FORMULA_OF_LABELS(name)                                                               \
    ELEMENT_INLINE struct element_f32 name##_of_labels(float x, float y)

/* Returns true if the formula is accurate for all elements of a block. */
ELEMENT_INLINE bool all_accurate(const struct loss_block *b, label_formula *formula)
{
    int accurate = 1;
    for (size_t i = 0; i < b->n; i++) {
        const float x = b->in_f32[0][i], y = b->in_f32[1][i];
        accurate &= formula(x, y).accurate & ((y == 0) | (y == 1));
    }
    return accurate;
}

/* Like reduce_lanes(), with the formula of labels. */
ELEMENT_INLINE void reduce_label_lanes(struct loss_block *b, label_formula *formula, bool grad,
                                       size_t i, size_t n, float scale, struct sum_lanes *sum)
{
    loss_real term[SUM_LANES] = {0};
#pragma GCC ivdep
#pragma GCC unroll 1
    for (size_t k = 0; k < n; k++) {
        const struct element_f32 out = formula(b->in_f32[0][i + k], b->in_f32[1][i + k]);
        term[k] = out.term;
        if (grad)
            b->grad_f32[0][i + k] = out.grad * scale;
    }
    sum_add_lanes(sum, term);
}

ELEMENT_INLINE void reduce_labels(struct loss_block *b, label_formula *formula, bool grad)
{
    const float scale = (float)b->scale[0];
    struct sum_lanes sum = {0};
    size_t i = 0;
    for (; i + SUM_LANES <= b->n; i += SUM_LANES)
        reduce_label_lanes(b, formula, grad, i, SUM_LANES, scale, &sum);
    reduce_label_lanes(b, formula, grad, i, b->n - i, scale, &sum);
    memcpy(b->sum, &sum, sizeof b->sum);
    b->reduced = true;
}

/* Evaluates a block with the formula of labels. Returns false if it does not apply. */
ELEMENT_INLINE bool elementwise_of_labels(struct loss_block *b, label_formula *formula,
                                          int operands)
{
    bool more = !b->reduce;
    for (int k = 0; k < operands; k++)
        more |= (k > 1 && b->in_f32[k]) || (k > 0 && b->grad_f32[k]) || b->hess_f32[k];
    if (more || !all_accurate(b, formula))
        return false;
    if (b->grad_f32[0])
        reduce_labels(b, formula, true);
    else
        reduce_labels(b, formula, false);
    return true;
}

/* Like DEFINE_ELEMENTWISE_KERNELS, but uses LOSS_FORMULA_OF_LABELS where it applies. */
#define DEFINE_ELEMENTWISE_KERNELS_OF_LABELS(formula, operands)                                    \
    static void formula##_f64(struct loss_block *b)                                                \
    {                                                                                              \
        elementwise(b, formula, operands, false);                                                  \
    }                                                                                              \
    static void formula##_f32(struct loss_block *b)                                                \
    {                                                                                              \
        if (!elementwise_of_labels(b, formula##_of_labels, operands))                              \
            elementwise(b, formula, operands, true);                                               \
    }

#endif
