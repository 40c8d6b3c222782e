/* exp, log, pow and others for formulas. They are inline and without branches, so that the compiler
   can vectorize the loops that call them, and use correctly rounded operations only, so that they
   give the same bits on every machine and at every vector width. core/kernel/make_polynomials.py
   computes the coefficients. tests/unit/core/test_vector_math.c measures the errors. */
#ifndef CORE_KERNEL_VECTOR_MATH_H
#define CORE_KERNEL_VECTOR_MATH_H

#include "inline.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* log 2 in two parts. The first has few enough bits that its product with an exponent is exact. */
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW  0x1.a39ef35793c76p-33

/* Adding this to a number below 2^51 in magnitude leaves the nearest integer in the low bits. */
#define TO_INTEGER 0x1.8p52

static ALWAYS_INLINE uint64_t bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static ALWAYS_INLINE double double_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Returns 2^n for an integer n in [-1022, 1023]. */
static ALWAYS_INLINE double power_of_two(double n)
{
    return double_of_bits(bits_of_double(n + (TO_INTEGER + 1023)) << 52);
}

/* Returns (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. */
static ALWAYS_INLINE double exp_tail(double r)
{
    static const double c[] = {0.5000000000000001,     0.16666666666666669,
                               0.041666666666624164,   0.008333333333330065,
                               0.0013888888917196881,  0.0001984126986304067,
                               2.4801521322116825e-05, 2.7557268480116333e-06,
                               2.762007599981065e-07,  2.5100375924709717e-08};
    const double r2 = r * r, r4 = r2 * r2;
    const double low = (c[0] + c[1] * r) + (c[2] + c[3] * r) * r2,
                 middle = (c[4] + c[5] * r) + (c[6] + c[7] * r) * r2;
    return low + (middle + (c[8] + c[9] * r) * r4) * r4;
}

/* Returns exp(x) = 2^n exp(r), r = x - n log 2. 2^n is multiplied in as two factors, so that
   subnormal and infinite results are rounded once, by the last multiplication. */
static ALWAYS_INLINE double vexp(double x)
{
    const double below = x > 710 ? 710 : x, in_range = below < -746 ? -746 : below;
    const double n = (in_range * 0x1.71547652b82fep0 + TO_INTEGER) - TO_INTEGER;
    const double half = (n * 0.5 + TO_INTEGER) - TO_INTEGER;
    const double r = (in_range - n * LN2_HIGH) - n * LN2_LOW;
    return (1 + (r + r * r * exp_tail(r))) * power_of_two(half) * power_of_two(n - half);
}

/* Returns exp(x) for x <= 0, in fewer steps; 0 below -708, where exp(x) < 1e-307. */
static ALWAYS_INLINE double vexp_negative(double x)
{
    const double in_range = x < -708 ? -708 : x;
    const double n = (in_range * 0x1.71547652b82fep0 + TO_INTEGER) - TO_INTEGER;
    const double r = (in_range - n * LN2_HIGH) - n * LN2_LOW;
    return x < -708 ? 0 : (1 + (r + r * r * exp_tail(r))) * power_of_two(n);
}

/* Returns exp(x) - 1 for x <= 0: 2^n (exp(r) - 1) + (2^n - 1), where nothing cancels. */
static ALWAYS_INLINE double vexpm1_negative(double x)
{
    const double in_range = x < -708 ? -708 : x;
    const double n = (in_range * 0x1.71547652b82fep0 + TO_INTEGER) - TO_INTEGER;
    const double r = (in_range - n * LN2_HIGH) - n * LN2_LOW, scale = power_of_two(n);
    return scale * (r + r * r * exp_tail(r)) + (scale - 1);
}

/* Returns exp(x) - 1 for any x, within 2.5 ulp. 2^(n - 1) does not overflow. */
static ALWAYS_INLINE double vexpm1(double x)
{
    const double below = x > 710 ? 710 : x, in_range = below < -708 ? -708 : below;
    const double n = (in_range * 0x1.71547652b82fep0 + TO_INTEGER) - TO_INTEGER;
    const double r = (in_range - n * LN2_HIGH) - n * LN2_LOW, half = power_of_two(n - 1);
    return 2 * (half * (r + r * r * exp_tail(r)) + (half - 0.5));
}

/* Returns log(u + rest) for normal finite u > 0 and a rounding error `rest` of u. With u = 2^k m, m
   in [sqrt(1/2), sqrt(2)), f = m - 1 and s = f / (2 + f): log m = 2 atanh(s) = f - (f^2 / 2 - s
   (f^2 / 2 + s^2 tail)). rest / u is small enough to be computed as rest 2^-k (1 - f + f^2). */
