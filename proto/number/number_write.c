/*
 * Binary numbers to the shortest decimal text that reads back to the same bits.
 *
 * The method is Schubfach (R. Giulietti, The Schubfach way to render doubles, 2020). All decimals
 * in an interval around a float read back to it. Let k be such that the width of the interval is in
 * [10^k, 10^(k+1)). The interval contains at most one multiple of 10^(k+1). If it contains one, no
 * other number in it has as few digits. Otherwise it contains at least one multiple of 10^k; all of
 * these have equally many digits, and the nearest is the result.
 */
#include "number/number.h"
#include "number/number_shortest.h"

/* ---- Digits ---- */

/* Returns the shortest decimal of c * 2^q. `lopsided`: the float below is only half as far away as
   the one above. */
static inline struct shortest shortest(uint64_t c, int q, bool lopsided, bool narrow)
{
    struct shortest decimal = shortest_with_zero(c, q, lopsided, narrow);
    if (decimal.zero)
        for (; decimal.digits % 10 == 0; decimal.exponent++)
            decimal.digits /= 10;
    return decimal;
}

/* ---- Text ---- */

/* Writes a number below 10^8 with exactly `n` digits, up to 8. Writes 8 bytes in all. */
static inline void write_eight(char *text, uint64_t number, int n)
{
    const uint64_t fields = digit_bytes(number);
    const uint64_t characters = htole64((fields | UINT64_C(0x3030303030303030)) >> 8 * (8 - n));
    memcpy(text, &characters, sizeof characters);
}

/* Writes the `n` digits of a number, up to 17. May write up to 7 bytes more. */
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

/* Writes the digits with a point after the first `whole`, unless these are all. Returns the end. */
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

/* Scientific text of n digits has at most n + 1 bytes before its exponent, which has 2 ("e0") or 3
   ("e-1", "e10") in the cases where fixed text is not longer. Fixed text then has at most 4 zeros
   after the digits, or 2 between the point and the digits. */
static size_t write_decimal(char *const text, bool negative, struct shortest decimal)
{
    const int n = count_digits(decimal.digits),
              exponent = decimal.exponent + n - 1; /* of the first digit */
    const int magnitude = exponent < 0 ? -exponent : exponent;
    const int scientific =
        n + (n > 1) + 1 + (exponent < 0) + 1 + (magnitude >= 10) + (magnitude >= 100);
    const int fixed = fixed_length(n, exponent);
    char *to = text;
    *to = '-';
    to += negative;
    if (scientific < fixed)
        return (size_t)(write_exponent(write_with_point(to, decimal.digits, n, 1), exponent) -
                        text);
    if (exponent < 0) {
        memcpy(to, "0.00", 4);
        write_digits(to + fixed - n, decimal.digits, n);
    } else {
        char *const end = write_with_point(to, decimal.digits, n, exponent + 1);
        if (exponent >= n)
            memcpy(end, "0000", 4);
    }
    return (size_t)(to - text + fixed);
}

static size_t write_zero(char *text, bool negative)
{
    const char *const zero =
        negative ? "-0.0" : "0"; /* many readers parse "-0" as an integer, which has no sign */
    const size_t len = negative ? 4 : 1;
    memcpy(text, zero, len);
    return len;
}

/* Writes a number given by its fields of IEEE 754; `fraction` has `width` bits. */
static inline size_t write_fields(char *text, bool negative, uint32_t exponent, uint64_t fraction,
                                  int width, bool narrow)
{
    if (exponent == 0 && fraction == 0)
        return write_zero(text, negative);
    const int smallest = 2 - (narrow ? 128 : 1024) - width; /* the exponent of the smallest float */
    if (exponent == 0)
        return write_decimal(text, negative, shortest(fraction, smallest, false, narrow));
    /* Below a power of two, floats are closer together, unless they are subnormal. */
    const bool lopsided = fraction == 0 && exponent > 1;
    const uint64_t significand = fraction | UINT64_C(1) << width;
    return write_decimal(text, negative,
                         shortest(significand, smallest + (int)exponent - 1, lopsided, narrow));
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
    return write_fields(text, bits >> 63, (uint32_t)(bits >> 52) & 0x7ff,
                        bits & UINT64_C(0xfffffffffffff), 52, false);
}
