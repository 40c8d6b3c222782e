/*
 * Exact sums of many float64 numbers in vectors. The result is that of exact_sum_add() for each
 * number, whatever the width of the vectors is.
 *
 * The fast way is a window of a few levels. Level k starts at S = 1.5 * 2^e_k in each lane, where
 * e_k = e_0 - LEVEL_BITS * k. For a number x:
 *
 *     t = S0 + x;  q = t - S0;  x' = x - q;  S0 = t         the part of x that S0 has bits for
 *     t = S1 + x'; q = t - S1;  x'' = x' - q; S1 = t        the same for what is left; and so on
 *
 * After at most WINDOW_STEPS numbers per lane, the window is closed: each level has added
 * S - 1.5 * 2^e_k, an integer multiple of 2^(e_k - 52), to the sum.
 *
 * Why this is exact:
 * - If S0 never leaves [2^e_0, 2^(e_0 + 1)), then |x| <= 2^e_0 <= |S0|, hence q and x' are exact
 *   (Dekker's fast two-sum), and |x'| <= 2^(e_0 - 53). The bits of sign and exponent that ever
 *   differed from the start are collected in `moved`. NaN and infinities change them too.
 * - 2^7 such remainders, and as many rounding errors of S1, are less than 2^(e_1 - 1) in total,
 *   because e_1 = e_0 - 44. So S1 never leaves its interval, and the same holds for later levels.
 * - If nothing is left after the last level (`left`), the sum of all x is that of the levels.
 * - Otherwise the window is not used: add_apart() adds the same numbers again in another way.
 *
 * All this requires rounding to nearest and subnormal numbers (loss_run() checks it).
 */
#ifndef CORE_KERNEL_EXACT_WINDOW_H
#define CORE_KERNEL_EXACT_WINDOW_H

#include "inline.h"
#include "kernel/compensated_sum.h"
#include "kernel/wide_vector.h"
#include "sum/exact_sum.h"

enum { WINDOW_LEVELS = 4, LEVEL_BITS = 44, WINDOW_STEPS = 128 };

/* With 32 vector registers, 16 lanes hide the latency of additions; into 16 registers they do not
   fit. */
enum { WINDOW_LANES = SUM_WIDTH == 8 ? 16 : 8, WINDOW_VECTORS = WINDOW_LANES / SUM_WIDTH };
/* The most numbers that are added to one window. */
enum { WINDOW_TERMS = WINDOW_STEPS * 8 };

typedef int64_t bits_vector __attribute__((vector_size(SUM_WIDTH * sizeof(int64_t))));

struct window {
    sum_vector level[WINDOW_LEVELS][WINDOW_VECTORS];
    bits_vector moved, left;
};

/* The sum of one thread. Parts of it that windows have added wait in `pending`. */
struct exact_accumulator {
    struct exact_sum sum;
    int exponent; /* e_0 of the next window ... */
    int levels;   /* ... and its levels. They are guesses, which do not change the sum */
    int closed;   /* how many windows `pending` consists of */
    int64_t pending[WINDOW_LEVELS][WINDOW_LANES]; /* in units of 2^(e_k - 52) */
};

/* Makes the accumulator of no numbers. */
void accumulator_init(struct exact_accumulator *accumulator);
/* Adds n numbers. */
void accumulator_add(struct exact_accumulator *accumulator, const double *x, size_t n);
/* Moves everything to accumulator->sum. */
void accumulator_flush(struct exact_accumulator *accumulator);
/* Returns the sum of n <= WINDOW_TERMS numbers, rounded once. Faster than an accumulator. */
double exact_sum_of(const double *x, size_t n);

/* The levels that are enough for most numbers. */
enum { WINDOW_FEW_LEVELS = 2 };

/* Returns 1.5 * 2^exponent. */
static ALWAYS_INLINE double window_start(int exponent)
{
    const uint64_t bits = (uint64_t)(exponent + 1023) << 52 | UINT64_C(1) << 51;
    double start;
    memcpy(&start, &bits, sizeof start);
    return start;
}

