/*
 * Long lists of numbers in JSON text. The server spends most of its time here.
 *
 * The functions are fast because they process 64 bytes at a time and handle only the common case.
 * They stop at anything else; the caller then continues with one number at a time (number.h). The
 * results are bit-identical.
 *
 * There is a portable implementation, and others for newer instruction sets.
 */
#ifndef PROTO_NUMBER_NUMBER_BULK_H
#define PROTO_NUMBER_NUMBER_BULK_H

#include <stddef.h>
#include <stdint.h>

enum {
    NUMBER_BULK_BLOCK = 64,  /* bytes that are processed at once */
    NUMBER_BULK_AROUND = 34, /* bytes that may be read before a token, and from its start */
    NUMBER_BULK_F32 = 16,    /* bytes of -1.17549435e-38, and a comma */
    NUMBER_BULK_F64 = 25,    /* bytes of -2.2250738585072014e-308, and a comma */
    NUMBER_BULK_SLACK = 16,  /* entries of `bounds` that may be written after the last valid one */
};

struct number_bulk {
    const char *name;

    /* Skips elements of an array (numbers and words) with the commas and white space between them.
       *text is at the start of an element, and is moved to the start of a later one, or to the ']'
       after the last. Reads no byte at or after `limit`. Returns how many elements were skipped;
       each of them was followed by a comma, except the last before a ']'. */
    size_t (*skip)(const char **text, const char *limit);

    /* Finds the tokens between brackets, commas and white space in `blocks` blocks of 64 bytes at
       `text`, and writes the offsets of the start and end of each. Returns the number of offsets;
       if it is odd, the last token does not end in these blocks. `text` must not be within a token.
       */
    size_t (*find)(const char *text, size_t blocks, uint32_t *bounds);

    /* Read `n` tokens, which start and end at text + bounds[0], text + bounds[1], and so on, with
       the same results as number_read_f32() and the others. Return the number of tokens read before
       the first that could not be. */
    size_t (*read_f32)(const char *text, const uint32_t *bounds, size_t n, float *values);
    size_t (*read_f64)(const char *text, const uint32_t *bounds, size_t n, double *values);
    size_t (*read_i64)(const char *text, const uint32_t *bounds, size_t n, int64_t *values);

    /* Write `n` numbers as number_write_f32 and number_write_f64 do, each followed by a comma, and
       move *text past them. Return how many were written before the first that is not finite. The
       caller provides NUMBER_BULK_F32 or NUMBER_BULK_F64 bytes per number, plus NUMBER_TEXT. */
    size_t (*write_f32)(char **text, const float *values, size_t n);
    size_t (*write_f64)(char **text, const double *values, size_t n);
};

/* Returns the fastest implementation that the chosen instruction set allows (loss_isa_choose in
   core/loss.h). */
const struct number_bulk *number_bulk(void);
/* Returns the implementation at `index` among those allowed, fastest first; NULL after the last.
   For tests. */
const struct number_bulk *number_bulk_at(size_t index);

/* All implementations. Only the portable one runs on every machine. */
extern const struct number_bulk number_bulk_portable;
#if defined __x86_64__
extern const struct number_bulk number_bulk_avx2;
extern const struct number_bulk number_bulk_avx512;
#endif

#endif
