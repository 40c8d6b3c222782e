/*
 * The part of number_bulk.h that reads and writes numbers. Included once per instruction set. The
 * including file defines:
 *
 *     bool take_digits(const char *text, const char *end, struct digits *)
 *         splits the number in [text, end); returns false if it has more than about 18 digits or
 *         is not a number of RFC 8259 grammar
 */
#include "number/number.h"
#include "number/number_bulk.h"
#include "number/number_round.h"

#include <math.h>

/* Sets *value to the float nearest to digits * 10^exponent, by rounding a double that is close to
   it. Digits, power and product are each off by at most half a unit in the last place, together by
   less than 4 units of the double. Unless a midpoint of two floats is that near, the number and the
   double are on the same side of every midpoint, and the double rounds to the correct float.
   Otherwise returns false. (A midpoint has a one before 28 zeros after the last bit of the float.
   Below 2^-126, floats are subnormal and have other midpoints; then, too, returns false.) */
static inline bool to_float(struct digits number, float *value)
{
    const uint64_t tail = (UINT64_C(1) << 29) - 1, half = UINT64_C(1) << 28,
                   smallest = UINT64_C(0x3810000000000000);
    const int i = number.exponent - NUMBER_NEAR_MIN;
    if ((unsigned)i > NUMBER_NEAR_MAX - NUMBER_NEAR_MIN)
        return false;
    const double wide = (double)(int64_t)number.digits * number_near_powers[0][i];
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    if ((bits & tail) - (half - 4) <= 8 || bits - 1 < smallest - 1)
        return false;
    const float narrow = (float)wide;
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    narrow_bits |= (uint32_t)number.negative << 31;
    memcpy(value, &narrow_bits, sizeof narrow_bits);
    return true;
}

/* Sets *value to the double nearest to digits * 10^exponent, like round_product(). Returns false if
   it may not be normal or the rounding is uncertain. The upper 64 bits of the product, shifted so
   that the first is set, are too small by less than 4. The last 11 of them determine the rounding,
   unless that error can take them from below half to above. */
static inline bool to_double(struct digits number, double *value)
{
    enum { MIN_EXPONENT = -290, MAX_EXPONENT = 280, HALF = 0x400 };
    if ((unsigned)(number.exponent - MIN_EXPONENT) > MAX_EXPONENT - MIN_EXPONENT ||
        number.digits == 0) {
        *value = number.negative ? -0.0 : 0;
        return number.digits == 0;
    }
    const int zeros = __builtin_clzll(number.digits);
    const uint64_t power = number_powers[number.exponent - NUMBER_POWER_MIN].high;
    const uint64_t upper = (uint64_t)((unsigned __int128)(number.digits << zeros) * power >> 64),
                   carry = upper >> 63;
    const uint64_t product = upper << (1 - carry), rest = product & (2 * HALF - 1);
    const uint64_t hidden =
        (uint64_t)(number_log2_of_power10(number.exponent) + 63 - zeros + 1022) + carry;
    const uint64_t bits = (hidden << 52) + (product >> 11) + (rest > HALF);
    const uint64_t signed_bits = bits | (uint64_t)number.negative << 63;
    memcpy(value, &signed_bits, sizeof signed_bits);
    return rest - (HALF - 4) > 4;
}

static inline bool to_integer(struct digits number, int64_t *value)
{
    *value = number.negative ? -(int64_t)number.digits : (int64_t)number.digits;
    return number.exponent == 0;
}

#define READ(name, type, convert)                                                                  \
    static size_t name(const char *text, const uint32_t *bounds, size_t n, type values[])          \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            struct digits number;                                                                  \
            type value;                                                                            \
            if (!take_digits(text + bounds[2 * i], text + bounds[2 * i + 1], &number) ||           \
                !convert(number, &value))                                                          \
                return i;                                                                          \
            memcpy((char *)values + i * sizeof value, &value, sizeof value); /* unaligned */       \
        }                                                                                          \
        return n;                                                                                  \
    }
READ(read_f32, float, to_float)
READ(read_f64, double, to_double)
READ(read_i64, int64_t, to_integer)
#undef READ

#define WRITE(name, type, number_write)                                                            \
    static size_t name(char **text, const type *values, size_t n)                                  \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i < n && isfinite(values[i]); i++) {                                                \
            *text += number_write(*text, values[i]);                                               \
            *(*text)++ = ',';                                                                      \
        }                                                                                          \
        return i;                                                                                  \
    }
WRITE(write_f32, float, number_write_f32)
WRITE(write_f64, double, number_write_f64)
#undef WRITE