static ALWAYS_INLINE double vlog_of_sum(double u, double rest)
{
    static const double c[] = {0.666666666666667,   0.39999999999899505, 0.2857142862597575,
                               0.22222211134751835, 0.18182889128412458, 0.15331721495826012,
                               0.1461645097955211};
    const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd), one = UINT64_C(0x3ff0000000000000);
    const uint64_t shifted = bits_of_double(u) + (one - root_half);
    const double k = double_of_bits(shifted >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    const double f = double_of_bits((shifted & UINT64_C(0xfffffffffffff)) + root_half) - 1;
    const double s = f / (2 + f), z = s * s, w = z * z, square = 0.5 * f * f;
    const double tail =
        (c[0] + c[1] * z) + w * ((c[2] + c[3] * z) + w * ((c[4] + c[5] * z) + w * c[6]));
    const double missing = rest * power_of_two(k > 1000 ? -1000 : -k) *
                           (1 - f * (1 - f)); /* for large k it is negligible */
    return k * LN2_HIGH - ((square - (s * (square + z * tail) + (k * LN2_LOW + missing))) - f);
}

/* Returns log(1 + x) = 2 atanh(s) for x in [0, 1] or NaN, from s = x / (2 + x) <= 1/3. */
static ALWAYS_INLINE double vlog1p_of_ratio(double s)
{
    static const double c[] = {0.6666666666666666,  0.40000000000014585, 0.2857142856710872,
                               0.22222222717431428, 0.18181789435953558, 0.15385570069992427,
                               0.13314144127093303, 0.12001073595060778, 0.08800734473072677,
                               0.16164054123764937};
    const double z = s * s, z2 = z * z, z4 = z2 * z2;
    const double low = (c[0] + c[1] * z) + (c[2] + c[3] * z) * z2,
                 middle = (c[4] + c[5] * z) + (c[6] + c[7] * z) * z2;
    return 2 * s + s * z * (low + (middle + (c[8] + c[9] * z) * z4) * z4);
}

/* Returns log(1 + x) for x in [0, 1] or NaN. */
static ALWAYS_INLINE double vlog1p_fraction(double x)
{
    return vlog1p_of_ratio(x / (2 + x));
}

/* Returns log(x + rest) for a rounding error `rest` of a normal x: NaN below 0, -inf at 0. */
static ALWAYS_INLINE double vlog_with_rest(double x, double rest)
{
    const int tiny = x < 0x1p-1022; /* subnormal, or out of the domain */
    const double normal =
        vlog_of_sum(tiny ? x * 0x1p54 : x, rest) - (tiny ? 54 * (LN2_HIGH + LN2_LOW) : 0);
    return x > 0 ? x == (double)INFINITY ? x : normal : x == 0 ? -(double)INFINITY : (double)NAN;
}

/* Returns log(x): NaN below 0, -inf at 0. */
static ALWAYS_INLINE double vlog(double x)
{
    return vlog_with_rest(x, 0);
}

/* Returns x^y for finite y, 1 if y is 0, and NaN if x is negative. The relative error is below
   3 |y log x| 2^-53, and below 2^-42 for results that are normal numbers. */
static ALWAYS_INLINE double vpow(double x, double y)
{
    return y == 0 ? 1 : vexp(y * vlog(x));
}

/* Returns log(1 + x): NaN below -1, -inf at -1. */
static ALWAYS_INLINE double vlog1p(double x)
{
    const double u = 1 + x, rest = x < 1 ? x - (u - 1) : 1 - (u - x);
    return x > -1    ? x == (double)INFINITY ? x : vlog_of_sum(u, rest)
              : x == -1 ? -(double)INFINITY
                     : (double)NAN;
}

/* ---- float32 arithmetic ---- */

/* The functions below process twice as many numbers per vector. They are for results that are
   rounded to float32. Logarithms are doubles with more digits than float32 has, because they are
   summed. */

static ALWAYS_INLINE uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static ALWAYS_INLINE float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Returns exp(r) - 1 for a reduced argument. */
static ALWAYS_INLINE float expm1_reduced_f32(float r)
{
    static const float c[] = {0.5F, 0.16666577025255677F, 0.04166655466162291F,
                              0.00836317313152351F, 0.0013926176191150312F};
    const float r2 = r * r;
    return r + r2 * ((c[0] + c[1] * r) + r2 * ((c[2] + c[3] * r) + r2 * c[4]));
}

/* Adding this to a float below 2^22 in magnitude leaves the nearest integer in the low bits. */
#define TO_INTEGER_F32 0x1.8p23F

/* Returns 2^(n + offset), n being in the low bits of `shifted`. */
static ALWAYS_INLINE float power_of_two_f32(float shifted, int32_t offset)
{
    return float_of_bits((bits_of_float(shifted) << 23) + ((uint32_t)(127 + offset) << 23));
}

/* The functions below return exp(x) * VEXP_F32_ONE. All results but 0 are then normal, so that they
   keep their digits if they are multiplied by a large weight. */
#define VEXP_F32_ONE 0x1p64F

/* The functions return 0 instead of exp of a number below this. */
#define VEXP_F32_MIN (-127.0F)

/* A float with the rounding error of the last addition. */
struct float_pair {
    float value, lost;
};

