/*
 * Binary numbers to the shortest decimal text that reads back to the same bits.
 *
 * The method is Schubfach (R. Giulietti, The Schubfach way to render doubles, 2020). All decimals in an interval around a float
 * read back to it. Take the k for which the interval is at least 10^k and less than 10^(k+1) wide: at most one multiple of
 * 10^(k+1) lies in it, and if one does, no other number there has as few digits; else there is at least one multiple of 10^k,
 * all of them have equally many digits, and the nearest is the answer.
 */
#include "number.h"
#include "number_tables.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

/* ---- the digits ----------------------------------------------------------------------------------------------------- */

/* The number digits * 10^exponent, with no zero at the end of the digits. */
struct decimal {
    uint64_t digits; /* at most 17 of them, 9 for float */
    int exponent;
};

/* x * 10^q in units of the power of two that the caller has put into x, cut off to an integer of which the lowest bit is set if
   anything was cut off: such integers compare with multiples of 2 as the numbers do. That the power's first 128 bits are
   enough, and for float 64, is proven by make_number_tables.py. */
static inline uint64_t scale(uint64_t x, int q, bool narrow)
{
    const struct number_power power = number_powers[q - NUMBER_POWER_MIN];
    if (narrow) {
        const unsigned __int128 product = (unsigned __int128)x * (power.high + 1);
        return (uint64_t)(product >> 64) | ((uint64_t)product >> 32 != 0);
    }
    const unsigned __int128 product = (unsigned __int128)x * power.high + ((unsigned __int128)x * (power.low + 1) >> 64);
    return (uint64_t)(product >> 64) | ((uint64_t)product != 0);
}

/* The shortest decimal for c * 2^q. `lopsided`: the float below is only half as far away as the one above. */
static inline struct decimal shortest(uint64_t c, int q, bool lopsided, bool narrow)
{
    /* k = floor(log10(2^q)), or of 3/4 * 2^q: the multipliers are log10(2) * 2^22, cut off, and log10(4/3) * 2^22. */
    const int k = (q * 1262611 - (lopsided ? 524031 : 0)) >> 22;
    /* All is measured in quarters of 10^k: x * 2^q / 10^k for x = 4 * c, and for the ends of the interval 2 beside it. The
       power's 128 bits (or 64) stand for a number in [1/2, 1), so 10^-k takes a shift by log2_of_power10(-k) + 1. */
    const int shift = q + number_log2_of_power10(-k) + 1;
    const uint64_t value = scale(4 * c << shift, -k, narrow);
    /* The ends belong to the interval if c is even; if not, they are moved inwards, just enough to tell. */
    const uint64_t low = scale((4 * c - (lopsided ? 1 : 2)) << shift, -k, narrow) + (c & 1);
    const uint64_t high = scale((4 * c + 2) << shift, -k, narrow) - (c & 1);

    const uint64_t ones = value / 4, tens = ones / 10;
    const bool tens_above = 40 * (tens + 1) <= high;
    if (tens > 0 && (low <= 40 * tens) != tens_above) {
        struct decimal decimal = {tens + tens_above, k + 1};
        for (; decimal.digits % 10 == 0; decimal.exponent++)
            decimal.digits /= 10;
        return decimal;
    }
    const bool above = 4 * (ones + 1) <= high;
    if ((low <= 4 * ones) != above)
        return (struct decimal){ones + above, k};
    const uint64_t middle = 4 * ones + 2;
    return (struct decimal){ones + (value > middle || (value == middle && ones & 1)), k};
}

/* ---- the text ------------------------------------------------------------------------------------------------------- */

static inline int count_digits(uint64_t number)
{
    /* The number is at least 2^(bits - 1) and below 2^bits, so it has floor(bits * log10(2)) digits or one more; 1233 / 2^12 is
       close enough to log10(2) for all bits up to 64. */
    const int n = (64 - __builtin_clzll(number)) * 1233 >> 12;
    return n + (number >= number_integer_powers[n]);
}

/* Writes a number below 10^8 with exactly `n` digits, up to 8, followed by anything up to 8 bytes in all. */
static inline void write_eight(char *text, uint64_t number, int n)
{
    /* Fields are halved, three times: the high part goes into the lower half, which comes first in memory. The multipliers are
       2^s / 10^i, rounded up, exact for all fields that occur. */
    uint64_t fields = number / 10000 | number % 10000 << 32;
    const uint64_t hundreds = fields * 10486 >> 20 & UINT64_C(0x0000007f0000007f);
    fields = hundreds | (fields - 100 * hundreds) << 16;
    const uint64_t tens = fields * 103 >> 10 & UINT64_C(0x000f000f000f000f);
    fields = tens | (fields - 10 * tens) << 8;
    const uint64_t characters = htole64((fields | UINT64_C(0x3030303030303030)) >> 8 * (8 - n));
    memcpy(text, &characters, sizeof characters);
}

