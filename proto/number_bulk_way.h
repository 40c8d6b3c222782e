/*
 * The algorithms of number_bulk.h, included once for each way of looking at 64 bytes. The file that includes this has defined
 * WAY, the attributes of every function, and
 *
 *     uint64_t separators(const char *text)              which of 64 bytes are brackets, commas or white space
 *     struct kinds kinds_of(const char *text)             what each of 64 bytes is
 *     bool take_digits(const char *text, const char *end, struct digits *)
 *                                                         the number in [text, end), if it has no more than 18 digits or so
 *     size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
 *                                                         offset + i for each bit i; may write SLACK more
 *
 * Bit i of a mask stands for byte i.
 */
#include "number.h"
#include "number_bulk.h"
#include "number_round.h"

#include <math.h>

/* ---- structure ------------------------------------------------------------------------------------------------------ */

/*
 * Tokens and commas must alternate. That no comma follows a comma is seen by adding: a bit behind each comma, added to the mask
 * of white space, is carried to the first byte behind that, and there a token must begin. Then as many tokens as follow another
 * token show in the counts: from one comma to the next there is at least one token, so what is too many by count is there.
 */
WAY static size_t skip(const char **text, const char *limit)
{
    const char *last = *text;          /* where the last token began */
    size_t n = 0;                      /* tokens that have begun */
    uint64_t in_token = 0, behind = 1; /* whether the byte in front was of a token; was a comma, or white space behind one */
    uint64_t open = 0;                 /* whether of tokens and commas a token came last */
    for (const char *at = *text; limit - at >= NUMBER_BULK_BLOCK; at += NUMBER_BULK_BLOCK) {
        const struct kinds kinds = kinds_of(at);
        const uint64_t other = ~(kinds.token | kinds.comma | kinds.blank), seen = other ? (other & -other) - 1 : UINT64_MAX;
        const uint64_t token = kinds.token & seen, comma = kinds.comma & seen, blank = kinds.blank & seen;
        const uint64_t begin = token & ~(token << 1 | in_token);
        uint64_t next;
        const bool carried = __builtin_add_overflow(comma << 1 | behind, blank, &next);
        const uint64_t begun = (uint64_t)__builtin_popcountll(begin);
        const uint64_t ends_open = (begin | comma) == 0 ? open : begin > comma;
        if ((next & ~blank & ~token & seen) != 0 || open + begun - (uint64_t)__builtin_popcountll(comma) != ends_open)
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
        behind = comma >> 63 | carried;
    }
    *text = last;
    return n - (n > 0);
}

WAY static size_t find(const char *text, size_t blocks, uint32_t *bounds)
{
    uint64_t in_token = 0;
    size_t n = 0;
    for (size_t i = 0; i < blocks; i++) {
        const uint64_t token = ~separators(text + i * NUMBER_BULK_BLOCK);
        n += put_bounds(bounds + n, (uint32_t)(i * NUMBER_BULK_BLOCK), token ^ (token << 1 | in_token));
        in_token = token >> 63;
    }
    return n;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

/*
 * The float nearest to digits * 10^exponent, by way of the double nearest to it or nearly so: digits, power and product are
 * each off by half a unit of their last place at most, together by less than 4 units of the double's. Where no midpoint of two
 * floats is so near, the number and the double lie on the same side of it, and the double rounds to the right float. (A
 * midpoint has a one in front of 28 zeros behind the float's last bit. Below 2^-126 floats are subnormal, and midpoints
 * elsewhere.)
 */
WAY static inline bool to_float(struct digits number, float *value)
{
    const uint64_t tail = (UINT64_C(1) << 29) - 1, half = UINT64_C(1) << 28, least = UINT64_C(0x3810000000000000);
    const int i = number.exponent - NUMBER_NEAR_MIN;
    if ((unsigned)i > NUMBER_NEAR_MAX - NUMBER_NEAR_MIN)
        return false;
    const double wide = (double)(int64_t)number.digits * number_near_powers[0][i];
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    if ((bits & tail) - (half - 4) <= 8 || bits - 1 < least - 1)
        return false;
    const float narrow = (float)wide;
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    narrow_bits |= (uint32_t)number.negative << 31;
    memcpy(value, &narrow_bits, sizeof narrow_bits);
    return true;
}

WAY static inline bool to_double(struct digits number, double *value)
{
    const struct decimal decimal = {number.digits, number.exponent, false};
    uint64_t bits;
    if (!round_product(&decimal, binary64, &bits))
        return false;
    bits |= (uint64_t)number.negative << 63;
    memcpy(value, &bits, sizeof bits);
    return true;
}

WAY static inline bool to_integer(struct digits number, int64_t *value)
{
    *value = number.negative ? -(int64_t)number.digits : (int64_t)number.digits;
    return number.exponent == 0;
}

#define READ(name, type, convert)                                                                                              \
    WAY static size_t name(const char *text, const uint32_t *bounds, size_t n, type *values)                                   \
    {                                                                                                                          \
        for (size_t i = 0; i < n; i++) {                                                                                       \
            struct digits number;                                                                                              \
            type value;                                                                                                        \
            if (!take_digits(text + bounds[2 * i], text + bounds[2 * i + 1], &number) || !convert(number, &value))             \
                return i;                                                                                                      \
            memcpy((char *)values + i * sizeof value, &value, sizeof value); /* they need no alignment */                      \
        }                                                                                                                      \
        return n;                                                                                                              \
    }
READ(read_f32, float, to_float)
READ(read_f64, double, to_double)
READ(read_i64, int64_t, to_integer)
#undef READ

#define WRITE(name, type, number_write)                                                                                        \
    WAY static size_t name(char **text, const type *values, size_t n)                                                          \
    {                                                                                                                          \
        size_t i = 0;                                                                                                          \
        for (; i < n && isfinite(values[i]); i++) {                                                                            \
            *text += number_write(*text, values[i]);                                                                           \
            *(*text)++ = ',';                                                                                                  \
        }                                                                                                                      \
        return i;                                                                                                              \
    }
WRITE(write_f32, float, number_write_f32)
WRITE(write_f64, double, number_write_f64)
#undef WRITE
