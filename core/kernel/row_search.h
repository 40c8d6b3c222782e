/* Searches in rows, which may be long: the maximum, and the index of a number. They return early if
   the run is cancelled. */
#ifndef CORE_KERNEL_ROW_SEARCH_H
#define CORE_KERNEL_ROW_SEARCH_H

#include "kernel/cancel.h"
#include "kernel/compensated_sum.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Returns the maximum of `max` and n numbers, ignoring NaN among these; NaN if `max` is NaN. */
static inline double max_in_slice(double max, const double *x, size_t n)
{
    enum { VECTORS = 4, STEP = VECTORS * SUM_WIDTH };
    typedef int64_t mask __attribute__((vector_size(SUM_WIDTH * sizeof(int64_t))));
    sum_vector lanes[VECTORS], next;
    size_t i = 0;
    for (int v = 0; v < VECTORS; v++)
        lanes[v] = max + (sum_vector){0};
    for (; i + STEP <= n; i += STEP)
        for (int v = 0; v < VECTORS; v++) {
            memcpy(&next, x + i + v * SUM_WIDTH, sizeof next);
            const mask greater = next > lanes[v];
            lanes[v] = (sum_vector)(((mask)next & greater) | ((mask)lanes[v] & ~greater));
        }
    for (int k = 0; k < STEP; k++)
        if (lanes[k / SUM_WIDTH][k % SUM_WIDTH] > max)
            max = lanes[k / SUM_WIDTH][k % SUM_WIDTH];
    for (; i < n; i++)
        if (x[i] > max)
            max = x[i];
    return max;
}

/* Returns the maximum of n > 0 numbers, ignoring NaN unless it comes first. */
static inline double max_of(const double *x, size_t n, const struct loss_control *cancel)
{
    double max = x[0];
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        max = max_in_slice(max, x + s.first, slice_len(&s));
    return max;
}

static inline float max_in_slice_f32(float max, const float *x, size_t n)
{
    enum { LANES = 2 * SUM_LANES };
    float lanes[LANES];
    size_t i = 0;
    for (size_t k = 0; k < (size_t)LANES; k++)
        lanes[k] = max;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < (size_t)LANES; k++)
            lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
    if (n >= LANES) /* the last LANES numbers again, so that there is no remainder */
        i = n - LANES;
    for (size_t k = 0; i + k < n; k++)
        lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
#pragma GCC unroll 8
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++)
            lanes[k] = lanes[k + half] > lanes[k] ? lanes[k + half] : lanes[k];
    return lanes[0];
}

/* Like max_of(), for floats. The caller prefetches them. */
static inline float max_of_f32(const float *x, size_t n, const struct loss_control *cancel)
{
    float max = x[0];
    for (struct slice s = {0}; slice_next(&s, n, cancel);)
        max = max_in_slice_f32(max, x + s.first, slice_len(&s));
    return max;
}

/* Returns the index of the first of n numbers that equals `wanted`; n if none does. */
static inline size_t index_in_slice(double wanted, const double *x, size_t n)
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

/* Like index_in_slice(), for a row of any length. */
static inline size_t index_of(double wanted, const double *x, size_t n,
                              const struct loss_control *cancel)
{
    for (struct slice s = {0}; slice_next(&s, n, cancel);) {
        const size_t found = index_in_slice(wanted, x + s.first, slice_len(&s));
        if (found < slice_len(&s))
            return s.first + found;
    }
    return n;
}

#endif
