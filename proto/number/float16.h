/*
 * Rounding to the two half-precision formats, as bits.
 *
 * A decimal goes to double first and from there to half, as in NumPy and PyTorch. Double has so
 * many more bits that this second rounding can only differ from a single one for decimals within
 * 2^-53 of a tie.
 */
#ifndef PROTO_NUMBER_FLOAT16_H
#define PROTO_NUMBER_FLOAT16_H

#include <stdint.h>

/* Rounds to nearest, ties to even; too large values become infinite, NaN stays NaN. float16 is
   IEEE's binary16 (1, 5, 10 bits), bfloat16 the upper half of a binary32 (1, 8, 7). */
uint16_t half_float16(double value);
uint16_t half_bfloat16(double value);

#endif
