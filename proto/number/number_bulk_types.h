/* What number_bulk_structure.h, number_bulk_values.h and the files that include these share. */
#ifndef PROTO_NUMBER_NUMBER_BULK_TYPES_H
#define PROTO_NUMBER_NUMBER_BULK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of 64 bytes, which can be part of a number or word, which are commas, and which are white space.
 */
struct kinds {
    uint64_t token, comma, blank;
};

/* The number digits * 10^exponent; digits are below 2^63. */
struct digits {
    uint64_t digits;
    int exponent;
    bool negative;
};

/* Values with AVX2, which another way may have, too. */
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

/* Takes the exponent at `text`, behind the 'e' and up to `end`, if it has up to three digits. */
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
