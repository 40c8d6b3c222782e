/*
 * The part of number_bulk.h that finds structure. Included once per instruction set. The including
 * file defines, with bit i of a mask for byte i:
 *
 *     uint64_t separators(const char *text)
 *         which of 64 bytes are brackets, commas or white space
 *     struct kinds kinds_of(const char *text)
 *         the kind of each of 64 bytes
 *     size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
 *         appends offset + i for each bit i; may write NUMBER_BULK_SLACK more
 */
#include "number/number_bulk.h"

#include <stdbool.h>

/* Tokens and commas must alternate. An addition detects a comma that follows a comma: the bit after
   each comma is added to the mask of white space, and is carried to the first byte after the white
   space, where a token must begin. The counts detect a token that follows a token: there is at
   least one token between two commas, so any additional one is such a token. */
static size_t skip(const char **text, const char *limit)
{
    const char *last = *text; /* where the last token began */
    size_t n = 0;             /* tokens begun so far */
    uint64_t in_token = 0;    /* true if the previous byte was part of a token */
    uint64_t after_comma = 1; /* true if it was a comma, or white space after one */
    uint64_t open = 0;        /* true if the last of tokens and commas was a token */
    for (const char *at = *text; limit - at >= NUMBER_BULK_BLOCK; at += NUMBER_BULK_BLOCK) {
        const struct kinds kinds = kinds_of(at);
        const uint64_t other = ~(kinds.token | kinds.comma | kinds.blank),
                       seen = other ? (other & -other) - 1 : UINT64_MAX;
        const uint64_t token = kinds.token & seen, comma = kinds.comma & seen,
                       blank = kinds.blank & seen;
        const uint64_t begin = token & ~(token << 1 | in_token);
        uint64_t next;
        const bool carried = __builtin_add_overflow(comma << 1 | after_comma, blank, &next);
        const uint64_t begun = (uint64_t)__builtin_popcountll(begin);
        const uint64_t ends_open = (begin | comma) == 0 ? open : begin > comma;
        if ((next & ~blank & ~token & seen) != 0 ||
            open + begun - (uint64_t)__builtin_popcountll(comma) != ends_open)
            break;
        open = ends_open;
        n += begun;
        if (begin)
            last = at + 63 - __builtin_clzll(begin);
        if (other) {
            const char *const stop = at + __builtin_ctzll(other);
            if (!open || *stop != ']')
                break;
            *text = stop;
            return n;
        }
        in_token = token >> 63;
        after_comma = comma >> 63 | carried;
    }
    *text = last;
    return n - (n > 0);
}

static size_t find(const char *text, size_t blocks, uint32_t *bounds)
{
    uint64_t in_token = 0;
    size_t n = 0;
    for (size_t i = 0; i < blocks; i++) {
        const uint64_t token = ~separators(text + i * NUMBER_BULK_BLOCK);
        n += put_bounds(bounds + n, (uint32_t)(i * NUMBER_BULK_BLOCK),
                        token ^ (token << 1 | in_token));
        in_token = token >> 63;
    }
    return n;
}
