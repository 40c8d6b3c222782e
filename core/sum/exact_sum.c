#include "sum/exact_sum.h"

#include <math.h>
#include <string.h>

/* Each deposit adds less than 2^32 to a limb, and a normalized limb is less than 2^32, so limbs
   stay below 2^63. */
enum { MAX_DEPOSITS = 1 << 30 };

/* Propagates carries: all limbs but the last one, which has the sign, are then in [0, 2^32). */
static void normalize(struct exact_sum *sum)
{
    int64_t carry = 0;
    for (int k = 0; k < EXACT_LIMBS - 1; k++) {
        const int64_t limb = sum->limb[k] + carry;
        sum->limb[k] = limb & UINT32_MAX;
        carry = limb >> EXACT_LIMB_BITS;
    }
    sum->limb[EXACT_LIMBS - 1] += carry;
    sum->deposits = 0;
}

void exact_sum_add_units(struct exact_sum *sum, int64_t count, int bit)
{
    const __int128 shifted = (__int128)count * ((int64_t)1 << bit % EXACT_LIMB_BITS);
    int64_t *const limb = sum->limb + bit / EXACT_LIMB_BITS;
    limb[0] += (uint32_t)shifted;
    limb[1] += (uint32_t)(shifted >> EXACT_LIMB_BITS);
    limb[2] += (int64_t)(shifted >> 2 * EXACT_LIMB_BITS);
    if (++sum->deposits == MAX_DEPOSITS)
        normalize(sum);
}

void exact_sum_add(struct exact_sum *sum, double x)
{
    enum { FRACTION_BITS = 52, NONFINITE = 0x7ff };
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = bits >> FRACTION_BITS & NONFINITE;
    const int64_t fraction = (int64_t)(bits & ((UINT64_C(1) << FRACTION_BITS) - 1));
    if (exponent == NONFINITE) {
        if (fraction != 0)
            sum->nan++;
        else if (x > 0)
            sum->infinite++;
        else
            sum->negative_infinite++;
        return;
    }
    const int64_t count = exponent == 0 ? fraction : fraction | (int64_t)1 << FRACTION_BITS;
    exact_sum_add_units(sum, x < 0 ? -count : count, exponent == 0 ? 0 : exponent - 1);
}

void exact_sum_merge(struct exact_sum *sum, const struct exact_sum *other)
{
    struct exact_sum normal = *other;
    normalize(&normal);
    normalize(sum);
    for (int k = 0; k < EXACT_LIMBS; k++)
        sum->limb[k] += normal.limb[k];
    sum->deposits = 1;
    sum->nan += other->nan;
    sum->infinite += other->infinite;
    sum->negative_infinite += other->negative_infinite;
}

size_t exact_sum_nonfinite(const struct exact_sum *sum)
{
    return sum->nan + sum->infinite + sum->negative_infinite;
}

const char *exact_sum_obstacle(void)
{
    /* volatile, so that this thread computes it, not the compiler */
    volatile double one = 1, half = 0x1p-53, more = 0x1.8p-53, subnormal = 0x1p-1060;
    if (one + half != 1 || one + more == 1)
        return "does not round to nearest";
    subnormal *= 2;
    if (subnormal * 0x1p1000 != 0x1p-59) /* comparisons may replace subnormal numbers, too */
        return "replaces subnormal numbers by 0, which a library compiled with -ffast-math may "
               "have caused";
    return NULL;
}

/* ---- Reading ---- */

/* The absolute value of a sum, in units. */
struct magnitude {
    bool negative;
    size_t limbs; /* without leading zeros */
    uint32_t limb[EXACT_LIMBS];
};

static struct magnitude magnitude_of(const struct exact_sum *sum)
{
    struct magnitude result = {.limbs = EXACT_LIMBS};
    struct exact_sum copy = *sum;
    normalize(&copy);
    result.negative = copy.limb[EXACT_LIMBS - 1] < 0;
    if (result.negative) {
        for (int k = 0; k < EXACT_LIMBS; k++)
            copy.limb[k] = -copy.limb[k];
        normalize(&copy);
    }
    for (int k = 0; k < EXACT_LIMBS; k++)
        result.limb[k] = (uint32_t)copy.limb[k];
    while (result.limbs > 0 && result.limb[result.limbs - 1] == 0)
        result.limbs--;
    return result;
}

