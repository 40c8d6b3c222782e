/*
 * Numbers in bulk: long lists of them in JSON text, which is where a loss server spends its time.
 *
 * All that is here is quick because it looks at 64 bytes at a time and takes the common case only.
 * What it does not understand it leaves to the caller, who goes on from there one number at a time
 * (number.h); results are the same to the last bit.
 *
 * There is one way of doing it for every machine, and others that need more of the processor.
 */
#ifndef PROTO_NUMBER_NUMBER_BULK_H
#define PROTO_NUMBER_NUMBER_BULK_H

#include <stddef.h>
#include <stdint.h>

enum {
    NUMBER_BULK_BLOCK = 64, /* bytes that are looked at at once */
    NUMBER_BULK_AROUND =
        34, /* bytes that may be read in front of a token, and from its beginning on */
    NUMBER_BULK_F32 = 16,   /* bytes of -1.17549435e-38, and a comma */
    NUMBER_BULK_F64 = 25,   /* bytes of -2.2250738585072014e-308, and a comma */
    NUMBER_BULK_SLACK = 16, /* bounds that may be written to behind those that there are */
};

struct number_bulk {
    const char *name;

    /* Passes over the elements of an array, numbers and words, and the commas and white space
       between them: `*text` is at the beginning of one, and is moved to that of a later one, or to
       the ']' behind the last. Looks at no byte from `limit` on. Returns how many elements were
       passed over; every one of them was followed by a comma, but for the last in front of a
       ']'. */
    size_t (*skip)(const char **text, const char *limit);

    /* Finds what stands between brackets, commas and white space in `blocks` blocks of 64 bytes at
       `text`: writes where each token begins and where it ends, in turn, as offsets. Returns how
       many bounds there are; if that is odd, the last token has no end yet. `text` is not within a
       token. */
    size_t (*find)(const char *text, size_t blocks, uint32_t *bounds);

    /* Read `n` tokens, which begin and end at text + bounds[0], text + bounds[1], and so on, as
       number_read_f32 and the others would; return how many they have read when they meet one that
       they cannot. */
    size_t (*read_f32)(const char *text, const uint32_t *bounds, size_t n, float *values);
    size_t (*read_f64)(const char *text, const uint32_t *bounds, size_t n, double *values);
    size_t (*read_i64)(const char *text, const uint32_t *bounds, size_t n, int64_t *values);

    /* Write `n` numbers, as number_write_f32 and number_write_f64 would, and a comma behind each;
       move `*text` behind them. Return how many they have written when they meet one that is not
       finite. The room at `*text` is NUMBER_BULK_F32 or NUMBER_BULK_F64 bytes for each, and
       NUMBER_TEXT more. */
    size_t (*write_f32)(char **text, const float *values, size_t n);
    size_t (*write_f64)(char **text, const double *values, size_t n);
};

/* The best way that the instruction set allows (loss_isa_choose in core/loss.h). */
const struct number_bulk *number_bulk(void);
/* The ways that it allows, the best first; NULL after the last. For tests. */
const struct number_bulk *number_bulk_at(size_t index);

/* All ways. Only the first runs on every machine. */
extern const struct number_bulk number_bulk_portable;
#if defined __x86_64__
extern const struct number_bulk number_bulk_avx2;
extern const struct number_bulk number_bulk_avx512;
#endif

#endif
