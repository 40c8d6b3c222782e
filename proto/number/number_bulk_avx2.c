/*
 * Bulk numbers with the 256-bit instructions of x86-64 processors since 2013 (Haswell) and 2015
 * (Excavator).
 */
#include "number/number_bulk.h"

#if defined __x86_64__ /* the Makefile compiles it with -march=x86-64-v3 */

#include "inline.h"
#include "number/number_bulk_types.h"
#include "number/number_shortest.h"

#include <immintrin.h>

/* Bit i: byte i of 32 has its highest bit set. */
static ALWAYS_INLINE uint64_t mask_of(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

static ALWAYS_INLINE __m256i load(const char *text)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)text);
}

/* A table of 16 bytes for each half of a vector. */
#define BOTH_LANES(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

static ALWAYS_INLINE uint64_t separators_of_32(const char *text)
{
    /* White space and the comma differ in their low four bits; at other positions the table has a
       value that does not match. */
    const __m256i table = BOTH_LANES(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, ',', '\r', 0, 0);
    const __m256i bytes = load(text);
    const __m256i separator =
        _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(table, bytes)),
                        _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('[')),
                                        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(']'))));
    return mask_of(separator);
}

static ALWAYS_INLINE uint64_t separators(const char *text)
{
    return separators_of_32(text) | separators_of_32(text + 32) << 32;
}

