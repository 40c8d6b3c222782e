#include "support/big_sum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds a digit at a position, with carries. */
static void add_digit(uint32_t *digits, size_t at, uint32_t digit)
{
    for (uint64_t carry = digit; carry > 0; at++) {
        carry += digits[at];
        digits[at] = (uint32_t)carry;
        carry >>= 32;
    }
}

void big_sum_add(struct big_sum *sum, double x)
{
    if (isnan(x))
        sum->nan++;
    else if (isinf(x))
        *(x > 0 ? &sum->infinite : &sum->negative_infinite) += 1;
    if (!isfinite(x) || x == 0)
        return;
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(x), &exponent), 53);
    for (exponent += 1074 - 53; exponent < 0; exponent++)
        mantissa /= 2; /* of a subnormal number, whose last bits are 0 */
    uint32_t *const digits = x > 0 ? sum->positive : sum->negative;
    const size_t at = (size_t)exponent / 32;
    const int shift = exponent % 32;
    const uint64_t low = (mantissa & UINT32_MAX) << shift, high = (mantissa >> 32) << shift;
    add_digit(digits, at, (uint32_t)low);
    add_digit(digits, at + 1, (uint32_t)(low >> 32));
    add_digit(digits, at + 1, (uint32_t)high);
    add_digit(digits, at + 2, (uint32_t)(high >> 32));
}

void big_sum_text(const struct big_sum *sum, char text[BIG_SUM_TEXT])
{
    const uint32_t *more = sum->positive, *less = sum->negative;
    int k = BIG_SUM_DIGITS - 1;
    while (k > 0 && more[k] == less[k])
        k--;
    const bool negative = more[k] < less[k];
    if (negative) {
        more = sum->negative;
        less = sum->positive;
    }
    uint32_t difference[BIG_SUM_DIGITS];
    int64_t borrow = 0;
    for (int i = 0; i < BIG_SUM_DIGITS; i++) {
        borrow += (int64_t)more[i] - less[i];
        difference[i] = (uint32_t)borrow;
        borrow = borrow < 0 ? -1 : 0;
    }
    int len = sprintf(text, "%s0x", negative ? "-" : "");
    for (int i = BIG_SUM_DIGITS - 1; i >= 0; i--)
        len += sprintf(text + len, "%08x", difference[i]);
    sprintf(text + len, "p-1074");
}

double big_sum_value(const struct big_sum *sum)
{
    char text[BIG_SUM_TEXT];
    if (sum->nan > 0 || (sum->infinite > 0 && sum->negative_infinite > 0))
        return (double)NAN;
    if (sum->infinite + sum->negative_infinite > 0)
        return sum->infinite > 0 ? (double)INFINITY : -(double)INFINITY;
    big_sum_text(sum, text);
    return strtod(text, NULL);
}
