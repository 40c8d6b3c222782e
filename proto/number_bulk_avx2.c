/*
 * Numbers in bulk with the 256-bit instructions that x86-64 processors have had since 2013 (Haswell) and 2015 (Excavator).
 */
#include "number_bulk.h"

#if defined(__x86_64__)

#include "number_bulk_types.h"
#include "number_tables.h"

#include <immintrin.h>

#define WAY __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))

/* Bit i: byte i of 32 has its highest bit set. */
WAY static inline __attribute__((always_inline)) uint64_t mask_of(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

WAY static inline __attribute__((always_inline)) __m256i load(const char *text)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)text);
}

/* Sixteen bytes, twice: a table for each half of a vector. */
#define TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

WAY static inline __attribute__((always_inline)) uint64_t separators_of_32(const char *text)
{
    /* White space and the comma differ in their low four bits; in the places of other bits the table has what differs there. */
    const __m256i table = TWICE(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, ',', '\r', 0, 0);
    const __m256i bytes = load(text);
    const __m256i separator = _mm256_or_si256(
        _mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(table, bytes)),
        _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('[')), _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(']'))));
    return mask_of(separator);
}

WAY static inline __attribute__((always_inline)) uint64_t separators(const char *text)
{
    return separators_of_32(text) | separators_of_32(text + 32) << 32;
}

WAY static inline __attribute__((always_inline)) void kinds_of_32(const char *text, int shift, struct kinds *kinds)
{
    /* A kind has a bit in the entries of both tables, for the low and the high four bits of a byte, where both are of that
       kind: 1 digits, 2 + - . and 4 a-o and 8 p-z of either case; 0x10 tab and line ends, 0x20 the blank, 0x40 the comma. */
    const __m256i low = TWICE(0x29, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x1d, 0x1c, 0x06, 0x44, 0x16, 0x06, 0x04);
    const __m256i high = TWICE(0x10, 0, 0x62, 0x01, 0x04, 0x08, 0x04, 0x08, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i bytes = load(text), nibble = _mm256_set1_epi8(0x0f), zero = _mm256_setzero_si256();
    const __m256i kind = _mm256_and_si256(_mm256_shuffle_epi8(low, bytes),
                                          _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble)));
    kinds->comma |= mask_of(_mm256_slli_epi16(kind, 1)) << shift; /* the highest bit of a byte stays within it */
    kinds->token |= mask_of(_mm256_cmpgt_epi8(_mm256_and_si256(kind, nibble), zero)) << shift;
    kinds->blank |= mask_of(_mm256_cmpgt_epi8(_mm256_and_si256(kind, _mm256_set1_epi8(0x30)), zero)) << shift;
}

WAY static inline __attribute__((always_inline)) struct kinds kinds_of(const char *text)
{
    struct kinds kinds = {0, 0, 0};
    kinds_of_32(text, 0, &kinds);
    kinds_of_32(text + 32, 32, &kinds);
    return kinds;
}

WAY static inline __attribute__((always_inline)) size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
{
    /* Eight at a time, needed or not: how many there are nobody can predict, that there are no more is likely. */
    const size_t n = (size_t)__builtin_popcountll(edges);
    size_t i = 0;
    do {
        for (size_t k = 0; k < NUMBER_BULK_SLACK; k++, edges = _blsr_u64(edges))
            bounds[i + k] = offset + (uint32_t)_tzcnt_u64(edges);
        i += NUMBER_BULK_SLACK;
    } while (i < n);
    return n;
}