static ALWAYS_INLINE void kinds_of_32(const char *text, int shift, struct kinds *kinds)
{
    /* A byte is of a kind if both tables, indexed by its low and its high four bits, have the bit
       of that kind: 1 digits; 2 + - . ; 4 a-o and 8 p-z, upper or lower case; 0x10 tab and line
       ends; 0x20 space; 0x40 comma. */
    const __m256i low = BOTH_LANES(0x29, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x1d, 0x1c,
                                   0x06, 0x44, 0x16, 0x06, 0x04);
    const __m256i high =
        BOTH_LANES(0x10, 0, 0x62, 0x01, 0x04, 0x08, 0x04, 0x08, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i bytes = load(text), nibble = _mm256_set1_epi8(0x0f),
                  zero = _mm256_setzero_si256();
    const __m256i kind = _mm256_and_si256(
        _mm256_shuffle_epi8(low, bytes),
        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
    kinds->comma |= mask_of(_mm256_slli_epi16(kind, 1))
                    << shift; /* the highest bit of a byte stays within it */
    kinds->token |= mask_of(_mm256_cmpgt_epi8(_mm256_and_si256(kind, nibble), zero)) << shift;
    kinds->blank |= mask_of(_mm256_cmpgt_epi8(_mm256_and_si256(kind, _mm256_set1_epi8(0x30)), zero))
                    << shift;
}

static ALWAYS_INLINE struct kinds kinds_of(const char *text)
{
    struct kinds kinds = {0, 0, 0};
    kinds_of_32(text, 0, &kinds);
    kinds_of_32(text + 32, 32, &kinds);
    return kinds;
}

static ALWAYS_INLINE size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
{
    /* Eight at a time: the count is unpredictable, but rarely more than eight. */
    const size_t n = (size_t)__builtin_popcountll(edges);
    size_t i = 0;
    do {
        for (size_t k = 0; k < 8; k++, edges = _blsr_u64(edges))
            bounds[i + k] = offset + (uint32_t)_tzcnt_u64(edges);
        i += 8;
    } while (i < n);
    return n;
}

/* 32 bytes from `end_mask + n` on: the last n of them are 0xff. */
static const unsigned char end_mask[64] = {[32] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* Splits the number in [text, end) into its digits, right-aligned in eight fields of four. Returns
   false if it has more than 24 digits or is not a number of RFC 8259 grammar. */
static ALWAYS_INLINE bool take_fields(const char *text, const char *end, __m256i *fields,
                                      int *exponent, bool *negative)
{
    *negative = *text == '-';
    text += *negative;
    const uint64_t len = (uint64_t)(end - text);
    /* After adding 70, digits are the signed bytes from 118 to 127. */
    const __m256i moved = _mm256_add_epi8(load(text), _mm256_set1_epi8(70));
    const uint32_t others = ~(uint32_t)mask_of(_mm256_cmpgt_epi8(moved, _mm256_set1_epi8(117)));
    const uint64_t whole = _tzcnt_u32(others);
    uint64_t stop = whole, fraction = 0,
             unmoved =
                 32; /* the end of the digits; digits after the point; digits to leave in place */
    if (text[whole] == '.') {
        stop = _tzcnt_u32(_blsr_u32(others));
        fraction = unmoved = stop - whole - 1;
        if (fraction == 0)
            return false;
    }
    const uint64_t n = whole + fraction;
    *exponent = 0;
    if (stop != len && (stop > len || (text[stop] | 0x20) != 'e' ||
                        !take_exponent(text + stop + 1, end, exponent)))
        return false;
    if (whole != 1 && (whole == 0 || *text == '0'))
        return false;
    if (n > 24)
        return false;
    *exponent -= (int)fraction;

    /* Digits after the point keep their position before `stop`; digits before it move by one byte.
       Then adjacent digits are combined, twice. */
    const char *const from = text + stop - 32;
    const __m256i digits = _mm256_and_si256(
        _mm256_blendv_epi8(load(from - 1), load(from), load((const char *)end_mask + unmoved)),
        load((const char *)end_mask + n));
    const __m256i values = _mm256_and_si256(digits, _mm256_set1_epi8(0x0f));
    const __m256i twos = _mm256_maddubs_epi16(values, _mm256_set1_epi16(10 | 1 << 8));
    *fields = _mm256_madd_epi16(twos, _mm256_set1_epi32(100 | 1 << 16));
    return true;
}

/* Combines the fields of four digits of two numbers into fields of eight digits. Fields 1 to 3 of
   the first number are in places 1, 4 and 5; those of the second in places 3, 6 and 7. */
static ALWAYS_INLINE __m256i eights(__m256i first, __m256i second)
{
    return _mm256_madd_epi16(_mm256_packus_epi32(first, second),
                             _mm256_set1_epi32(10000 | 1 << 16));
}

static ALWAYS_INLINE bool take_digits(const char *text, const char *end, struct digits *number)
{
    __m256i fields;
    if (!take_fields(text, end, &fields, &number->exponent, &number->negative))
        return false;
    fields = eights(fields, fields);
    const uint64_t high = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(fields)) >> 32;
    const uint64_t low = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(fields, 1));
    number->digits =
        high * UINT64_C(10000000000000000) + (low & UINT32_MAX) * 100000000 + (low >> 32);
    return high < 922; /* so that it is below 2^63 */
}

/* Splits the number between two bounds into its fields and the power to multiply them by, which has
   the sign of the number. Returns false if take_fields() does, or the power is outside the table or
   so small that the product may be subnormal. If the product overflows, it is infinite, which is
   correct. */
static ALWAYS_INLINE bool take_factors(const char *text, const uint32_t *bounds, __m256i *fields,
                                       const double **power)
{
    enum { LEAST = -37 };
    int exponent;
    bool negative;
    if (!take_fields(text + bounds[0], text + bounds[1], fields, &exponent, &negative) ||
        (unsigned)(exponent - LEAST) > NUMBER_NEAR_MAX - LEAST)
        return false;
    *power = &number_near_powers[negative][exponent - NUMBER_NEAR_MIN];
    return true;
}

/* Reads four numbers at once, like to_float() in number_bulk_values.h. Digits are combined as
   doubles, which adds two roundings: the error is less than 8 units. */
static ALWAYS_INLINE bool take_four(const char *text, const uint32_t *bounds, float *values)
{
    __m256i a, b, c, d;
    const double *power_a, *power_b, *power_c, *power_d;
    if (!take_factors(text, bounds, &a, &power_a) ||
        !take_factors(text, bounds + 2, &b, &power_b) ||
        !take_factors(text, bounds + 4, &c, &power_c) ||
        !take_factors(text, bounds + 6, &d, &power_d))
        return false;
    const __m128d powers_ab = _mm_loadh_pd(_mm_load_sd(power_a), power_b),
                  powers_cd = _mm_loadh_pd(_mm_load_sd(power_c), power_d);
    const __m256 ab = _mm256_castsi256_ps(eights(a, b)), cd = _mm256_castsi256_ps(eights(c, d));
    const __m256i odd =
        _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, 0xdd)); /* fields 1 and 3 of all four */
    const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, 0x88));
    const __m256d high = _mm256_cvtepi32_pd(_mm256_castsi256_si128(odd)),
                  middle = _mm256_cvtepi32_pd(_mm256_extracti128_si256(even, 1)),
                  low = _mm256_cvtepi32_pd(_mm256_extracti128_si256(odd, 1));
    const __m256d digits =
        _mm256_add_pd(_mm256_mul_pd(high, _mm256_set1_pd(1e16)),
                      _mm256_add_pd(_mm256_mul_pd(middle, _mm256_set1_pd(1e8)), low));
    const __m256d wide = _mm256_mul_pd(digits, _mm256_set_m128d(powers_cd, powers_ab));
    const __m256i tail =
        _mm256_and_si256(_mm256_castpd_si256(wide), _mm256_set1_epi64x((INT64_C(1) << 29) - 1));
    const __m256i from_half = _mm256_sub_epi64(tail, _mm256_set1_epi64x((INT64_C(1) << 28) - 8));
    /* Values in [0, 16] are too close to a midpoint: unsigned low halves that min(x, 16) does not
     * change. */
    const __m256i near =
        _mm256_cmpeq_epi32(_mm256_min_epu32(from_half, _mm256_set1_epi64x(16)), from_half);
    if (_mm256_movemask_ps(_mm256_castsi256_ps(near)) & 0x55)
        return false;
    _mm_storeu_ps(values, _mm256_cvtpd_ps(wide));
    return true;
}

