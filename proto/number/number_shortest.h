/*
 * Shared by the writers of single and bulk numbers: the shortest decimal of a binary number, and
 * its digits as bytes. number_write.c describes the method.
 */
#ifndef PROTO_NUMBER_NUMBER_SHORTEST_H
#define PROTO_NUMBER_NUMBER_SHORTEST_H

#include "number/number_tables.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* The number digits * 10^exponent. */
struct shortest {
    uint64_t digits; /* at most 17 of them, 9 for float */
    int exponent;
    bool zero; /* true if the digits end in one or more zeros */
};

/* Returns x * 10^q, in units of the power of two that the caller has multiplied x by, truncated to
   an integer. The lowest bit is set if the truncated part is not 0, so the integer compares with
   multiples of 2 like the exact number. make_number_tables.py proves that the first 128 bits of the
   power suffice, and 64 bits for float. */
static inline uint64_t scale(uint64_t x, int q, bool narrow)
{
    const struct number_power power = number_powers[q - NUMBER_POWER_MIN];
    if (narrow) {
        const unsigned __int128 product = (unsigned __int128)x * (power.high + 1);
        return (uint64_t)(product >> 64) | ((uint64_t)product >> 32 != 0);
    }
    const unsigned __int128 product =
        (unsigned __int128)x * power.high + ((unsigned __int128)x * (power.low + 1) >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product != 0);
}

/* Returns the shortest decimal of c * 2^q, with its trailing zeros. `lopsided`: the float below is
   only half as far away as the one above. The choice among the candidates is unpredictable, so
   there is no branch. */
static inline struct shortest shortest_with_zero(uint64_t c, int q, bool lopsided, bool narrow)
{
    /* k = floor(log10(2^q)), or of 3/4 * 2^q: the multipliers are log10(2) * 2^22 and
     * log10(4/3) * 2^22, truncated. */
    const int k = (q * 1262611 - (lopsided ? 524031 : 0)) >> 22;
    /* The unit is a quarter of 10^k: x * 2^q / 10^k, where x is 4 * c for the number, and 2 less or
       2 more for the ends of the interval. The power's 128 bits (or 64) represent a number in [1/2,
       1), so 10^-k needs a shift by log2_of_power10(-k) + 1. */
    const int shift = q + number_log2_of_power10(-k) + 1;
    const uint64_t value = scale(4 * c << shift, -k, narrow);
    /* The ends belong to the interval if c is even; otherwise they are moved inwards by one unit.
     */
    const uint64_t low = scale((4 * c - (lopsided ? 1 : 2)) << shift, -k, narrow) + (c & 1);
    const uint64_t high = scale((4 * c + 2) << shift, -k, narrow) - (c & 1);

    const uint64_t ones = value / 4, tens = ones / 10;
    const bool tens_above = 40 * (tens + 1) <= high,
               tens_in = (tens > 0) & ((low <= 40 * tens) != tens_above);
    const bool above = 4 * (ones + 1) <= high, ones_in = (low <= 4 * ones) != above;
    const uint64_t middle = 4 * ones + 2;
    const bool nearer = (value > middle) | ((value == middle) & (ones & 1));
    const uint64_t long_one = ones + (ones_in ? above : nearer),
                   short_one = 10 * (tens + tens_above);
    return (struct shortest){tens_in ? short_one : long_one, k,
                             tens_in | (long_one == 10)}; /* the smallest floats */
}

static inline int count_digits(uint64_t number)
{
    /* The number is at least 2^(bits - 1) and below 2^bits, so it has floor(bits * log10(2)) digits
       or one more; 1233 / 2^12 is close enough to log10(2) for all bits up to 64. */
    const int n = (64 - __builtin_clzll(number)) * 1233 >> 12;
    return n + (number >= number_integer_powers[n]);
}

/* Returns the length of the fixed text of n digits, the first of which has the value 10^exponent.
 */
static inline int fixed_length(int n, int exponent)
{
    if (exponent < 0)
        return 1 + n - exponent; /* "0.", zeros and the digits */
    return exponent < n - 1 ? n + 1 : exponent + 1;
}

/* Returns the eight digits of a number below 10^8 as bytes, the first in the lowest one. */
static inline uint64_t digit_bytes(uint64_t number)
{
    /* Each field is split in two, three times: the high digits go into the lower half, which comes
       first in memory. The multipliers are 2^s / 10^i, rounded up; the quotients are exact for all
       fields that occur. */
    uint64_t fields = number / 10000 | number % 10000 << 32;
    const uint64_t hundreds = fields * 10486 >> 20 & UINT64_C(0x0000007f0000007f);
    fields = hundreds | (fields - 100 * hundreds) << 16;
    const uint64_t tens = fields * 103 >> 10 & UINT64_C(0x000f000f000f000f);
    fields = tens | (fields - 10 * tens) << 8;
    return fields;
}

#endif
