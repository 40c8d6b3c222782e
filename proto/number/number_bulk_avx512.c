/*
 * Bulk numbers with the 512-bit instructions of x86-64 processors since 2019 (Ice Lake) and 2022
 * (Zen 4). Structure is found 64 bytes at a time, and all bounds of a block are written at once.
 * Values are computed as with AVX2.
 */
#include "number/number_bulk.h"

#if defined                                                                                        \
    __x86_64__ /* the Makefile compiles it with -march=x86-64-v4 -mavx512vbmi -mavx512vbmi2 */

#include "inline.h"
#include "number/number_bulk_types.h"

#include <immintrin.h>

/* A table of 16 bytes for each quarter of a vector. */
static ALWAYS_INLINE __m512i table(__m128i bytes)
{
    return _mm512_broadcast_i32x4(bytes);
}

static ALWAYS_INLINE __m512i load(const char *text)
{
    return _mm512_loadu_si512((const void *)text);
}

/* The tables are those of number_bulk_avx2.c. */
static ALWAYS_INLINE uint64_t separators(const char *text)
{
    const __m512i blanks = table(
                      _mm_setr_epi8(' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, ',', '\r', 0, 0)),
                  bytes = load(text);
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_shuffle_epi8(blanks, bytes)) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('[')) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(']'));
}

static ALWAYS_INLINE struct kinds kinds_of(const char *text)
{
    const __m512i low = table(_mm_setr_epi8(0x29, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d, 0x0d,
                                            0x1d, 0x1c, 0x06, 0x44, 0x16, 0x06, 0x04));
    const __m512i high =
        table(_mm_setr_epi8(0x10, 0, 0x62, 0x01, 0x04, 0x08, 0x04, 0x08, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m512i bytes = load(text), nibble = _mm512_set1_epi8(0x0f);
    const __m512i kind = _mm512_and_si512(
        _mm512_shuffle_epi8(low, bytes),
        _mm512_shuffle_epi8(high, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble)));
    return (struct kinds){_mm512_test_epi8_mask(kind, nibble),
                          _mm512_test_epi8_mask(kind, _mm512_set1_epi8(0x40)),
                          _mm512_test_epi8_mask(kind, _mm512_set1_epi8(0x30))};
}

static ALWAYS_INLINE size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
{
    /* Compresses the positions of the bits, and widens sixteen of them at a time. */
    static const unsigned char places[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const size_t n = (size_t)__builtin_popcountll(edges);
    const __m512i start = _mm512_set1_epi32((int)offset);
    __m512i found = _mm512_maskz_compress_epi8(edges, load((const char *)places));
    size_t i = 0;
    do {
        const __m512i wide = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(found));
        _mm512_storeu_si512(bounds + i, _mm512_add_epi32(wide, start));
        found = _mm512_alignr_epi32(found, found, 4);
        i += 16;
    } while (i < n);
    return n;
}

#include "number/number_bulk_structure.h"

const struct number_bulk number_bulk_avx512 = {
    .name = "avx512", .skip = skip, .find = find, NUMBER_BULK_AVX2_VALUES};

#endif