#include "number/number_bulk_structure.h"
#include "number/number_bulk_values.h"

size_t number_bulk_avx2_read_f32(const char *text, const uint32_t *bounds, size_t n, float *values)
{
    size_t i = 0;
    while (i < n) {
        while (n - i >= 4 && take_four(text, bounds + 2 * i, values + i))
            i += 4;
        const size_t some = n - i < 4 ? n - i : 4,
                     read = read_f32(text, bounds + 2 * i, some, values + i);
        i += read;
        if (read < some)
            break;
    }
    return i;
}

/* ---- Writing ---- */

/* The layout of fixed text of up to 16 bytes for nine digits, the first of which has the value
   10^e: the source of each byte. Source bytes 0 to 7 are the second to ninth digit, 8 is the first,
   9 is a zero, and 10 is the point. */
#define DIGIT_OR_ZERO(i) ((i) < 9 ? (i)-1 : 9)
#define DIGIT(i)         ((i) == 0 ? 8 : DIGIT_OR_ZERO(i))
/* For e < 0: "0.", zeros and the digits. */
#define BYTE_FROM_ZEROS(e, i) ((i) < 1 - (e) ? 9 : DIGIT((i) + (e)-1))
#define BYTE_BELOW_ONE(e, i)  ((i) == 1 ? 10 : BYTE_FROM_ZEROS(e, i))
/* For e >= 0: e + 1 digits, the point and the other digits. */
#define BYTE_FROM_POINT(e, i) ((i) == (e) + 1 ? 10 : DIGIT((i)-1))
#define BYTE_FROM_ONE(e, i)   ((i) <= (e) ? DIGIT(i) : BYTE_FROM_POINT(e, i))
#define BYTE(e, i)            ((e) < 0 ? BYTE_BELOW_ONE(e, i) : BYTE_FROM_ONE(e, i))
#define LAYOUT(e)                                                                                  \
    {                                                                                              \
        BYTE(e, 0), BYTE(e, 1), BYTE(e, 2), BYTE(e, 3), BYTE(e, 4), BYTE(e, 5), BYTE(e, 6),        \
            BYTE(e, 7), BYTE(e, 8), BYTE(e, 9), BYTE(e, 10), BYTE(e, 11), BYTE(e, 12),             \
            BYTE(e, 13), BYTE(e, 14), BYTE(e, 15)                                                  \
    }
enum {
    FIXED_MIN = -3,
    FIXED_MAX = 12
}; /* of e for which fixed text is not longer than scientific: see write_decimal */
static const unsigned char layouts[FIXED_MAX - FIXED_MIN + 1][16] = {
    LAYOUT(-3), LAYOUT(-2), LAYOUT(-1), LAYOUT(0), LAYOUT(1), LAYOUT(2),  LAYOUT(3),  LAYOUT(4),
    LAYOUT(5),  LAYOUT(6),  LAYOUT(7),  LAYOUT(8), LAYOUT(9), LAYOUT(10), LAYOUT(11), LAYOUT(12)};

/* Returns the even 32-bit lanes of `even` and the odd ones of `odd`. */
static ALWAYS_INLINE __m256i interleave(__m256i even, __m256i odd)
{
    return _mm256_blend_epi32(even, odd, 0xaa);
}

/* Returns floor(x * factor / 2^(32 + shift)) for unsigned 32-bit lanes. */
static ALWAYS_INLINE __m256i multiply_high(__m256i x, uint32_t factor, int shift)
{
    const __m256i y = _mm256_set1_epi64x((int64_t)factor);
    const __m256i even = _mm256_mul_epu32(x, y),
                  odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), y);
    return _mm256_srli_epi32(interleave(_mm256_srli_epi64(even, 32), odd), shift);
}

