/*
 * Number text: decimal to binary, correctly rounded, and back, shortest. This is where a loss
 * server spends its time.
 *
 * All functions are thread-safe, allocate nothing, and do not depend on the locale.
 */
#ifndef PROTO_NUMBER_NUMBER_H
#define PROTO_NUMBER_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Reads one number of RFC 8259 grammar at `text` (no leading white space, no '+', no leading zeros,
   digits on both sides of a point), of any number of digits, and rounds it to nearest, ties to
   even: the value that strtof / strtod give, too large ones becoming infinite, too small ones zero
   with their sign. Returns the byte behind the number, or NULL if there is none. `text` must end,
   somewhere at or behind the number, in a byte that cannot continue a number: a NUL will do. */
const char *number_read_f32(const char *text, float *value);
const char *number_read_f64(const char *text, double *value);

/* The same grammar for integers: 3, -100, and also 3.0 and 3e2, which are integral. */
enum number_status { NUMBER_OK, NUMBER_NONE, NUMBER_FRACTION, NUMBER_RANGE };
/* Sets `*end` behind the number and `*value`, and returns NUMBER_OK; NUMBER_NONE where no number
   stands (end and value are not set); NUMBER_FRACTION where it is not integral, else NUMBER_RANGE
   where it does not fit into 64 bits (end is set, value is not). */
enum number_status number_read_i64(const char *text, int64_t *value, const char **end);
/* The same for unsigned ones: a negative number does not fit, -0 does. */
enum number_status number_read_u64(const char *text, uint64_t *value, const char **end);

/* The byte behind the number of RFC 8259 grammar at `text`, NULL if there is none: the grammar
 * alone, no value. */
const char *number_skip(const char *text);

/* Writes a finite number with the fewest digits that read back to the same bits (of float, of
   double), the nearest to the true value among those; fixed or scientific, whichever is shorter,
   fixed where they tie; "-0.0" for minus zero. `text` must have room for NUMBER_TEXT bytes. Returns
   the bytes of text, with no NUL added; the bytes behind them may have been written to. */
enum { NUMBER_TEXT = 32 };
size_t number_write_f32(char *text, float value);
size_t number_write_f64(char *text, double value);

#endif
