/*
 * Numbers as decimal text. Reading rounds correctly; writing produces the shortest text.
 *
 * All functions are thread-safe, allocate nothing, and ignore the locale.
 */
#ifndef PROTO_NUMBER_NUMBER_H
#define PROTO_NUMBER_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Reads one number of RFC 8259 grammar at `text` (no leading white space, '+' or zeros; digits on
   both sides of a point), of any number of digits, and rounds it to nearest, ties to even, as
   strtof and strtod do: numbers that are too large become infinite, numbers that are too small
   become zero with their sign. Returns the byte after the number, or NULL if there is none. `text`
   must end, at or after the number, in a byte that cannot continue a number, such as NUL. */
const char *number_read_f32(const char *text, float *value);
const char *number_read_f64(const char *text, double *value);

/* Integers, including integral numbers such as 3.0 and 3e2. */
enum number_status { NUMBER_OK, NUMBER_NONE, NUMBER_FRACTION, NUMBER_RANGE };
/* Sets *end to the byte after the number and *value, and returns NUMBER_OK. Otherwise returns
   NUMBER_NONE if there is no number (*end is not set), NUMBER_FRACTION if it is not integral, or
   NUMBER_RANGE if it does not fit in 64 bits; *value is not set. */
enum number_status number_read_i64(const char *text, int64_t *value, const char **end);
/* Like number_read_i64(), for unsigned integers. A negative number is out of range, except -0. */
enum number_status number_read_u64(const char *text, uint64_t *value, const char **end);

/* Returns the byte after the number of RFC 8259 grammar at `text`, or NULL if there is none.
   Computes no value. */
const char *number_skip(const char *text);

/* Writes a finite number with the fewest digits that read back to the same bits (of float, of
   double); of those, the nearest to the exact value. The notation is fixed or scientific, whichever
   is shorter; fixed if both are equally long. Minus zero is "-0.0". `text` has NUMBER_TEXT bytes,
   all of which may be written to. Returns the length; adds no NUL. */
enum { NUMBER_TEXT = 32 };
size_t number_write_f32(char *text, float value);
size_t number_write_f64(char *text, double value);

#endif
