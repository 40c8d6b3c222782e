/* Bulk numbers in plain C, eight bytes at a time. */
#include "number/number_bulk.h"
#include "number/number_bulk_types.h"
#include "number/number_round.h"

#define REPEAT_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Sets the highest bit of each byte of `bytes`, all below 0x80, that equals `byte`. */
static inline uint64_t equal(uint64_t bytes, unsigned byte)
{
    return (REPEAT_BYTE(0x80) - (bytes ^ REPEAT_BYTE(byte))) & REPEAT_BYTE(0x80);
}

/* Like equal(), for bytes from `low` to `high`. */
static inline uint64_t between(uint64_t bytes, unsigned low, unsigned high)
{
    return (bytes + REPEAT_BYTE(0x80 - low)) & (REPEAT_BYTE(0x80 + high) - bytes) &
           REPEAT_BYTE(0x80);
}

/* Collects the highest bits of eight bytes. */
static inline uint64_t gather(uint64_t bits)
{
    return (bits >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

/* Finds white space; fast if there is none. */
static inline uint64_t blanks(uint64_t bytes)
{
    if ((~(bytes + REPEAT_BYTE(0x80 - '!')) & REPEAT_BYTE(0x80)) ==
        0) /* no byte is below the first visible character */
        return 0;
    return equal(bytes, ' ') | equal(bytes, '\t') | equal(bytes, '\n') | equal(bytes, '\r');
}

/* Returns true if a byte is '@' or above: not a digit, sign, point, comma or white space. */
static inline bool any_high(uint64_t bytes)
{
    return (bytes & REPEAT_BYTE('@')) != 0;
}

static uint64_t separators(const char *text)
{
    uint64_t mask = 0;
    for (int i = 0; i < 64; i += 8) {
        const uint64_t all = load_eight(text + i), bytes = all & REPEAT_BYTE(0x7f);
        uint64_t found = equal(bytes, ',') | blanks(bytes);
        if (any_high(bytes))
            found |= equal(bytes, '[') | equal(bytes, ']');
        mask |= gather(found & ~all) << i;
    }
    return mask;
}

static struct kinds kinds_of(const char *text)
{
    struct kinds kinds = {0, 0, 0};
    for (int i = 0; i < 64; i += 8) {
        const uint64_t all = load_eight(text + i), bytes = all & REPEAT_BYTE(0x7f),
                       blank = blanks(bytes);
        uint64_t token = between(bytes, '0', '9') | between(bytes, '-', '.') | equal(bytes, '+');
        if (any_high(bytes))
            token |= between(bytes | REPEAT_BYTE(0x20), 'a', 'z');
        kinds.token |= gather(token & ~all) << i;
        kinds.comma |= gather(equal(bytes, ',') & ~all) << i;
        if (blank)
            kinds.blank |= gather(blank & ~all) << i;
    }
    return kinds;
}

static size_t put_bounds(uint32_t *bounds, uint32_t offset, uint64_t edges)
{
    size_t n = 0;
    for (; edges; edges &= edges - 1)
        bounds[n++] = offset + (uint32_t)__builtin_ctzll(edges);
    return n;
}

/* Returns the eight bytes that end at `end`; where `last` is not 0xff, the byte before each
   instead. */
static inline uint64_t without_point(const char *end, uint64_t last)
{
    return (load_eight(end - 8) & last) | (load_eight(end - 9) & ~last);
}

/* Returns eight bytes, the last n of which are 0xff: none if n < 0, all if n > 8. Uses a table
   because n is unpredictable. */
static inline uint64_t last_bytes(ptrdiff_t n)
{
#define EIGHT -1, -1, -1, -1, -1, -1, -1, -1
    enum { MIN_BYTES = -24, MAX_BYTES = 32 };
    static const signed char ones[MAX_BYTES - MIN_BYTES + 8] = {
        [8 - MIN_BYTES] = EIGHT, EIGHT, EIGHT, EIGHT};
#undef EIGHT
    return load_eight((const char *)ones + (n - MIN_BYTES));
}

static inline bool take_digits(const char *text, const char *end, struct digits *number)
{
    number->negative = *text == '-';
    text += number->negative;
    if (end - text > 31 || end == text)
        return false;
    int exponent = 0;
    for (int i = 2; i <= 5 && end - text > i; i++)
        if ((end[-i] | 0x20) == 'e') {
            if (!take_exponent(end - i + 1, end, &exponent))
                return false;
            end -= i;
            break;
        }

    const ptrdiff_t len = end - text;
    ptrdiff_t whole = len;
    for (ptrdiff_t i = 0; i < len; i += 8) {
        const uint64_t bytes = load_eight(text + i),
                       points = equal(bytes & REPEAT_BYTE(0x7f), '.') & ~bytes;
        if (points) {
            const ptrdiff_t at = i + (__builtin_ctzll(points) >> 3);
            whole = at < len ? at : len;
            break;
        }
    }
    const bool has_point = whole < len;
    const ptrdiff_t fraction = len - whole - has_point, n = len - has_point,
                    unmoved = has_point ? fraction : 32;
    if (whole == 0 || (*text == '0' && whole > 1) || (has_point && fraction == 0) || n > 24)
        return false;
    uint64_t groups[3], wrong = 0;
    for (ptrdiff_t i = 0; i < 3; i++) {
        const uint64_t characters =
            without_point(end - 8 * i, last_bytes(unmoved - 8 * i)) ^ REPEAT_BYTE('0');
        const uint64_t digits = characters & last_bytes(n - 8 * i);
        wrong |=
            (digits + REPEAT_BYTE(0x76)) | digits; /* above 9; a carry comes from such a byte */
        groups[i] = eight_digits(digits);
    }
    if (wrong & REPEAT_BYTE(0x80))
        return false;
    number->digits = groups[2] * UINT64_C(10000000000000000) + groups[1] * 100000000 + groups[0];
    number->exponent = exponent - (int)fraction;
    return groups[2] < 922; /* so that it is below 2^63 */
}

#include "number/number_bulk_structure.h"
#include "number/number_bulk_values.h"

const struct number_bulk number_bulk_portable = {"portable", skip,     find,      read_f32,
                                                 read_f64,   read_i64, write_f32, write_f64};