/* Opens a window of `levels` levels, a constant. */
static ALWAYS_INLINE void window_open(struct window *window, int exponent, int levels)
{
    for (int k = 0; k < levels; k++)
        for (int v = 0; v < WINDOW_VECTORS; v++)
            window->level[k][v] = window_start(exponent - k * LEVEL_BITS) + (sum_vector){0};
    window->moved = window->left = (bits_vector){0};
}

/* Returns a | (b ^ c). */
static ALWAYS_INLINE bits_vector or_difference(bits_vector a, bits_vector b, bits_vector c)
{
#if defined __AVX512F__
    return (bits_vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xf6);
#else
    return a | (b ^ c);
#endif
}

/* Adds a number to each lane of vector v. Returns what is left of the numbers. `start` is what the
   first level started with. If `nonnegative`, no number is negative, so the first level never
   decreases; instead of setting `moved`, the caller then calls window_check_end() at the end. */
static ALWAYS_INLINE sum_vector window_add(struct window *window, int v, sum_vector x, double start,
                                           int levels, bool nonnegative)
{
    for (int k = 0; k < levels; k++) {
        const sum_vector old = window->level[k][v], next = old + x, part = next - old;
        if (k == 0 && !nonnegative)
            window->moved = or_difference(window->moved, (bits_vector)next,
                                          (bits_vector)(start + (sum_vector){0}));
        if (k == levels - 1)
            window->left = or_difference(window->left, (bits_vector)part, (bits_vector)x);
        window->level[k][v] = next;
        x -= part;
    }
    return x;
}

/* Sets `moved` of a window whose numbers were not negative. */
static ALWAYS_INLINE void window_check_end(struct window *window, double start)
{
    for (int v = 0; v < WINDOW_VECTORS; v++)
        window->moved |= (bits_vector)window->level[0][v] ^ (bits_vector)(start + (sum_vector){0});
}

/* Returns true if the levels have the exact sum of the numbers. The sign of `left` is ignored
   because -0 leaves 0. */
static ALWAYS_INLINE bool window_holds(const struct window *window)
{
    const int64_t sign_and_exponent = ~((INT64_C(1) << 52) - 1);
    const bits_vector fault = (window->moved & sign_and_exponent) | (window->left & INT64_MAX);
    uint64_t faults = 0;
    for (int k = 0; k < SUM_WIDTH; k++)
        faults |= (uint64_t)fault[k];
    return faults == 0;
}

/* Adds what the levels of a window contain to `pending`. */
static ALWAYS_INLINE void window_close(const struct window *window, int exponent, int levels,
                                       int64_t pending[][WINDOW_LANES])
{
    for (int k = 0; k < levels; k++) {
        const bits_vector start =
            (bits_vector)(window_start(exponent - k * LEVEL_BITS) + (sum_vector){0});
        for (int v = 0; v < WINDOW_VECTORS; v++) {
            bits_vector sum;
            memcpy(&sum, &pending[k][v * SUM_WIDTH], sizeof sum);
            sum += (bits_vector)window->level[k][v] - start;
            memcpy(&pending[k][v * SUM_WIDTH], &sum, sizeof sum);
        }
    }
}

/* Closes a window that was opened with the accumulator's exponent, if it has the exact sum of its
   numbers. Returns false, without adding anything, if it does not. */
static ALWAYS_INLINE bool accumulator_close(struct exact_accumulator *accumulator,
                                            const struct window *window, int levels)
{
    enum { MAX_CLOSED = 128 }; /* 16 lanes times 128 integers below 2^51 are below 2^63 */
    if (!window_holds(window))
        return false;
    if (accumulator->closed == MAX_CLOSED)
        accumulator_flush(accumulator);
    accumulator->closed++;
    window_close(window, accumulator->exponent, levels, accumulator->pending);
    return true;
}

#endif
