/*
 * Writes numbers as text without printf, which takes as long as evaluating a small loss. Each
 * function writes to `to`, without a NUL, and returns the end of the text.
 */
#ifndef SERVER_UTIL_DIGITS_H
#define SERVER_UTIL_DIGITS_H

#include <stdint.h>

/* Writes at least `min_digits` digits, and at most 64. */
static inline char *put_digits(char *to, uint64_t value, unsigned base, int min_digits)
{
    char digits[64];
    int count = 0;
    for (; value > 0 || count < min_digits; value /= base)
        digits[count++] = "0123456789abcdef"[value % base];
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

/* Writes nanoseconds as milliseconds, such as "12.345", in at most 24 bytes. */
static inline char *put_ms(char *to, int64_t ns)
{
    const uint64_t microseconds = ns > 0 ? ((uint64_t)ns + 500) / 1000 : 0;
    to = put_digits(to, microseconds / 1000, 10, 1);
    *to++ = '.';
    return put_digits(to, microseconds % 1000, 10, 3);
}

#endif
