#include "kernel/exact_window.h"

#include <math.h>

/* The exponents that a window can have: all levels are normal numbers, and none overflows. */
enum { MIN_EXPONENT = -1022 + LEVEL_BITS * (WINDOW_LEVELS - 1), MAX_EXPONENT = 1022 };

/* How far e_0 is above the exponent of the largest number: the sum of WINDOW_STEPS numbers is less
   than 2^(e_0 - 1), with one bit to spare for a larger number later. */
enum { MARGIN = 10 };

/* The first window is exact for numbers of 53 bits from 2^-28 to 64. adapt() may add a level. */
enum { FIRST_EXPONENT = 16, MORE_LEVELS = WINDOW_FEW_LEVELS + 1 };

void accumulator_init(struct exact_accumulator *accumulator)
{
    *accumulator =
        (struct exact_accumulator){.exponent = FIRST_EXPONENT, .levels = WINDOW_FEW_LEVELS};
}

/* Returns the sum of a level's lanes. */
static int64_t sum_of_lanes(const int64_t lane[WINDOW_LANES])
{
    int64_t sum = 0;
    for (int i = 0; i < WINDOW_LANES; i++)
        sum += lane[i];
    return sum;
}

/* The position of the last bit of a level. */
static int level_bit(int exponent, int k)
{
    return exponent - k * LEVEL_BITS - 52 - EXACT_UNIT;
}

/* Adds levels of a window to a sum. */
static void add_levels(struct exact_sum *sum, int64_t level[WINDOW_LEVELS][WINDOW_LANES],
                       int exponent)
{
    for (int k = 0; k < WINDOW_LEVELS; k++)
        exact_sum_add_units(sum, sum_of_lanes(level[k]), level_bit(exponent, k));
}

void accumulator_flush(struct exact_accumulator *accumulator)
{
    if (accumulator->closed == 0)
        return;
    add_levels(&accumulator->sum, accumulator->pending, accumulator->exponent);
    memset(accumulator->pending, 0, sizeof accumulator->pending);
    accumulator->closed = 0;
}

/* ---- Numbers for which a window does not hold ---- */

/* The smallest biased exponent of numbers that no window can add. */
enum { TOO_LARGE = MAX_EXPONENT - MARGIN + 1023 + 1 };

/* Returns the exponent e_0 of a window for numbers whose largest one has the biased exponent
   `largest`. */
static int exponent_for(int largest)
{
    const int exponent = largest - 1023 + MARGIN;
    return exponent < MIN_EXPONENT ? MIN_EXPONENT : exponent;
}

/* Returns the largest biased exponent of n numbers; that of infinities and NaN is the largest. */
static int largest_exponent(const double *x, size_t n)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= UINT64_MAX >> 1;
        largest = bits > largest ? bits : largest;
    }
    return (int)(largest >> 52);
}

/* Copies the numbers that a window can add. Adds the others (larger ones, infinities and NaN) to
   `sum`, and copies 0 instead. Returns the largest biased exponent of those that are copied. */
static int copy_moderate(struct exact_sum *sum, const double *x, size_t n, double *to)
{
    memcpy(to, x, n * sizeof *to);
    int largest = largest_exponent(x, n);
    if (largest < TOO_LARGE)
        return largest;
    largest = 0;
    for (size_t i = 0; i < n; i++) {
        const int exponent = largest_exponent(x + i, 1);
        if (exponent < TOO_LARGE) {
            largest = exponent > largest ? exponent : largest;
            continue;
        }
        exact_sum_add(sum, x[i]);
        to[i] = 0;
    }
    return largest;
}

/* Changes the guesses after a window did not hold for numbers that need `exponent`: raises the
   accumulator's exponent, or else adds a level, or else lowers the exponent. */
static void adapt(struct exact_accumulator *accumulator, int exponent)
{
    if (exponent <= accumulator->exponent && accumulator->levels < MORE_LEVELS)
        accumulator->levels = MORE_LEVELS;
    else
        accumulator->exponent = exponent;
}

/* Adds up to WINDOW_TERMS numbers through a window of all levels whose exponent fits the largest
   number, and one by one what the window leaves of them. */