/* Writes the `n` digits of a number, up to 17, and up to 7 bytes more. */
static inline void write_digits(char *text, uint64_t number, int n)
{
    if (n > 16) {
        *text++ = (char)('0' + number / number_integer_powers[16]);
        number %= number_integer_powers[16];
        n = 16;
    }
    if (n > 8) {
        write_eight(text, number / 100000000, n - 8);
        text += n - 8;
        number %= 100000000;
        n = 8;
    }
    write_eight(text, number, n);
}

static inline char *write_exponent(char *text, int exponent)
{
    *text++ = 'e';
    if (exponent < 0)
        *text++ = '-';
    const unsigned magnitude = (unsigned)(exponent < 0 ? -exponent : exponent);
    if (magnitude >= 100)
        *text++ = (char)('0' + magnitude / 100);
    if (magnitude >= 10)
        *text++ = (char)('0' + magnitude / 10 % 10);
    *text++ = (char)('0' + magnitude % 10);
    return text;
}

/* Writes the digits with a point behind the first `whole` of them, if it is not behind the last; returns what is behind. */
static inline char *write_with_point(char *text, uint64_t digits, int n, int whole)
{
    if (whole >= n) {
        write_digits(text, digits, n);
        return text + n;
    }
    write_digits(text + 1, digits, n);
    for (int i = 0; i < whole; i++)
        text[i] = text[i + 1];
    text[whole] = '.';
    return text + n + 1;
}

/* Scientific text of n digits is n + 1 bytes and at least "e0" or "e-1" longer; so where fixed text is not longer, it has at
   most 4 zeros behind the digits, or 2 between the point and the digits. */
static size_t write_decimal(char *const text, bool negative, struct decimal decimal)
{
    const int n = count_digits(decimal.digits), exponent = decimal.exponent + n - 1; /* of the first digit */
    const int magnitude = exponent < 0 ? -exponent : exponent;
    const int scientific = n + (n > 1) + 1 + (exponent < 0) + 1 + (magnitude >= 10) + (magnitude >= 100);
    const int fixed = exponent < 0 ? 1 + 1 + magnitude - 1 + n : exponent < n - 1 ? n + 1 : exponent + 1;
    char *to = text;
    *to = '-';
    to += negative;
    if (scientific < fixed)
        return (size_t)(write_exponent(write_with_point(to, decimal.digits, n, 1), exponent) - text);
    if (exponent < 0) {
        memcpy(to, "0.00", 4);
        write_digits(to + fixed - n, decimal.digits, n);
    } else {
        char *const behind = write_with_point(to, decimal.digits, n, exponent + 1);
        if (exponent >= n)
            memcpy(behind, "0000", 4);
    }
    return (size_t)(to - text + fixed);
}

static size_t write_zero(char *text, bool negative)
{
    const char *const zero = negative ? "-0.0" : "0"; /* many readers take "-0" for an integer, which has no sign */
    const size_t len = negative ? 4 : 1;
    memcpy(text, zero, len);
    return len;
}

/* Writes the number that the fields of IEEE 754 stand for: `fraction` is `width` bits wide. */
static inline size_t write_fields(char *text, bool negative, uint32_t exponent, uint64_t fraction, int width, bool narrow)
{
    if (exponent == 0 && fraction == 0)
        return write_zero(text, negative);
    const int smallest = 2 - (narrow ? 128 : 1024) - width; /* the exponent of the smallest float */
    if (exponent == 0)
        return write_decimal(text, negative, shortest(fraction, smallest, false, narrow));
    /* Below a power of two floats are closer, unless subnormals are below it. */
    const bool lopsided = fraction == 0 && exponent > 1;
    const uint64_t significand = fraction | UINT64_C(1) << width;
    return write_decimal(text, negative, shortest(significand, smallest + (int)exponent - 1, lopsided, narrow));
}

size_t number_write_f32(char *text, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return write_fields(text, bits >> 31, bits >> 23 & 0xff, bits & 0x7fffff, 23, true);
}

size_t number_write_f64(char *text, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return write_fields(text, bits >> 63, (uint32_t)(bits >> 52) & 0x7ff, bits & UINT64_C(0xfffffffffffff), 52, false);
}