/* Like scale() of number_shortest.h, for eight floats. x is below 2^30; the powers are those of the
   even and of the odd lanes. */
static ALWAYS_INLINE __m256i scale_eight(__m256i x, __m256i even_power, __m256i odd_power)
{
    const __m256i odd_x = _mm256_srli_epi64(x, 32);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epu32(x, _mm256_srli_epi64(even_power, 32)),
                                          _mm256_srli_epi64(_mm256_mul_epu32(x, even_power), 32));
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epu32(odd_x, _mm256_srli_epi64(odd_power, 32)),
                                         _mm256_srli_epi64(_mm256_mul_epu32(odd_x, odd_power), 32));
    const __m256i whole = interleave(_mm256_srli_epi64(even, 32), odd),
                  rest = interleave(even, _mm256_slli_epi64(odd, 32));
    const __m256i is_whole = _mm256_cmpeq_epi32(rest, _mm256_setzero_si256());
    return _mm256_or_si256(whole, _mm256_add_epi32(is_whole, _mm256_set1_epi32(1)));
}

/* Returns the powers that the numbers in the even or odd lanes are multiplied by. `place` is twice
 * their index in the table. */
static ALWAYS_INLINE __m256i gather_powers(__m256i place)
{
    const __m256i powers = _mm256_i32gather_epi64(
        (const long long *)(const void *)&number_powers[0].high, _mm256_castsi256_si128(place), 8);
    return _mm256_add_epi64(powers, _mm256_set1_epi64x(1));
}

/* Like digit_bytes(), for four numbers in 64-bit lanes. */
static ALWAYS_INLINE __m256i digit_bytes_of_four(__m256i x)
{
    const __m256i high =
        _mm256_srli_epi64(_mm256_mul_epu32(x, _mm256_set1_epi64x(3518437209)), 45); /* x / 10^4 */
    const __m256i low = _mm256_sub_epi64(x, _mm256_mul_epu32(high, _mm256_set1_epi64x(10000)));
    __m256i fields = _mm256_or_si256(high, _mm256_slli_epi64(low, 32));
    const __m256i hundreds =
        _mm256_srli_epi32(_mm256_mullo_epi32(fields, _mm256_set1_epi32(10486)), 20);
    fields = _mm256_sub_epi32(fields, _mm256_mullo_epi16(hundreds, _mm256_set1_epi32(100)));
    fields = _mm256_or_si256(hundreds, _mm256_slli_epi32(fields, 16));
    const __m256i tens = _mm256_srli_epi16(_mm256_mullo_epi16(fields, _mm256_set1_epi16(103)), 10);
    fields = _mm256_sub_epi16(fields, _mm256_mullo_epi16(tens, _mm256_set1_epi16(10)));
    return _mm256_or_si256(tens, _mm256_slli_epi16(fields, 8));
}

/* The digits of eight numbers. */
struct eight {
    __m128i bytes[8];    /* the source bytes of a layout, minus '0' */
    int32_t exponent[8]; /* of the first of nine digits */
};

/* Like shortest_with_zero() of number_shortest.h, for eight floats. Returns false if one of them is
   subnormal or not finite. `digits` is at least 8388608 and below 170 million; it is padded with
   zeros to nine digits. */
