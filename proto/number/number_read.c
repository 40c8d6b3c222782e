/*
 * Decimal text to binary numbers, correctly rounded.
 *
 * A number of up to 19 significant digits is w * 10^q with w below 2^64. A number of more digits
 * lies between w * 10^q and (w + 1) * 10^q. Three methods find the nearest float. Each handles the
 * numbers that the previous one cannot:
 *
 * - w and 10^q are both exact floats, and one division or multiplication rounds once (W. Clinger,
 *   How to read floating point numbers accurately, 1990).
 * - One multiplication by a tabulated power gives 64 bits of w * 10^q with an error of a few units
 *   in the last place. That suffices if all numbers within the error round to the same float (D.
 *   Lemire, Number parsing at a gigabyte per second, 2021, who credits the idea to M. Eisel). The
 *   error is an interval here, so subnormals, omitted digits and ties need no special cases.
 * - The number is compared with the midpoint of the two floats around it in big integers.
 *
 * The C library's strtod is not used, because it depends on the locale. The first method assumes
 * that the rounding mode is to nearest, the default; the program never changes it.
 *
 * No byte after the one that ends the number is read: digits are found one by one, and loads of
 * eight bytes stay within the digits found.
 */
#include "number/number.h"
#include "number/number_round.h"

/* ---- Grammar ---- */

/* The parts of a number of RFC 8259 grammar. */
struct parts {
    bool negative;
    const char *whole, *whole_end;       /* the digits before the point, one or more */
    const char *fraction, *fraction_end; /* the digits after it; empty if there is no point */
    int64_t exponent;                    /* as written; 0 if there is none */
    const char *end;
};

/* Exponents saturate here. No text has enough digits to compensate for such an exponent, and sums
   with digit counts do not overflow. */
#define EXPONENT_LIMIT INT64_C(100000000000000000)

static inline const char *skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9')
        text++;
    return text;
}

/* Reads what follows the 'e'. */
static inline bool split_exponent(const char *text, struct parts *parts)
{
    const bool negative = *text == '-';
    text += *text == '-' || *text == '+';
    const char *const end = skip_digits(text);
    if (end == text)
        return false;
    int64_t exponent = 0;
    for (; text < end && exponent < EXPONENT_LIMIT; text++)
        exponent = exponent * 10 + (*text - '0');
    parts->exponent = negative ? -exponent : exponent;
    parts->end = end;
    return true;
}

/* Splits the number at `text`; returns false if there is none. */
static inline bool split(const char *text, struct parts *parts)
{
    parts->negative = *text == '-';
    parts->whole = text + parts->negative;
    const char *end = skip_digits(parts->whole);
    if (end == parts->whole || (*parts->whole == '0' && end > parts->whole + 1))
        return false;
    parts->whole_end = parts->fraction = parts->fraction_end = end;
    if (*end == '.') {
        parts->fraction = end + 1;
        parts->fraction_end = end = skip_digits(parts->fraction);
        if (end == parts->fraction)
            return false;
    }
    parts->exponent = 0;
    parts->end = end;
    return (*end != 'e' && *end != 'E') || split_exponent(end + 1, parts);
}

const char *number_skip(const char *text)
{
    struct parts parts;
    return split(text, &parts) ? parts.end : NULL;
}

/* ---- Digits ---- */

/* Appends the digits of [text, end) to a number. All bytes from `start`, which is at or before
   `text`, to `end` are readable. */
static inline uint64_t append_digits(uint64_t number, const char *text, const char *end,
                                     const char *start)
{
    for (; end - text >= 8; text += 8)
        number = number * 100000000 + eight_digits(load_eight(text));
    const ptrdiff_t rest = end - text;
    if (end - start < 8) {
        for (; text < end; text++)
            number = number * 10 + (uint64_t)(*text - '0');
    } else if (rest > 0) {
        /* The last eight bytes; those before `text` are set to 0. */
        const ptrdiff_t front = 8 * (8 - rest);
        number = number * number_integer_powers[rest] +
                 eight_digits(load_eight(end - 8) >> front << front);
    }
    return number;
}