/* Returns the magnitude, rounded to the nearest float64 number. */
static double round_magnitude(const struct magnitude *m)
{
    const size_t limbs = m->limbs;
    if (limbs <= 1)
        return ldexp(limbs == 0 ? 0 : m->limb[0], EXACT_UNIT);
    /* The first 64 bits; the last of them is set if any bit after them is. Since a float64 number
       has 53 bits, rounding these 64 is rounding the whole. A subnormal number has fewer bits, so
       the conversion is exact and ldexp() does not round it again. */
    const int zeros = __builtin_clz(m->limb[limbs - 1]);
    uint64_t first = (uint64_t)m->limb[limbs - 1] << EXACT_LIMB_BITS | m->limb[limbs - 2];
    uint64_t rest = limbs > 2 ? (uint64_t)m->limb[limbs - 3] << zeros : 0;
    first = first << zeros | rest >> EXACT_LIMB_BITS;
    rest = (uint32_t)rest;
    for (size_t k = 0; k + 3 < limbs; k++)
        rest |= m->limb[k];
    const int bit = (int)(limbs - 2) * EXACT_LIMB_BITS - zeros;
    return ldexp((double)(first | (rest != 0)), bit + EXACT_UNIT);
}

double exact_sum_value(const struct exact_sum *sum)
{
    if (sum->nan > 0 || (sum->infinite > 0 && sum->negative_infinite > 0))
        return (double)NAN;
    if (sum->infinite > 0)
        return (double)INFINITY;
    if (sum->negative_infinite > 0)
        return -(double)INFINITY;
    const struct magnitude magnitude = magnitude_of(sum);
    const double value = round_magnitude(&magnitude);
    return magnitude.negative ? -value : value;
}

/* ---- As an integer ---- */

struct loss_integer exact_sum_integer(const struct exact_sum *sum)
{
    const struct magnitude m = magnitude_of(sum);
    struct loss_integer result = {.negative = m.negative};
    if (m.limbs == 0)
        return result;
    size_t skip = 0;
    while (m.limb[skip] == 0)
        skip++;
    const int zeros = __builtin_ctz(m.limb[skip]);
    result.exponent = (int)skip * EXACT_LIMB_BITS + zeros + EXACT_UNIT;
    for (size_t k = skip; k < m.limbs; k++) {
        const uint64_t above = k + 1 < m.limbs ? m.limb[k + 1] : 0;
        result.limb[k - skip] = (uint32_t)((above << EXACT_LIMB_BITS | m.limb[k]) >> zeros);
    }
    result.limbs = m.limbs - skip - (result.limb[m.limbs - skip - 1] == 0);
    return result;
}

bool exact_sum_set(struct exact_sum *sum, const struct loss_integer *integer)
{
    enum { LAST_BIT = 1023 - EXACT_UNIT + 63 }; /* of 2^63 times the largest float64 number */
    *sum = (struct exact_sum){0};
    if (integer->limbs == 0)
        return true;
    if (integer->exponent < EXACT_UNIT || integer->exponent > LAST_BIT + EXACT_UNIT)
        return false;
    const int first = integer->exponent - EXACT_UNIT,
              bits = (int)integer->limbs * EXACT_LIMB_BITS -
                     __builtin_clz(integer->limb[integer->limbs - 1]);
    if (first + bits - 1 > LAST_BIT)
        return false;
    const int sign = integer->negative ? -1 : 1;
    for (size_t k = 0; k < integer->limbs; k++) {
        const uint64_t shifted = (uint64_t)integer->limb[k] << first % EXACT_LIMB_BITS;
        int64_t *const limb = sum->limb + first / EXACT_LIMB_BITS + k;
        limb[0] += sign * (int64_t)(shifted & UINT32_MAX);
        if (shifted > UINT32_MAX)
            limb[1] += sign * (int64_t)(shifted >> EXACT_LIMB_BITS);
    }
    sum->deposits = 2;
    return true;
}