static ALWAYS_INLINE bool shortest_eight(const float *values, struct eight *out)
{
    const __m256i one = _mm256_set1_epi32(1), zero = _mm256_setzero_si256();
    const __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)values);
    const __m256i field = _mm256_and_si256(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(0xff));
    const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff));
    const __m256i no_fraction = _mm256_cmpeq_epi32(fraction, zero);
    const __m256i is_zero = _mm256_and_si256(_mm256_cmpeq_epi32(field, zero), no_fraction);
    const __m256i special = _mm256_or_si256(_mm256_cmpeq_epi32(field, _mm256_set1_epi32(0xff)),
                                            _mm256_cmpeq_epi32(field, zero));
    if (!_mm256_testc_si256(is_zero, special))
        return false;
    const __m256i asymmetric = _mm256_and_si256(no_fraction, _mm256_cmpgt_epi32(field, one));
    const __m256i c = _mm256_or_si256(fraction, _mm256_set1_epi32(0x800000)),
                  c_odd = _mm256_and_si256(c, one);
    const __m256i q = _mm256_sub_epi32(field, _mm256_set1_epi32(150));
    const __m256i k =
        _mm256_srai_epi32(_mm256_sub_epi32(_mm256_mullo_epi32(q, _mm256_set1_epi32(1262611)),
                                           _mm256_and_si256(asymmetric, _mm256_set1_epi32(524031))),
                          22);
    const __m256i minus_k = _mm256_sub_epi32(zero, k);
    const __m256i log2 =
        _mm256_srai_epi32(_mm256_mullo_epi32(minus_k, _mm256_set1_epi32(1741647)), 19);
    const __m256i shift = _mm256_add_epi32(_mm256_add_epi32(q, log2), one);

    const __m256i place =
        _mm256_slli_epi32(_mm256_sub_epi32(minus_k, _mm256_set1_epi32(NUMBER_POWER_MIN)), 1);
    const __m256i even_power = gather_powers(
        _mm256_permutevar8x32_epi32(place, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)));
    const __m256i odd_power = gather_powers(
        _mm256_permutevar8x32_epi32(place, _mm256_setr_epi32(1, 3, 5, 7, 1, 3, 5, 7)));
    const __m256i two = _mm256_set1_epi32(2), quarters = _mm256_slli_epi32(c, 2);
    const __m256i below =
        _mm256_sub_epi32(_mm256_sub_epi32(quarters, two), asymmetric); /* 2 less, or 1 */
    const __m256i value = scale_eight(_mm256_sllv_epi32(quarters, shift), even_power, odd_power);
    const __m256i low = _mm256_add_epi32(
        scale_eight(_mm256_sllv_epi32(below, shift), even_power, odd_power), c_odd);
    const __m256i high =
        _mm256_sub_epi32(scale_eight(_mm256_sllv_epi32(_mm256_add_epi32(quarters, two), shift),
                                     even_power, odd_power),
                         c_odd);

    /* A true mask is -1, so subtracting it adds one. x >= y is computed as x > y - 1 or x + 1 > y.
     */
    const __m256i ones = _mm256_srli_epi32(value, 2),
                  tens = multiply_high(ones, 429496730, 0); /* exact below 2^30 */
    const __m256i tens_4 = _mm256_mullo_epi32(tens, _mm256_set1_epi32(40)),
                  ones_4 = _mm256_slli_epi32(ones, 2);
    const __m256i tens_above =
        _mm256_cmpgt_epi32(high, _mm256_add_epi32(tens_4, _mm256_set1_epi32(39)));
    const __m256i tens_in =
        _mm256_xor_si256(_mm256_cmpgt_epi32(_mm256_add_epi32(tens_4, one), low), tens_above);
    const __m256i above = _mm256_cmpgt_epi32(high, _mm256_add_epi32(ones_4, _mm256_set1_epi32(3)));
    const __m256i ones_in =
        _mm256_xor_si256(_mm256_cmpgt_epi32(_mm256_add_epi32(ones_4, one), low), above);
    const __m256i middle = _mm256_add_epi32(ones_4, two);
    const __m256i nearer =
        _mm256_or_si256(_mm256_cmpgt_epi32(value, middle),
                        _mm256_and_si256(_mm256_cmpeq_epi32(value, middle),
                                         _mm256_sub_epi32(zero, _mm256_and_si256(ones, one))));
    const __m256i long_one = _mm256_sub_epi32(ones, _mm256_blendv_epi8(nearer, above, ones_in));
    const __m256i short_one =
        _mm256_mullo_epi32(_mm256_sub_epi32(tens, tens_above), _mm256_set1_epi32(10));
    __m256i digits = _mm256_blendv_epi8(long_one, short_one, tens_in),
            exponent = _mm256_add_epi32(k, _mm256_set1_epi32(8));
    for (int i = 0; i < 2; i++) { /* there are at least seven digits */
        const __m256i few = _mm256_cmpgt_epi32(_mm256_set1_epi32(100000000), digits);
        digits = _mm256_blendv_epi8(digits, _mm256_mullo_epi32(digits, _mm256_set1_epi32(10)), few);
        exponent = _mm256_add_epi32(exponent, few);
    }
    digits = _mm256_andnot_si256(is_zero, digits);
    _mm256_storeu_si256((__m256i *)(void *)out->exponent, _mm256_andnot_si256(is_zero, exponent));

    const __m256i first = multiply_high(digits, 2882303762, 26); /* digits / 10^8 */
    const __m256i rest =
        _mm256_sub_epi32(digits, _mm256_mullo_epi32(first, _mm256_set1_epi32(100000000)));
    const __m256i low_half = _mm256_set1_epi64x(UINT32_MAX),
                  after_digits = _mm256_set1_epi64x((0x100 + '.' - '0') << 16);
    const __m256i even_rest = digit_bytes_of_four(_mm256_and_si256(rest, low_half));
    const __m256i odd_rest = digit_bytes_of_four(_mm256_srli_epi64(rest, 32));
    const __m256i even_first = _mm256_or_si256(_mm256_and_si256(first, low_half), after_digits);
    const __m256i odd_first = _mm256_or_si256(_mm256_srli_epi64(first, 32), after_digits);
    const __m256i b04 = _mm256_unpacklo_epi64(even_rest, even_first),
                  b26 = _mm256_unpackhi_epi64(even_rest, even_first);
    const __m256i b15 = _mm256_unpacklo_epi64(odd_rest, odd_first),
                  b37 = _mm256_unpackhi_epi64(odd_rest, odd_first);
    _mm256_storeu_si256((__m256i *)(void *)&out->bytes[0],
                        _mm256_permute2x128_si256(b04, b15, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)&out->bytes[2],
                        _mm256_permute2x128_si256(b26, b37, 0x20));
    _mm256_storeu_si256((__m256i *)(void *)&out->bytes[4],
                        _mm256_permute2x128_si256(b04, b15, 0x31));
    _mm256_storeu_si256((__m256i *)(void *)&out->bytes[6],
                        _mm256_permute2x128_si256(b26, b37, 0x31));
    return true;
}