/* The first digits of a number, without leading zeros: those of two runs, before and after the
   point. */
struct prefix {
    const char *whole, *whole_end, *fraction, *fraction_end;
    int64_t exponent; /* of the last digit: its unit is 10^exponent */
    bool cut;         /* a later digit is not 0 */
};

static bool has_nonzero(const char *text, const char *end)
{
    while (text < end && *text == '0')
        text++;
    return text < end;
}

static struct prefix take_prefix(const struct parts *parts, ptrdiff_t limit)
{
    struct prefix prefix = {.whole = parts->whole, .fraction = parts->fraction};
    while (prefix.whole < parts->whole_end && *prefix.whole == '0')
        prefix.whole++;
    if (prefix.whole == parts->whole_end)
        while (prefix.fraction < parts->fraction_end && *prefix.fraction == '0')
            prefix.fraction++;
    const ptrdiff_t whole = parts->whole_end - prefix.whole,
                    fraction = parts->fraction_end - prefix.fraction;
    prefix.whole_end = prefix.whole + (whole < limit ? whole : limit);
    limit -= prefix.whole_end - prefix.whole;
    prefix.fraction_end = prefix.fraction + (fraction < limit ? fraction : limit);
    prefix.exponent = parts->exponent + (parts->whole_end - prefix.whole_end) -
                      (prefix.fraction_end - parts->fraction);
    prefix.cut = has_nonzero(prefix.whole_end, parts->whole_end) ||
                 has_nonzero(prefix.fraction_end, parts->fraction_end);
    return prefix;
}

/* ---- Rounding ---- */

static const struct format binary32 = {24, -126, 127};

enum { DIGITS_MAX = NUMBER_INTEGER_POWERS - 1 }; /* digits that always fit in 64 bits: 19 */

static __attribute__((noinline)) struct decimal long_decimal(const struct parts *parts)
{
    const struct prefix prefix = take_prefix(parts, DIGITS_MAX);
    const uint64_t digits = append_digits(0, prefix.whole, prefix.whole_end, parts->whole);
    return (struct decimal){
        append_digits(digits, prefix.fraction, prefix.fraction_end, parts->whole), prefix.exponent,
        prefix.cut};
}

static inline struct decimal to_decimal(const struct parts *parts)
{
    const ptrdiff_t whole = parts->whole_end - parts->whole,
                    fraction = parts->fraction_end - parts->fraction;
    if (whole + fraction > DIGITS_MAX)
        return long_decimal(parts);
    const uint64_t digits = append_digits(0, parts->whole, parts->whole_end, parts->whole);
    return (struct decimal){
        append_digits(digits, parts->fraction, parts->fraction_end, parts->whole),
        parts->exponent - fraction, false};
}

/* ---- Comparison with a midpoint ---- */

/*
 * A non-negative integer, lowest limb first, without leading zero limbs. The largest integers occur
 * when a number D * 10^E is compared with a midpoint M * 2^F near it. Negative powers are moved to
 * the other side and common factors of two are cancelled, so both sides are about as large as one
 * side without its factors of two, which is at most:
 *
 * - D < 10^769, or D * 5^E < 2^1025 with E >= 0
 * - M < 2^54, or M * 5^-E with E < 0. D * 10^E is at least about 2^-1075, so 10^-E < 10^769 *
 *   2^1075, -E <= 1092 and M * 5^-E < 2^54 * 2^2536.
 *
 * That is 41 limbs. One more makes room for the product in big_multiply_add().
 */
enum { BIG_LIMBS = 42 };
struct big {
    int n;
    uint64_t limb[BIG_LIMBS];
};

