/* Compensated sums: the rounding errors are accumulated and added at the end (Knuth's two-sum;
   Ogita, Rump, Oishi: Accurate sum and dot product, 2005). The caller determines the order of
   additions, and thereby the bits of the result. */
#ifndef CORE_KERNEL_COMPENSATED_SUM_H
#define CORE_KERNEL_COMPENSATED_SUM_H

#include "inline.h"
#include "kernel/cancel.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

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

/* Returns the sum. For an infinite or NaN sum, ignores the errors, which are NaN. */
static inline double sum_value(const struct sum *sum)
{
    return isfinite(sum->value) ? sum->value + sum->lost : sum->value;
}

/* Arrays are summed in SUM_LANES interleaved sums, independent of the machine's vector width, so
   that the bits are the same everywhere. The loops over the vectors are unrolled. */
enum { SUM_LANES = 16 };
#if defined __AVX512F__
enum { SUM_WIDTH = 8 };
#elif defined __AVX__
enum { SUM_WIDTH = 4 };
#else
enum { SUM_WIDTH = 2 };
#endif
enum { SUM_VECTORS = SUM_LANES / SUM_WIDTH };
typedef double sum_vector __attribute__((vector_size(SUM_WIDTH * sizeof(double))));
struct sum_lanes {
    sum_vector vector[SUM_VECTORS];
};

/* Loads elements [i, i + SUM_LANES) of an array of n; those past its end are 0. */
static ALWAYS_INLINE void sum_load(struct sum_lanes *lanes, const double *x, size_t i, size_t n)
{
    double padded[SUM_LANES] = {0};
    if (n - i < SUM_LANES)
        x = memcpy(padded, x + i, (n - i) * sizeof *x);
    else
        x += i;
    for (int v = 0; v < SUM_VECTORS; v++)
        memcpy(&lanes->vector[v], x + v * SUM_WIDTH, sizeof lanes->vector[v]);
}

/* Adds one number to each lane. */
static ALWAYS_INLINE void sum_add_lanes(struct sum_lanes *value, const double x[SUM_LANES])
{
    struct sum_lanes next;
    memcpy(&next, x, sizeof next);
    for (int v = 0; v < SUM_VECTORS; v++)
        value->vector[v] += next.vector[v];
}

static inline double sum_up(const struct sum_lanes *lanes)
{
    struct sum sum = {0};
    for (int k = 0; k < SUM_LANES; k++)
        sum_add(&sum, lanes->vector[k / SUM_WIDTH][k % SUM_WIDTH]);
    return sum_value(&sum);
}

/* Returns the sum without compensation, added in pairs. It is faster, which matters for short rows.
 */
static ALWAYS_INLINE double sum_pairwise(const struct sum_lanes *lanes)
{
    double x[SUM_LANES];
    memcpy(x, lanes, sizeof x);
#pragma GCC unroll 4
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int k = 0; k < half; k++)
            x[k] += x[k + half];
    return x[0];
}

/* Compensated sums in lanes. */
struct compensated_lanes {
    struct sum_lanes value, lost;
};

/* Adds one number to each lane. */
static ALWAYS_INLINE void compensated_add_lanes(struct compensated_lanes *sum,
                                                const struct sum_lanes *next)
{
    for (int v = 0; v < SUM_VECTORS; v++) {
        const sum_vector old = sum->value.vector[v], total = old + next->vector[v],
                         back = total - old;
        sum->lost.vector[v] += (old - (total - back)) + (next->vector[v] - back);
        sum->value.vector[v] = total;
    }
}

static inline void sum_merge_lanes(struct sum *sum, const struct compensated_lanes *lanes)
{
    for (int k = 0; k < SUM_LANES; k++)
        sum_merge(sum, &(struct sum){lanes->value.vector[k / SUM_WIDTH][k % SUM_WIDTH],
                                     lanes->lost.vector[k / SUM_WIDTH][k % SUM_WIDTH]});
}

/* Returns the sum of all lanes. */
static inline double compensated_value(const struct compensated_lanes *lanes)
{
    struct sum sum = {0};
    sum_merge_lanes(&sum, lanes);
    return sum_value(&sum);
}

/* Adds one number to each lane; without compensation if `plain`, a constant. */
static ALWAYS_INLINE void lanes_add(struct compensated_lanes *sum, const double x[SUM_LANES],
                                    bool plain)
{
    struct sum_lanes next;
    memcpy(&next, x, sizeof next);
    if (plain)
        sum_add_lanes(&sum->value, x);
    else
        compensated_add_lanes(sum, &next);
}

/* Returns the sum of all lanes; without compensation if `plain`, a constant. */
static ALWAYS_INLINE double lanes_value(const struct compensated_lanes *sum, bool plain)
{
    return plain ? sum_pairwise(&sum->value) : compensated_value(sum);
}

/* Adds n numbers to lanes. */
static inline void sum_add_array(struct sum_lanes *value, const double *x, size_t n)
{
    struct sum_lanes next;
    for (size_t i = 0; i < n; i += SUM_LANES) {
        sum_load(&next, x, i, n);
        for (int v = 0; v < SUM_VECTORS; v++)
            value->vector[v] += next.vector[v];
    }
}

/* The functions below read rows, which may be long, and return early if the run is cancelled.
   Slices are multiples of SUM_LANES, so they do not change the sums. */

/* Returns the sum of n numbers without compensation. Its rounding error is small only if all large
   numbers have the same sign. */
static inline double sum_same_sign(const double *x, size_t n, const struct loss_control *cancel)
{
    struct sum_lanes value = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        sum_add_array(&value, x + s.first, slice_len(&s));
    return sum_up(&value);
}

/* Adds n products a[i] b[i] to lanes. */
static inline void sum_add_products(struct sum_lanes *value, const double *a, const double *b,
                                    size_t n)
{
    struct sum_lanes left, right;
    for (size_t i = 0; i < n; i += SUM_LANES) {
        sum_load(&left, a, i, n);
        sum_load(&right, b, i, n);
        for (int v = 0; v < SUM_VECTORS; v++)
            value->vector[v] += left.vector[v] * right.vector[v];
    }
}

/* Returns the sum of a[i] b[i]. */
static inline double sum_products(const double *a, const double *b, size_t n,
                                  const struct loss_control *cancel)
{
    struct sum_lanes value = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        sum_add_products(&value, a + s.first, b + s.first, slice_len(&s));
    return sum_up(&value);
}

#endif