static void add_apart(struct exact_accumulator *accumulator, const double *x, size_t n)
{
    double rest[WINDOW_TERMS + WINDOW_LANES];
    int64_t level[WINDOW_LEVELS][WINDOW_LANES] = {{0}};
    struct window window;
    const int exponent = exponent_for(copy_moderate(&accumulator->sum, x, n, rest));
    memset(rest + n, 0, WINDOW_LANES * sizeof *rest);
    window_open(&window, exponent, WINDOW_LEVELS);
    for (size_t i = 0; i < n; i += SUM_WIDTH) {
        const int v = (int)(i / SUM_WIDTH % WINDOW_VECTORS);
        write_doubles(rest + i, window_add(&window, v, read_doubles(rest + i),
                                           window_start(exponent), WINDOW_LEVELS, false));
    }
    window_close(&window, exponent, WINDOW_LEVELS, level);
    add_levels(&accumulator->sum, level, exponent);
    for (size_t i = 0; i < n && !window_holds(&window); i++)
        if (rest[i] != 0)
            exact_sum_add(&accumulator->sum, rest[i]);
    accumulator_flush(accumulator);
    adapt(accumulator, exponent);
}

/* ---- Arrays ---- */

/* Adds a number to each lane of a window. */
static ALWAYS_INLINE void add_to_lanes(struct window *window, const double *x, double start,
                                       int levels)
{
    for (int v = 0; v < WINDOW_VECTORS; v++)
        window_add(window, v, read_doubles(x + v * SUM_WIDTH), start, levels, false);
}

/* Adds n <= WINDOW_TERMS numbers to a window. */
static ALWAYS_INLINE void add_to_window(struct window *window, int exponent, int levels,
                                        const double *x, size_t n)
{
    const double start = window_start(exponent);
    size_t i = 0;
    window_open(window, exponent, levels);
    for (; i + WINDOW_LANES <= n; i += WINDOW_LANES)
        add_to_lanes(window, x + i, start, levels);
    double last[WINDOW_LANES] = {0};
    memcpy(last, x + i, (n - i) * sizeof *x);
    add_to_lanes(window, last, start, levels);
}

/* Adds n <= WINDOW_TERMS numbers. */
static void add_some(struct exact_accumulator *accumulator, const double *x, size_t n)
{
    struct window window;
    bool added;
    if (accumulator->levels == WINDOW_FEW_LEVELS) {
        add_to_window(&window, accumulator->exponent, WINDOW_FEW_LEVELS, x, n);
        added = accumulator_close(accumulator, &window, WINDOW_FEW_LEVELS);
    } else {
        add_to_window(&window, accumulator->exponent, MORE_LEVELS, x, n);
        added = accumulator_close(accumulator, &window, MORE_LEVELS);
    }
    if (!added)
        add_apart(accumulator, x, n);
}

void accumulator_add(struct exact_accumulator *accumulator, const double *x, size_t n)
{
    if (n < WINDOW_LANES) {
        for (size_t i = 0; i < n; i++)
            exact_sum_add(&accumulator->sum, x[i]);
        return;
    }
    for (size_t i = 0; i < n; i += WINDOW_TERMS)
        add_some(accumulator, x + i, n - i < WINDOW_TERMS ? n - i : WINDOW_TERMS);
}

/* ---- A single sum ---- */

double exact_sum_of(const double *x, size_t n)
{
    if (n <= 2) /* the addition rounds once; + 0 turns -0 into 0 */
        return (n > 0 ? x[0] : 0) + (n > 1 ? x[1] : 0) + 0.0;
    const int largest = largest_exponent(x, n), exponent = exponent_for(largest);
    if (largest < TOO_LARGE) {
        int64_t level[WINDOW_FEW_LEVELS][WINDOW_LANES] = {{0}};
        struct window window;
        add_to_window(&window, exponent, WINDOW_FEW_LEVELS, x, n);
        window_close(&window, exponent, WINDOW_FEW_LEVELS, level);
        if (window_holds(&window)) {
            const __int128 sum =
                sum_of_lanes(level[0]) * ((__int128)1 << LEVEL_BITS) + sum_of_lanes(level[1]);
            return ldexp((double)sum, level_bit(exponent, 1) + EXACT_UNIT);
        }
    }
    struct exact_accumulator accumulator;
    accumulator_init(&accumulator);
    add_apart(&accumulator, x, n);
    return exact_sum_value(&accumulator.sum);
}