static void big_multiply_add(struct big *big, uint64_t factor, uint64_t summand)
{
    unsigned __int128 carry = summand;
    for (int i = 0; i < big->n; i++) {
        carry += (unsigned __int128)big->limb[i] * factor;
        big->limb[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry > 0)
        big->limb[big->n++] = (uint64_t)carry;
}

static void big_multiply_power5(struct big *big, int64_t power)
{
    const uint64_t max_power = UINT64_C(7450580596923828125); /* 5^27, the largest in 64 bits */
    for (; power >= 27; power -= 27)
        big_multiply_add(big, max_power, 0);
    uint64_t rest = 1;
    for (; power > 0; power--)
        rest *= 5;
    big_multiply_add(big, rest, 0);
}

static void big_shift_left(struct big *big, int64_t shift)
{
    const int limbs = (int)(shift / 64);
    big_multiply_add(big, UINT64_C(1) << shift % 64, 0);
    memmove(big->limb + limbs, big->limb, (size_t)big->n * sizeof big->limb[0]);
    memset(big->limb, 0, (size_t)limbs * sizeof big->limb[0]);
    big->n += limbs;
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (int i = a->n; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static void big_append_digits(struct big *big, const char *text, const char *end)
{
    while (text < end) {
        const ptrdiff_t n = end - text < DIGITS_MAX ? end - text : DIGITS_MAX;
        big_multiply_add(big, number_integer_powers[n], append_digits(0, text, text + n, text));
        text += n;
    }
}

/* Returns the bits of the float nearest to a number, given those of the float below it. */
static __attribute__((noinline)) uint64_t round_by_midpoint(const struct parts *parts,
                                                            struct format format, uint64_t below)
{
    /* A midpoint of doubles is less than 2^54 times 2^-1075 or a larger power of two, so it has at
       most the 768 digits of 2^54 * 5^1075. A number truncated there compares with it like the
       whole number, except for equality. Therefore a digit 1 is appended in place of the omitted
       digits. */
    enum { MAX_DIGITS = 768 };
    const struct prefix prefix = take_prefix(parts, MAX_DIGITS);
    struct big number = {.n = 0};
    big_append_digits(&number, prefix.whole, prefix.whole_end);
    big_append_digits(&number, prefix.fraction, prefix.fraction_end);
    if (prefix.cut)
        big_multiply_add(&number, 10, 1);
    const int64_t exponent10 = prefix.exponent - prefix.cut;

    /* midpoint = (2 * significand + 1) * 2^exponent2 */
    const uint64_t hidden = UINT64_C(1) << (format.precision - 1), field = below / hidden;
    const uint64_t significand = field > 0 ? below % hidden + hidden : below;
    struct big midpoint = {.n = 1, .limb = {2 * significand + 1}};
    const int64_t exponent2 =
        format.min_exponent + (field > 0 ? (int64_t)field - 1 : 0) - format.precision;

    big_multiply_power5(exponent10 > 0 ? &number : &midpoint,
                        exponent10 > 0 ? exponent10 : -exponent10);
    const int64_t shift = exponent10 - exponent2;
    big_shift_left(shift > 0 ? &number : &midpoint, shift > 0 ? shift : -shift);
    const int order = big_compare(&number, &midpoint);
    return below + (order > 0 || (order == 0 && below & 1));
}

static inline uint64_t to_bits(const struct parts *parts, const struct decimal *number,
                               struct format format)
{
    uint64_t bits;
    return round_product(number, format, &bits) ? bits : round_by_midpoint(parts, format, bits);
}

/* ---- Readers ---- */

const char *number_read_f32(const char *text, float *value)
{
    enum { EXACT = 10 }; /* the largest power of ten that is a float: 5^10 < 2^24 < 5^11 */
    static const float powers[EXACT + 1] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                            1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
    struct parts parts;
    if (!split(text, &parts))
        return NULL;
    const struct decimal number = to_decimal(&parts);
    if (number.digits <= UINT64_C(1) << 24 && number.exponent >= -EXACT &&
        number.exponent <= EXACT) {
        const float digits = (float)(int64_t)number.digits;
        const float magnitude = number.exponent < 0 ? digits / powers[-number.exponent]
                                                    : digits * powers[number.exponent];
        *value = parts.negative ? -magnitude : magnitude;
    } else {
        const uint32_t bits =
            (uint32_t)to_bits(&parts, &number, binary32) | (uint32_t)parts.negative << 31;
        memcpy(value, &bits, sizeof bits);
    }
    return parts.end;
}

const char *number_read_f64(const char *text, double *value)
{
    enum { EXACT = 22 }; /* the largest power of ten that is a double: 5^22 < 2^53 < 5^23 */
    static const double powers[EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                             1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                             1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct parts parts;
    if (!split(text, &parts))
        return NULL;
    const struct decimal number = to_decimal(&parts);
    if (number.digits <= UINT64_C(1) << 53 && number.exponent >= -EXACT &&
        number.exponent <= EXACT) {
        const double digits = (double)(int64_t)number.digits;
        const double magnitude = number.exponent < 0 ? digits / powers[-number.exponent]
                                                     : digits * powers[number.exponent];
        *value = parts.negative ? -magnitude : magnitude;
    } else {
        const uint64_t bits = to_bits(&parts, &number, binary64) | (uint64_t)parts.negative << 63;
        memcpy(value, &bits, sizeof bits);
    }
    return parts.end;
}

/* Appends digits one by one; returns false if they do not fit in 64 bits. */
static bool append_checked(uint64_t *number, const char *text, const char *end)
{
    for (; text < end; text++)
        if (__builtin_mul_overflow(*number, UINT64_C(10), number) ||
            __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
            return false;
    return true;
}

/* Reads the magnitude of an integer; otherwise like number_read_u64(). */
static enum number_status read_magnitude(const char *text, uint64_t *magnitude, bool *negative,
                                         const char **end)
{
    struct parts parts;
    if (!split(text, &parts))
        return NUMBER_NONE;
    *end = parts.end;
    *negative = parts.negative;
    if (parts.end == parts.whole_end && parts.end - parts.whole <= DIGITS_MAX) {
        *magnitude = append_digits(0, parts.whole, parts.end, parts.whole);
        return NUMBER_OK;
    }

    /* Without its trailing zeros, a number is integral if the last digit's exponent is not
     * negative. */
    while (parts.fraction_end > parts.fraction && parts.fraction_end[-1] == '0')
        parts.fraction_end--;
    if (parts.fraction_end == parts.fraction)
        for (; parts.whole_end > parts.whole && parts.whole_end[-1] == '0'; parts.exponent++)
            parts.whole_end--;
    const struct prefix prefix = take_prefix(&parts, DIGITS_MAX + 1);
    const ptrdiff_t digits =
        prefix.whole_end - prefix.whole + (prefix.fraction_end - prefix.fraction);
    *magnitude = 0;
    if (digits == 0)
        return NUMBER_OK;
    if (parts.exponent < parts.fraction_end - parts.fraction)
        return NUMBER_FRACTION;
    if (prefix.cut || digits + prefix.exponent > DIGITS_MAX + 1)
        return NUMBER_RANGE;
    const bool fits =
        append_checked(magnitude, prefix.whole, prefix.whole_end) &&
        append_checked(magnitude, prefix.fraction, prefix.fraction_end) &&
        !__builtin_mul_overflow(*magnitude, number_integer_powers[prefix.exponent], magnitude);
    return fits ? NUMBER_OK : NUMBER_RANGE;
}

enum number_status number_read_i64(const char *text, int64_t *value, const char **end)
{
    uint64_t magnitude;
    bool negative;
    const enum number_status status = read_magnitude(text, &magnitude, &negative, end);
    if (status != NUMBER_OK)
        return status;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return NUMBER_RANGE;
    *value = (int64_t)(negative ? 0 - magnitude : magnitude); /* gcc: modulo 2^64 */
    return NUMBER_OK;
}

enum number_status number_read_u64(const char *text, uint64_t *value, const char **end)
{
    uint64_t magnitude;
    bool negative;
    const enum number_status status = read_magnitude(text, &magnitude, &negative, end);
    if (status != NUMBER_OK)
        return status;
    if (negative && magnitude > 0)
        return NUMBER_RANGE;
    *value = magnitude;
    return NUMBER_OK;
}
