/*
 * Sums that lose nothing to rounding worth speaking of: every addition's error is kept and added at the end (Knuth's two-sum;
 * Ogita, Rump, Oishi: Accurate sum and dot product, 2005). The order of additions is the caller's, so the bits are too.
 */
#ifndef CORE_SUM_H
#define CORE_SUM_H

#include <math.h>
#include <stddef.h>

struct sum {
    double value, lost;
};

static inline void sum_add(struct sum *sum, double x)
{
    const double total = sum->value + x, back = total - sum->value;
    sum->lost += (sum->value - (total - back)) + (x - back);
    sum->value = total;
}

static inline void sum_merge(struct sum *sum, const struct sum *other)
{
    sum_add(sum, other->value);
    sum->lost += other->lost;
}

/* The errors of an infinite sum are NaN and mean nothing. */
static inline double sum_value(const struct sum *sum)
{
    return isfinite(sum->value) ? sum->value + sum->lost : sum->value;
}

/* Adds n numbers in SUM_LANES interleaved sums, which a compiler can keep in one or two vectors of any width. */
enum { SUM_LANES = 8 };
static inline void sum_add_all(struct sum *sum, const double *x, size_t n)
{
    struct sum lane[SUM_LANES] = {0};
    size_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (size_t k = 0; k < SUM_LANES; k++)
            sum_add(&lane[k], x[i + k]);
    for (; i < n; i++)
        sum_add(&lane[i % SUM_LANES], x[i]);
    for (size_t k = 0; k < SUM_LANES; k++)
        sum_merge(sum, &lane[k]);
}

#endif