/* 32 bytes from `end_mask + n` on: the last n of them are 0xff. */
static const unsigned char end_mask[64] = {[32] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff,        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* Takes the number in [text, end) apart, if it has no more than 24 digits: its digits, right-aligned in eight fields of four.
 */
WAY static inline __attribute__((always_inline)) bool take_fields(const char *text, const char *end, __m256i *fields,
                                                                  int *exponent, bool *negative)
{
    *negative = *text == '-';
    text += *negative;
    const uint64_t len = (uint64_t)(end - text);
    /* With 70 added, digits are the 118 to 127 among signed bytes. */
    const __m256i moved = _mm256_add_epi8(load(text), _mm256_set1_epi8(70));
    const uint32_t others = ~(uint32_t)mask_of(_mm256_cmpgt_epi8(moved, _mm256_set1_epi8(117)));
    const uint64_t whole = _tzcnt_u32(others);
    uint64_t stop = whole, fraction = 0,
             unmoved = 32; /* where the digits end; those behind the point; those to be left in place */
    if (text[whole] == '.') {
        stop = _tzcnt_u32(_blsr_u32(others));
        fraction = unmoved = stop - whole - 1;
        if (fraction == 0)
            return false;
    }
    const uint64_t n = whole + fraction;
    *exponent = 0;
    if (stop != len && (stop > len || (text[stop] | 0x20) != 'e' || !take_exponent(text + stop + 1, end, exponent)))
        return false;
    if (whole != 1 && (whole == 0 || *text == '0'))
        return false;
    if (n > 24)
        return false;
    *exponent -= (int)fraction;

    /* The digits behind the point as they stand in front of `stop`, those before it moved by one; then neighbours are put
       together, twice. */
    const char *const from = text + stop - 32;
    const __m256i digits =
        _mm256_and_si256(_mm256_blendv_epi8(load(from - 1), load(from), load((const char *)end_mask + unmoved)),
                         load((const char *)end_mask + n));
    const __m256i values = _mm256_and_si256(digits, _mm256_set1_epi8(0x0f));
    const __m256i twos = _mm256_maddubs_epi16(values, _mm256_set1_epi16(10 | 1 << 8));
    *fields = _mm256_madd_epi16(twos, _mm256_set1_epi32(100 | 1 << 16));
    return true;
}

/* Two numbers' fields of four as fields of eight: 1 to 3 of the first, and of the second, are in places 1, 4, 5 and 3, 6, 7. */
WAY static inline __attribute__((always_inline)) __m256i eights(__m256i first, __m256i second)
{
    return _mm256_madd_epi16(_mm256_packus_epi32(first, second), _mm256_set1_epi32(10000 | 1 << 16));
}

WAY static inline __attribute__((always_inline)) bool take_digits(const char *text, const char *end, struct digits *number)
{
    __m256i fields;
    if (!take_fields(text, end, &fields, &number->exponent, &number->negative))
        return false;
    fields = eights(fields, fields);
    const uint64_t high = (uint64_t)_mm_cvtsi128_si64(_mm256_castsi256_si128(fields)) >> 32;
    const uint64_t low = (uint64_t)_mm_cvtsi128_si64(_mm256_extracti128_si256(fields, 1));
    number->digits = high * UINT64_C(10000000000000000) + (low & UINT32_MAX) * 100000000 + (low >> 32);
    return high < 922; /* so that it is below 2^63 */
}

/* Takes the number between two bounds apart: its fields, and the power by which they are to be multiplied, with its sign. False
   where the product might not be a normal float. It is none where it overflows, but infinite, which is right. */
WAY static inline __attribute__((always_inline)) bool take_factors(const char *text, const uint32_t *bounds, __m256i *fields,
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

/* Four numbers at once, as to_float in number_bulk_way.h; but digits are put together as doubles, which rounds twice more: the
   sum is off by less than 8 units. */
WAY static inline __attribute__((always_inline)) bool take_four(const char *text, const uint32_t *bounds, float *values)
{
    __m256i a, b, c, d;
    const double *power_a, *power_b, *power_c, *power_d;
    if (!take_factors(text, bounds, &a, &power_a) || !take_factors(text, bounds + 2, &b, &power_b) ||
        !take_factors(text, bounds + 4, &c, &power_c) || !take_factors(text, bounds + 6, &d, &power_d))
        return false;
    const __m128d powers_ab = _mm_loadh_pd(_mm_load_sd(power_a), power_b),
                  powers_cd = _mm_loadh_pd(_mm_load_sd(power_c), power_d);
    const __m256 ab = _mm256_castsi256_ps(eights(a, b)), cd = _mm256_castsi256_ps(eights(c, d));
    const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, 0xdd)); /* fields 1 and 3 of all four */
    const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(ab, cd, 0x88));
    const __m256d high = _mm256_cvtepi32_pd(_mm256_castsi256_si128(odd)),
                  middle = _mm256_cvtepi32_pd(_mm256_extracti128_si256(even, 1)),
                  low = _mm256_cvtepi32_pd(_mm256_extracti128_si256(odd, 1));
    const __m256d digits = _mm256_add_pd(_mm256_mul_pd(high, _mm256_set1_pd(1e16)),
                                         _mm256_add_pd(_mm256_mul_pd(middle, _mm256_set1_pd(1e8)), low));
    const __m256d wide = _mm256_mul_pd(digits, _mm256_set_m128d(powers_cd, powers_ab));
    const __m256i tail = _mm256_and_si256(_mm256_castpd_si256(wide), _mm256_set1_epi64x((INT64_C(1) << 29) - 1));
    const __m256i from_half = _mm256_sub_epi64(tail, _mm256_set1_epi64x((INT64_C(1) << 28) - 8));
    /* Too near is what is in [0, 16] now: of the unsigned low halves that which does not change if it is made 16 at most. */
    const __m256i near = _mm256_cmpeq_epi32(_mm256_min_epu32(from_half, _mm256_set1_epi64x(16)), from_half);
    if (_mm256_movemask_ps(_mm256_castsi256_ps(near)) & 0x55)
        return false;
    _mm_storeu_ps(values, _mm256_cvtpd_ps(wide));
    return true;
}

#include "number_bulk_way.h"

WAY static size_t read_f32_by_four(const char *text, const uint32_t *bounds, size_t n, float *values)
{
    size_t i = 0;
    while (i < n) {
        while (n - i >= 4 && take_four(text, bounds + 2 * i, values + i))
            i += 4;
        const size_t some = n - i < 4 ? n - i : 4, read = read_f32(text, bounds + 2 * i, some, values + i);
        i += read;
        if (read < some)
            break;
    }
    return i;
}

const struct number_bulk *number_bulk_avx2(void)
{
    static const struct number_bulk way = {"avx2", skip, find, read_f32_by_four, read_f64, read_i64};
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                   __builtin_cpu_supports("popcnt")
               ? &way
               : NULL;
}

#else

const struct number_bulk *number_bulk_avx2(void)
{
    return NULL;
}

#endif
