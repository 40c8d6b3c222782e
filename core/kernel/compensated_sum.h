/*
 * Sums that lose nothing to rounding worth speaking of: every addition's error is kept and added at
 * the end (Knuth's two-sum; Ogita, Rump, Oishi: Accurate sum and dot product, 2005). The order of
 * additions is the caller's, so the bits are too.
 */
#ifndef CORE_KERNEL_COMPENSATED_SUM_H
#define CORE_KERNEL_COMPENSATED_SUM_H

#include "kernel/cancel.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
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

/* The errors of an infinite sum are NaN and mean nothing. */
static inline double sum_value(const struct sum *sum)
{
    return isfinite(sum->value) ? sum->value + sum->lost : sum->value;
}

/*
 * Arrays are added in SUM_LANES interleaved sums, side by side in as many vectors of the machine's
 * width as that takes. The loops over them unroll to nothing.
 */
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

/* The next elements of an array; zeros behind its end. */
static inline __attribute__((always_inline)) void sum_load(struct sum_lanes *lanes, const double *x,
                                                           size_t i, size_t n)
{
    double padded[SUM_LANES] = {0};
    if (n - i < SUM_LANES)
        x = memcpy(padded, x + i, (n - i) * sizeof *x);
    else
        x += i;
    for (int v = 0; v < SUM_VECTORS; v++)
        memcpy(&lanes->vector[v], x + v * SUM_WIDTH, sizeof lanes->vector[v]);
}

/* Adds one to each lane. */
static inline __attribute__((always_inline)) void sum_add_lanes(struct sum_lanes *value,
                                                                const double x[SUM_LANES])
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

/* Adds n numbers. */
static inline void sum_add_all(struct sum *sum, const double *x, size_t n)
{
    struct sum_lanes value = {0}, lost = {0}, next;
    for (size_t i = 0; i < n; i += SUM_LANES) {
        sum_load(&next, x, i, n);
        for (int v = 0; v < SUM_VECTORS; v++) {
            const sum_vector total = value.vector[v] + next.vector[v],
                             back = total - value.vector[v];
            lost.vector[v] += (value.vector[v] - (total - back)) + (next.vector[v] - back);
            value.vector[v] = total;
        }
    }
    for (int k = 0; k < SUM_LANES; k++)
        sum_merge(sum, &(struct sum){value.vector[k / SUM_WIDTH][k % SUM_WIDTH],
                                     lost.vector[k / SUM_WIDTH][k % SUM_WIDTH]});
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

/*
 * What follows goes over rows, which may be long: it gives up once `cancel` is set. A stretch fills
 * whole lanes, so it shows in no sum.
 */

/* The sum of n numbers of which all that matter have the same sign, so that rounding errors stay
 * small by themselves. */
static inline double sum_alike(const double *x, size_t n, const struct loss_control *cancel)
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

/* The sum of a[i] b[i]. */
static inline double sum_products(const double *a, const double *b, size_t n,
                                  const struct loss_control *cancel)
{
    struct sum_lanes value = {0};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        sum_add_products(&value, a + s.first, b + s.first, slice_len(&s));
    return sum_up(&value);
}

/* The larger of a number and of n others, of which NaN is left out; NaN if `largest` is. */
static inline double largest_from(double largest, const double *x, size_t n)
{
    enum { VECTORS = 4, STEP = VECTORS * SUM_WIDTH };
    typedef int64_t mask __attribute__((vector_size(SUM_WIDTH * sizeof(int64_t))));
    sum_vector most[VECTORS], next;
    size_t i = 0;
    for (int v = 0; v < VECTORS; v++)
        most[v] = largest + (sum_vector){0};
    for (; i + STEP <= n; i += STEP)
        for (int v = 0; v < VECTORS; v++) {
            memcpy(&next, x + i + v * SUM_WIDTH, sizeof next);
            const mask more = next > most[v];
            most[v] = (sum_vector)(((mask)next & more) | ((mask)most[v] & ~more));
        }
    for (int k = 0; k < STEP; k++)
        if (most[k / SUM_WIDTH][k % SUM_WIDTH] > largest)
            largest = most[k / SUM_WIDTH][k % SUM_WIDTH];
    for (; i < n; i++)
        if (x[i] > largest)
            largest = x[i];
    return largest;
}

/* The largest of n > 0 numbers, NaN left out unless it comes first. */
static inline double largest_of(const double *x, size_t n, const struct loss_control *cancel)
{
    double largest = x[0];
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        largest = largest_from(largest, x + s.first, slice_len(&s));
    return largest;
}

/* The range of n floats and what is in `from`; NaN is left out unless that is NaN. */
struct range {
    float least, largest;
};
static inline struct range range_from(struct range from, const float *x, size_t n)
{
    enum { LANES = 2 * SUM_LANES };
    float least[LANES], largest[LANES];
    size_t i = 0;
    for (size_t k = 0; k < (size_t)LANES; k++) {
        least[k] = from.least;
        largest[k] = from.largest;
    }
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < (size_t)LANES; k++) {
            least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
            largest[k] = x[i + k] > largest[k] ? x[i + k] : largest[k];
        }
    for (size_t k = 0; i + k < n; k++) {
        least[k] = x[i + k] < least[k] ? x[i + k] : least[k];
        largest[k] = x[i + k] > largest[k] ? x[i + k] : largest[k];
    }
    for (size_t k = 1; k < (size_t)LANES; k++) {
        least[0] = least[k] < least[0] ? least[k] : least[0];
        largest[0] = largest[k] > largest[0] ? largest[k] : largest[0];
    }
    return (struct range){least[0], largest[0]};
}

/* The range of n > 0 floats, likewise. */
static inline struct range range_of(const float *x, size_t n, const struct loss_control *cancel)
{
    struct range range = {x[0], x[0]};
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        range = range_from(range, x + s.first, slice_len(&s));
    return range;
}

/* The first of n numbers that is wanted, or n. */
static inline size_t place_among(double wanted, const double *x, size_t n)
{
    enum { RUN = 32 };
    size_t i = 0;
    for (; i + RUN <= n; i += RUN) {
        int found = 0;
        for (size_t k = 0; k < RUN; k++)
            found |= x[i + k] == wanted;
        if (found)
            break;
    }
    while (i < n && x[i] != wanted)
        i++;
    return i;
}

static inline size_t place_of(double wanted, const double *x, size_t n,
                              const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);) {
        const size_t found = place_among(wanted, x + s.first, slice_len(&s));
        if (found < slice_len(&s))
            return s.first + found;
    }
    return n;
}

#endif
