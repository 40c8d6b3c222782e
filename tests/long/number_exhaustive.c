/*
 * Writes all 2^32 float32 values and reads them back, as float and as double, one by one and in
 * bulk. Takes about ten minutes of CPU time, on all cores. `number-exhaustive 97` takes every 97th.
 * Prints "N passed, N failed", and exits with 1 if any failed.
 */
#include "number/number.h"
#include "number/number_bulk.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Checks both writers and readers on one number; as a double it has up to 17 digits. NaN and
 * infinity have no text. */
static bool reads_back(uint32_t bits)
{
    char text[NUMBER_TEXT + 1];
    float narrow, narrow_back;
    memcpy(&narrow, &bits, sizeof narrow);
    if (!isfinite(narrow))
        return true;
    size_t len = number_write_f32(text, narrow);
    text[len] = '\0';
    if (number_read_f32(text, &narrow_back) != text + len ||
        memcmp(&narrow_back, &narrow, sizeof narrow) != 0)
        return false;
    const double wide = (double)narrow;
    double wide_back;
    len = number_write_f64(text, wide);
    text[len] = '\0';
    return number_read_f64(text, &wide_back) == text + len &&
           memcmp(&wide_back, &wide, sizeof wide) == 0;
}

enum { LIST = 32 };

/* Checks the bulk functions on a list of numbers: the text must equal that of single numbers, and
 * be read back. */
static bool list_reads_back(const struct number_bulk *way, const float *values, size_t n)
{
    char memory[NUMBER_BULK_AROUND + LIST * NUMBER_BULK_F32 + NUMBER_TEXT + 64],
        *const text = memory + NUMBER_BULK_AROUND, *end = text;
    uint32_t bounds[2 * LIST];
    float back[LIST];
    memset(memory, ',', sizeof memory);
    if (way->write_f32(&end, values, n) != n)
        return false;
    const char *at = text;
    for (size_t i = 0; i < n; i++) {
        char one[NUMBER_TEXT];
        const size_t len = number_write_f32(one, values[i]);
        if (memcmp(at, one, len) != 0 || at[len] != ',')
            return false;
        bounds[2 * i] = (uint32_t)(at - text);
        bounds[2 * i + 1] = bounds[2 * i] + (uint32_t)len;
        at += len + 1;
    }
    for (size_t i = 0; i < n; i++) { /* the rest is read one by one */
        i += way->read_f32(text, bounds + 2 * i, n - i, back + i);
        if (i < n)
            number_read_f32(text + bounds[2 * i], back + i);
    }
    return at == end && memcmp(back, values, n * sizeof *back) == 0;
}

/* LIST numbers from `first` on, with the step of the test. */
static bool lists_read_back(uint64_t bits, uint64_t stride)
{
    float values[LIST];
    size_t n = 0;
    for (; n < LIST && bits <= UINT32_MAX; bits += stride) {
        const uint32_t narrow_bits = (uint32_t)bits;
        memcpy(&values[n], &narrow_bits, sizeof narrow_bits);
        n += isfinite(values[n]) != 0;
    }
    return list_reads_back(&number_bulk_portable, values, n) &&
           list_reads_back(number_bulk(), values, n);
}

int main(int argc, char *argv[])
{
    char *end = NULL;
    const uint64_t stride = argc > 1 ? strtoull(argv[1], &end, 10) : 1;
    if (argc > 2 || stride == 0 || (end && *end)) {
        fprintf(stderr, "usage: number-exhaustive [STRIDE]\n");
        return 2;
    }
    uint64_t passed = 0, failed = 0;
#pragma omp parallel for schedule(dynamic, 1 << 16) reduction(+ : passed, failed)
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += stride) {
        if (reads_back((uint32_t)bits) &&
            (bits / stride % LIST != 0 || lists_read_back(bits, stride)))
            passed++;
        else
            failed++;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
