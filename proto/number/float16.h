/*
 * Rounding to the two half-precision formats, as bits.
 *
 * Decimal text is rounded to double first and then to half, as in NumPy. The two roundings differ
 * from a single one only for decimals whose relative distance from a tie is at most 2^-53.
 */
#ifndef PROTO_NUMBER_FLOAT16_H
#define PROTO_NUMBER_FLOAT16_H

#include <stdint.h>

/* Rounds to nearest, ties to even; values that are too large become infinite; NaN stays NaN.
   float16 is the binary16 of IEEE 754 (1, 5 and 10 bits); bfloat16 is the upper half of a binary32
   (1, 8 and 7 bits). */
uint16_t half_float16(double value);
uint16_t half_bfloat16(double value);

#endif
