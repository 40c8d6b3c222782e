/*
 * Shared by the readers of single and bulk numbers: eight digits at once, and decimal to binary if
 * 64 bits of the product suffice. number_read.c cites the sources.
 */
#ifndef PROTO_NUMBER_NUMBER_ROUND_H
#define PROTO_NUMBER_NUMBER_ROUND_H

#include "number/number_tables.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* Loads eight characters, the first in the lowest byte. */
static inline uint64_t load_eight(const char *text)
{
    uint64_t characters;
    memcpy(&characters, text, sizeof characters);
    return le64toh(characters);
}

/* Returns the value of eight digits, the first in the lowest byte; a byte of 0 is the digit 0. */
static inline uint64_t eight_digits(uint64_t characters)
{
    /* Adjacent fields are combined, three times: with `a` in the low half of a field and `b` in the
       high half, the product with base * 2^half + 1 has a * base + b in the high half, and does not
       overflow the field. */
    uint64_t fields = characters & UINT64_C(0x0f0f0f0f0f0f0f0f); /* '0' is 0x30 */
    fields = fields * ((10 << 8) + 1) >> 8 & UINT64_C(0x00ff00ff00ff00ff);
    fields = fields * ((100 << 16) + 1) >> 16 & UINT64_C(0x0000ffff0000ffff);
    return fields * ((UINT64_C(10000) << 32) + 1) >> 32;
}

/* The number is digits * 10^exponent, or if `cut`, above that and below (digits + 1) * 10^exponent.
 */
struct decimal {
    uint64_t digits;
    int64_t exponent;
    bool cut; /* `digits` then has its maximum length */
};

/* A binary format of IEEE 754: significands of `precision` bits, the first of which has a value
   from 2^min_exponent to 2^max_exponent. Below 2^min_exponent the first bit may be 0. The bits of
   consecutive floats are consecutive integers, up to infinity. */
struct format {
    int precision, min_exponent, max_exponent;
};
static const struct format binary64 = {53, -1022, 1023};

/* Sets *bits to the float nearest to a positive number and returns true, if the leading 64 bits
   suffice. Otherwise returns false and sets *bits to the lower one of the two floats around the
   number. */
static inline bool round_product(const struct decimal *number, struct format format, uint64_t *bits)
{
    /* Outside the table's range, 1 * 10^exponent is already too large for a double, or 2^64 *
     * 10^exponent is still too small. */
    const uint64_t infinity = (uint64_t)(format.max_exponent - format.min_exponent + 2)
                              << (format.precision - 1);
    *bits = number->exponent > 0 && number->digits > 0 ? infinity : 0;
    if (number->digits == 0 || number->exponent < NUMBER_POWER_MIN ||
        number->exponent > NUMBER_POWER_MAX)
        return true;

    /* number = upper * 2^(..), where `upper` is truncated. It is in [2^62, 2^64), because both
       factors are at least 2^63. It is too small by less than 1 for its own lower half, by less
       than 1 for the lower half of the power, and by less than 1 << zeros for omitted digits. If
       digits are omitted, `digits` is at least 10^18 and `zeros` at most 4, so `slack` is at
       most 18. */
    const struct number_power *const power = &number_powers[number->exponent - NUMBER_POWER_MIN];
    const int zeros = __builtin_clzll(number->digits);
    const unsigned __int128 product = (unsigned __int128)(number->digits << zeros) * power->high;
    const uint64_t upper = (uint64_t)(product >> 64);
    const bool exact = power->low == 0 && (uint64_t)product == 0 && !number->cut;
    uint64_t slack = exact ? 0 : 2;
    if (number->cut)
        slack += UINT64_C(1) << zeros;
    /* The first bit of `upper` has the value 2^exponent; that of 2^63 * 2^63 / 2^64 is bit 62. */
    const int top = 62 + (int)(upper >> 63);
    const int exponent = number_log2_of_power10((int)number->exponent) + 63 - zeros + top - 62;
    if (exponent > format.max_exponent) {
        *bits = infinity;
        return true;
    }
    int dropped =
        top + 1 -
        format.precision; /* bits after the significand: 10 or more, as `half` requires below */
    uint64_t hidden = 0;  /* the exponent field; the significand's first bit adds 1 to it */
    if (exponent >= format.min_exponent)
        hidden = (uint64_t)(exponent - format.min_exponent) << (format.precision - 1);
    else
        dropped += format.min_exponent - exponent;
    if (dropped > 64) { /* less than half the smallest float */
        *bits = 0;
        return true;
    }

    /* Rounds up above half, down below it. Because slack < half, a number above half stays above
       it, or exceeds the next float by less than half. The direction is unpredictable, so there is
       no branch. */
    const uint64_t half = UINT64_C(1) << (dropped - 1), rest = upper & (half | (half - 1));
    const uint64_t lower = hidden + (upper >> (dropped - 1) >> 1);
    const bool up = (rest > half) | ((rest == half) & exact & (lower & 1));
    *bits = lower + up;
    return up | exact | (rest + slack < half);
}

#endif