/* Returns exp(x + lost) * VEXP_F32_ONE for x <= 0 or NaN and a rounding error `lost` of x, within
   1.1 ulp of float32, or within 0.6 ulp as a pair. */
static ALWAYS_INLINE struct float_pair vexp_negative_f32(float x, float lost)
{
    const float shifted = x * 0x1.715476p0F + TO_INTEGER_F32, n = shifted - TO_INTEGER_F32;
    const float t = expm1_reduced_f32((x - n * 0x1.62e4p-1F) - (n * 0x1.7f7d1cp-20F - lost));
    const float value = 1 + t, scale = power_of_two_f32(shifted, 64);
    return (struct float_pair){x < VEXP_F32_MIN ? 0 : value * scale,
                               x < VEXP_F32_MIN ? 0 : (t - (value - 1)) * scale};
}

/* Returns exp(x - top) * VEXP_F32_ONE for x <= top or NaN, within 1.2 ulp, or within 0.7 ulp as a
   pair. The rounding error of the difference (Knuth's two-sum) is included, because exp amplifies
   it. */
static ALWAYS_INLINE struct float_pair vexp_difference_f32(float x, float top)
{
    const float d = x - top, back = d - x, lost = (x - (d - back)) - (top + back);
    return vexp_negative_f32(d, lost);
}

/* Returns log(1 + f) + rest for f in [sqrt(1/2) - 1, sqrt(2) - 1] or NaN, like
   vlog_of_sum(). Within 0.4 ulp of float32, because all terms but the first are small. */
static ALWAYS_INLINE double log_near_one(float f, float rest)
{
    static const float c[] = {0.6666668503962907F, 0.3998878054424254F, 0.2957995038046509F};
    const float s = f / (2 + f), z = s * s, square = 0.5F * f * f;
    return (double)f +
           (double)((s * (square + z * (c[0] + z * (c[1] + z * c[2]))) - square) + rest);
}

/* Returns log(u) + rest for finite u > 0. `rest` is a rounding error divided by u, or a number that
   replaces the logarithm because it is far larger. For u = 0, log(u) is finite. */
static ALWAYS_INLINE double vlog_f32(float u, float rest)
{
    const uint32_t root_half = UINT32_C(0x3f3504f3), one = UINT32_C(0x3f800000);
    const bool tiny = u < 0x1p-126F; /* subnormal */
    const uint32_t shifted = bits_of_float(tiny ? u * 0x1p24F : u) + (one - root_half);
    const int32_t k = (int32_t)(shifted >> 23) - (tiny ? 127 + 24 : 127);
    return k * (LN2_HIGH + LN2_LOW) +
           log_near_one(float_of_bits((shifted & UINT32_C(0x7fffff)) + root_half) - 1, rest);
}

/* Returns log(1 + x) for x in [0, 2^100] or NaN, within 0.6 ulp of float32: log(u) + r - r^2 / 2
   with u = 1 + x rounded to float32 and its rounding error r u. */
static ALWAYS_INLINE double vlog1p_f32(double x)
{
    const float u = (float)(1 + x);
    const double r = (x - ((double)u - 1)) * (1 / u);
    return vlog_f32(u, 0) + (r - r * r * 0.5);
}

/* Returns log(1 + x) - x for x in [0, 1] or NaN. With x added, it is within 1.1 ulp of float32. See
   log_near_one(). */
static ALWAYS_INLINE float vlog1p_minus_x_f32(float x)
{
    static const float c[] = {0.6666666732053069F, 0.39999706330736823F, 0.28592358059153733F,
                              0.21706574706099646F, 0.2322433487489813F};
    const float s = x / (2 + x), z = s * s, z2 = z * z, square = 0.5F * x * x;
    const float tail = z * ((c[0] + c[1] * z) + z2 * ((c[2] + c[3] * z) + z2 * c[4]));
    return s * (square + tail) - square;
}

/* Returns 1 / x from `guess`, 1 / x in float32: one Newton step doubles the digits, and is faster
   than a division in double. */
static ALWAYS_INLINE double refined_reciprocal(double x, float guess)
{
    return guess * (2 - x * guess);
}

/* softplus(-a) = log(1 + exp(-a)) and sigmoid(-a) = 1 / (1 + exp(a)). */
struct softplus {
    double value, sigmoid;
};

/* Returns softplus(-a) and sigmoid(-a) for a float a >= 0 or NaN. Both are off by at most 1 ulp of
   float32 before they are rounded. */
static ALWAYS_INLINE struct softplus vsoftplus_f32(float a)
{
    const struct float_pair scaled = vexp_negative_f32(-a, 0);
    const float unit = 1 / VEXP_F32_ONE, e = scaled.value * unit, guess = 1 / (1 + e);
    const double exact = ((double)scaled.value + scaled.lost) * unit; /* e with more digits */
    const float tail = vlog1p_minus_x_f32(e) - scaled.lost * unit * (e * guess);
    return (struct softplus){exact + tail, exact * refined_reciprocal(1 + exact, guess)};
}

#endif
