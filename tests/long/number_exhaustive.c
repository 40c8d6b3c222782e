/*
 * Writes every float32 there is and reads it back, as float and as double: 2^32 of them, about ten minutes of one core, spread
 * over all. `number-exhaustive 97` takes every 97th. Prints "N passed, N failed"; the exit status says whether any failed.
 */
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Both writers and readers on one number; as a double it has other digits, up to 17. NaNs and infinities have no text. */
static bool reads_back(uint32_t bits)
{
    char text[NUMBER_TEXT + 1];
    float narrow, narrow_back;
    memcpy(&narrow, &bits, sizeof narrow);
    if (!isfinite(narrow))
        return true;
    size_t len = number_write_f32(text, narrow);
    text[len] = '\0';
    if (number_read_f32(text, &narrow_back) != text + len || memcmp(&narrow_back, &narrow, sizeof narrow) != 0)
        return false;
    const double wide = (double)narrow;
    double wide_back;
    len = number_write_f64(text, wide);
    text[len] = '\0';
    return number_read_f64(text, &wide_back) == text + len && memcmp(&wide_back, &wide, sizeof wide) == 0;
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
        if (reads_back((uint32_t)bits))
            passed++;
        else
            failed++;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
