/* Types that number_bulk_structure.h, number_bulk_values.h and the files that include them share.
 */
#ifndef PROTO_NUMBER_NUMBER_BULK_TYPES_H
#define PROTO_NUMBER_NUMBER_BULK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Masks of 64 bytes: parts of numbers or words, commas, and white space. */
struct kinds {
    uint64_t token, comma, blank;
};

/* The number digits * 10^exponent; digits are below 2^63. */
struct digits {
    uint64_t digits;
    int exponent;
    bool negative;
};

/* Read and write values with AVX2; the AVX-512 implementation uses them too. */
size_t number_bulk_avx2_read_f32(const char *text, const uint32_t *bounds, size_t n, float *values);
size_t number_bulk_avx2_read_f64(const char *text, const uint32_t *bounds, size_t n,
                                 double *values);
size_t number_bulk_avx2_read_i64(const char *text, const uint32_t *bounds, size_t n,
                                 int64_t *values);
size_t number_bulk_avx2_write_f32(char **text, const float *values, size_t n);
size_t number_bulk_avx2_write_f64(char **text, const double *values, size_t n);
#define NUMBER_BULK_AVX2_VALUES                                                                    \
    .read_f32 = number_bulk_avx2_read_f32, .read_f64 = number_bulk_avx2_read_f64,                  \
    .read_i64 = number_bulk_avx2_read_i64, .write_f32 = number_bulk_avx2_write_f32,                \
    .write_f64 = number_bulk_avx2_write_f64

/* Reads the exponent at `text`, after the 'e' and up to `end`. Returns false unless it has one to
   three digits. */
static inline bool take_exponent(const char *text, const char *end, int *exponent)
{
    const bool negative = *text == '-';
    int value = 0;
    text += *text == '-' || *text == '+';
    if (end - text < 1 || end - text > 3)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (*text - '0');
    }
    *exponent = negative ? -value : value;
    return true;
}

#endif
