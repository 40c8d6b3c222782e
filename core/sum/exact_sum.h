/*
 * Exact sums of float64 numbers, rounded once when they are read.
 *
 * A finite float64 number is an integer multiple of 2^-1074, so a sum of them is an integer, and
 * integer addition is associative: an exact sum depends neither on the order of its numbers nor on
 * how they are divided among threads, blocks, processes or machines. Infinite and NaN numbers are
 * counted.
 */
#ifndef CORE_SUM_EXACT_SUM_H
#define CORE_SUM_EXACT_SUM_H

#include "loss.h"

/* The unit of a sum is 2^EXACT_UNIT. Its integer has 2176 bits: a number is less than 2^2098 units,
   so 2^63 of them do not overflow it. */
enum { EXACT_LIMBS = LOSS_LIMBS, EXACT_LIMB_BITS = 32, EXACT_UNIT = -1074 };

/* A sum. {0} is the sum of no numbers. */
struct exact_sum {
    int64_t limb[EXACT_LIMBS]; /* limb k counts 2^(32 k) units. Carries are propagated after many
                                  deposits, and before a sum is read */
    uint32_t deposits;         /* since carries were last propagated */
    uint64_t nan, infinite, negative_infinite; /* how many numbers were NaN, +inf and -inf */
};

/* Adds a number. */
void exact_sum_add(struct exact_sum *sum, double x);

/* Adds `count` * 2^`bit` units; 0 <= bit <= 2080. */
void exact_sum_add_units(struct exact_sum *sum, int64_t count, int bit);

/* Adds the numbers of another sum. */
void exact_sum_merge(struct exact_sum *sum, const struct exact_sum *other);

/* Returns NULL if the calling thread rounds to nearest and computes with subnormal numbers, which
   exact_window.h requires; else what it does instead, such as "does not round to nearest". */
const char *exact_sum_obstacle(void);

/* Returns the sum, rounded to the nearest float64 number, ties to even. NaN if a number was NaN, or
   if there were infinities of both signs; else the infinity, if there was one. A sum that is 0, and
   that of no numbers, is +0. */
double exact_sum_value(const struct exact_sum *sum);

/* Returns how many numbers were NaN or infinite. */
size_t exact_sum_nonfinite(const struct exact_sum *sum);

/* Returns the sum of the finite numbers. */
struct loss_integer exact_sum_integer(const struct exact_sum *sum);

/* Sets a sum to `integer`, without NaN and infinities. Returns false if the integer is not a sum:
   the exponent is less than EXACT_UNIT, or the magnitude is 2^1087 or more. */
bool exact_sum_set(struct exact_sum *sum, const struct loss_integer *integer);

#endif