/* Writes nine digits, the first of which has the value 10^e, without trailing zeros, and a comma.
 */
static ALWAYS_INLINE char *write_nine(char *text, __m128i bytes, int e)
{
    const int used = 9 - (int)(_lzcnt_u64((uint64_t)_mm_cvtsi128_si64(bytes)) >> 3),
              magnitude = e < 0 ? -e : e;
    const int scientific = used + (used > 1) + 2 + (e < 0) + (magnitude >= 10);
    const int fixed = fixed_length(used, e);
    const int layout = scientific < fixed ? 0 : e;
    const __m128i order =
        _mm_loadu_si128((const __m128i *)(const void *)layouts[layout - FIXED_MIN]);
    _mm_storeu_si128((__m128i *)(void *)text,
                     _mm_add_epi8(_mm_shuffle_epi8(bytes, order), _mm_set1_epi8('0')));
    if (scientific < fixed) {
        text += used + (used > 1);
        *text++ = 'e';
        *text = '-';
        text += e < 0;
        *text = (char)('0' + magnitude / 10);
        text += magnitude >= 10;
        *text++ = (char)('0' + magnitude % 10);
    } else {
        text += fixed;
    }
    *text++ = ',';
    return text;
}

size_t number_bulk_avx2_write_f32(char **text, const float *values, size_t n)
{
    for (size_t i = 0; i < n;) {
        struct eight eight;
        float padded[8] = {0};
        const float *from = values + i;
        const size_t some = n - i < 8 ? n - i : 8;
        if (some < 8)
            from = memcpy(padded, from, some * sizeof *from);
        if (!shortest_eight(from, &eight)) {
            const size_t written = write_f32(text, from, some);
            if (written < some)
                return i + written;
            i += some;
            continue;
        }
        char *to = *text;
        for (size_t k = 0; k < some; k++) {
            uint32_t bits;
            memcpy(&bits, from + k, sizeof bits);
            *to = '-';
            to += bits >> 31;
            if (bits == UINT32_C(1) << 31) {
                memcpy(to, "0.0,", 4);
                to += 4;
            } else {
                to = write_nine(to, eight.bytes[k], eight.exponent[k]);
            }
        }
        *text = to;
        i += some;
    }
    return n;
}

size_t number_bulk_avx2_read_f64(const char *text, const uint32_t *bounds, size_t n, double *values)
{
    return read_f64(text, bounds, n, values);
}

size_t number_bulk_avx2_read_i64(const char *text, const uint32_t *bounds, size_t n,
                                 int64_t *values)
{
    return read_i64(text, bounds, n, values);
}

size_t number_bulk_avx2_write_f64(char **text, const double *values, size_t n)
{
    return write_f64(text, values, n);
}

const struct number_bulk number_bulk_avx2 = {
    .name = "avx2", .skip = skip, .find = find, NUMBER_BULK_AVX2_VALUES};

#endif
