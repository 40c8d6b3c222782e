#include "number/float16.h"

#include <math.h>

/* Rounds to a format with the given numbers of exponent and fraction bits. Scaling by powers of two
   is exact, and rint rounds ties to even. If the fraction rounds up to the next power of two, the
   carry increments the exponent; the largest number becomes infinity. */
static uint16_t narrow(double value, int exponent_bits, int fraction_bits)
{
    const int sign = signbit(value) ? 0x8000 : 0, bias = (1 << (exponent_bits - 1)) - 1;
    const int infinite = ((1 << exponent_bits) - 1) << fraction_bits;
    const double magnitude = fabs(value);
    if (isnan(value))
        return (uint16_t)(sign | infinite | 1 << (fraction_bits - 1));
    if (magnitude == 0)
        return (uint16_t)sign;
    int exponent = isinf(value) ? bias + 1 : ilogb(magnitude);
    if (exponent > bias)
        return (uint16_t)(sign | infinite);
    if (exponent < 1 - bias)
        exponent = 1 - bias; /* subnormals have the smallest exponent */
    const int units = (int)rint(
        scalbn(magnitude, fraction_bits - exponent)); /* including the hidden bit, if normal */
    return (uint16_t)(sign | (((exponent + bias - 1) << fraction_bits) + units));
}

uint16_t half_float16(double value)
{
    return narrow(value, 5, 10);
}

uint16_t half_bfloat16(double value)
{
    return narrow(value, 8, 7);
}
