/* Sums of float64 numbers as long integers, added digit by digit: the reference for exact sums. */
#ifndef TESTS_BIG_SUM_H
#define TESTS_BIG_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BIG_SUM_DIGITS = 72, BIG_SUM_TEXT = 8 * BIG_SUM_DIGITS + 16 };

/* The positive and the negative numbers are added separately. {0} is the sum of no numbers. */
struct big_sum {
    uint32_t positive[BIG_SUM_DIGITS], negative[BIG_SUM_DIGITS]; /* units of 2^-1074 */
    size_t nan, infinite, negative_infinite;
};

void big_sum_add(struct big_sum *sum, double x);
/* Writes the finite part as a hexadecimal integer and a power of two, such as "-0x1fp-1074". */
void big_sum_text(const struct big_sum *sum, char text[BIG_SUM_TEXT]);
/* Returns the sum, rounded by strtod(). */
double big_sum_value(const struct big_sum *sum);

#endif
