/*
 * vexp, vlog, vlog1p, vpow and their variants against libm's functions: the worst error in ulps
 * over numbers of every magnitude, and special values.
 */
#include "kernel/vector_math.h"
#include "suites.h"
#include "support/ulps.h"

/* Tests every 4001st float32, and a double near it. Returns the worst error in ulps, and sets
   `where` to its argument. */
static double worst(double (*ours)(double), long double (*exact)(long double), double *where)
{
    double max = 0;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 4001) {
        const uint32_t bits = (uint32_t)i;
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        const double at[] = {(double)narrow, (double)narrow * (1 + 0x1.2345678p-24)};
        for (int k = 0; k < 2; k++) {
            const double error = ulps(ours(at[k]), exact((long double)at[k]));
            if (!(error <= max)) {
                max = error;
                *where = at[k];
            }
        }
    }
    return max;
}

static double ours_exp(double x)
{
    return vexp(x);
}

static double ours_expm1(double x)
{
    return vexpm1(x);
}

static double ours_log(double x)
{
    return vlog(x);
}

static double ours_log1p(double x)
{
    return vlog1p(x);
}

START_TEST(errors_stay_near_half_an_ulp)
{
    double where = 0, error = worst(ours_exp, expl, &where);
    ck_assert_msg(error <= 1.1, "exp(%a) is wrong by %g ulps", where, error);
    error = worst(ours_expm1, expm1l, &where);
    ck_assert_msg(error <= 2.5, "expm1(%a) is wrong by %g ulps", where, error);
    error = worst(ours_log, logl, &where);
    ck_assert_msg(error <= 0.8, "log(%a) is wrong by %g ulps", where, error);
    error = worst(ours_log1p, log1pl, &where);
    ck_assert_msg(error <= 0.95, "log1p(%a) is wrong by %g ulps", where, error);
}
END_TEST

/* Like ulps(), for float32. Only for results that are normal in float32. */
static double ulps_f32(double value, long double exact)
{
    int exponent;
    frexpf((float)exact, &exponent);
    return isnan(value) ? (double)INFINITY
                        : (double)(fabsl((long double)value - exact) / ldexpl(1, exponent - 24));
}

static double exp_f32(float x)
{
    return (double)vexp_negative_f32(x, 0).value / VEXP_F32_ONE;
}

static double exp_difference_f32(float x, float top)
{
    return (double)vexp_difference_f32(x, top).value / VEXP_F32_ONE;
}

START_TEST(float32_functions_stay_near_one_ulp)
{
    double of_negative = 0, of_difference = 0, of_log = 0, of_log_above = 0, of_log1p = 0;
    for (uint64_t i = 0; i < 2000000; i++) {
        const float part = (float)i / 2000000, x = -87 * part * part; /* more of them near 0 */
        const float top = (float)(i % 1000) * 0.173F, below = top + x;
        const float tiny = ldexpf(1 - part / 2, -(int)(i % 140) - 1), complement = 1 - tiny;
        const float rest = ((1 - complement) - tiny) * (2 - complement);
        of_negative = fmax(of_negative, ulps_f32(exp_f32(x), expl((long double)x)));
        if (below - top >= -87)
            of_difference =
                fmax(of_difference, ulps_f32(exp_difference_f32(below, top),
                                             expl((long double)below - (long double)top)));
        of_log = fmax(of_log, ulps_f32(vlog_f32(tiny, 0), logl((long double)tiny)));
        of_log_above =
            fmax(of_log_above, ulps_f32(vlog_f32(complement, rest), log1pl(-(long double)tiny)));
        of_log1p = fmax(
            of_log1p, ulps_f32(part + (double)vlog1p_minus_x_f32(part), log1pl((long double)part)));
    }
    ck_assert_msg(of_negative <= 1.1, "exp of x <= 0 is wrong by %g ulps", of_negative);
    ck_assert_msg(of_difference <= 1.2, "exp of a difference is wrong by %g ulps", of_difference);
    ck_assert_msg(of_log <= 0.4, "log is wrong by %g ulps", of_log);
    ck_assert_msg(of_log_above <= 0.8, "log(1 - x) is wrong by %g ulps", of_log_above);
    ck_assert_msg(of_log1p <= 1.1, "log1p is wrong by %g ulps", of_log1p);
    ck_assert(exp_f32(0) == 1 && exp_difference_f32(3, 3) == 1);
    ck_assert(vlog_f32(1, 0) == 0 && vlog1p_minus_x_f32(0) == 0);
}
END_TEST

START_TEST(float32_log1p_is_relative_to_its_result)
{
    double error = 0;
    for (uint64_t i = 0; i < 2000000; i++) {
        const double x = ldexp(1 + (double)(i % 9973) / 9973, (int)(i % 120) - 100);
        error = fmax(error, ulps_f32(vlog1p_f32(x), log1pl((long double)x)));
    }
    ck_assert_msg(error <= 0.6, "log1p is wrong by %g ulps", error);
    ck_assert(vlog1p_f32(0) == 0 && isnan(vlog1p_f32(NAN)));
}
END_TEST

START_TEST(float32_functions_have_the_special_values_of_libm)
{
    static const float at[] = {0,      -0.0F,   -1,      -INFINITY,  NAN,      -0x1p-149F,
                               -1e30F, -103.5F, -104.5F, -0x1p-126F, -3.4e38F, -87.5F};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        const double ours = exp_f32(at[i]);
        ck_assert_msg(isnan(at[i]) ? isnan(ours) : fabs(ours - exp((double)at[i])) <= 0x1p-24,
                      "exp(%a)", (double)at[i]);
    }
    ck_assert(fabs(vlog_f32(0x1p-149F, 0) - log(0x1p-149)) < 1e-5);
    ck_assert(vexp_difference_f32(-INFINITY, 3).value == 0 &&
              vexp_difference_f32(-1e30F, 1e30F).value == 0);
    ck_assert(isnan(vexp_difference_f32(NAN, 0).value) && isnan(vlog1p_minus_x_f32(NAN)));
    ck_assert(isnan(vexp_difference_f32(INFINITY, INFINITY).value));
}
END_TEST

START_TEST(those_of_part_of_the_line_are_as_good)
{
    for (uint64_t i = 0; i < 200000; i++) {
        const double x = -(double)i * (double)i * 1.7e-8, fraction = (double)i / 200000;
        ck_assert_msg(ulps(vexp_negative(x), expl(x)) <= 1.1, "exp(%a)", x);
        ck_assert_msg(ulps(vlog1p_fraction(fraction), log1pl(fraction)) <= 2, "log1p(%a)",
                      fraction);
    }
    ck_assert_double_eq(vexp_negative(0), 1);
    ck_assert_double_eq(vexp_negative(-INFINITY), 0);
    ck_assert_double_eq(vlog1p_fraction(0), 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_msg(ulps(vexpm1_negative(-ldexp(1 + i * 1e-3, i % 90 - 80)),
                           expm1l(-ldexpl(1 + i * 1e-3, i % 90 - 80))) <= 1.5,
                      "expm1, %d", i);
    ck_assert(ulps(vlog1p_fraction(1), logl(2)) <= 2);
    ck_assert(isnan(vexp_negative(NAN)) && isnan(vlog1p_fraction(NAN)));
}
END_TEST

START_TEST(errors_of_powers_follow_the_logarithm)
{
    static const double exponents[] = {-16, -2.7, -1, -0.9999999, 1e-10, 0.5, 1 / 3.0, 1.5, 2, 16};
    for (size_t k = 0; k < sizeof exponents / sizeof *exponents; k++)
        for (int i = 0; i < 100000; i++) {
            const double near_1 = ldexp(1 + i * 1e-5, i % 4 - 2), y = exponents[k];
            const double at[] = {near_1, ldexp(near_1, i % 2000 - 1000)};
            for (int j = 0; j < 2; j++) {
                const double most = 2 + fabs(y * log(at[j])) * 3;
                ck_assert_msg(ulps(vpow(at[j], y), powl(at[j], y)) <= most, "pow(%a, %g)", at[j],
                              y);
            }
        }
}
END_TEST

START_TEST(special_values_of_powers_are_those_of_libm)
{
    static const double at[] = {0, 1, 0x1p-1074, 0x1.fp1023, INFINITY, NAN},
                        exponents[] = {0, 1, -1, 0.5, -0.5, 1e19, -1e19, 1e300, -1e300, 1e-300};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (size_t k = 0; k < sizeof exponents / sizeof *exponents; k++)
            ck_assert_msg(ulps(vpow(at[i], exponents[k]), powl(at[i], exponents[k])) <= 1100,
                          "pow(%a, %g)", at[i], exponents[k]);
    ck_assert(isnan(vpow(-1, 2)) && isnan(vpow(-(double)INFINITY, -1)));
}
END_TEST

START_TEST(special_values_are_those_of_libm)
{
    static const double at[] = {0.0,       -0.0,   1,         -1,        -1.5,    INFINITY,
                                -INFINITY, NAN,    0x1p-1074, 0x1p-1022, 709.782, 709.79,
                                -745.13,   -745.2, -800,      1e308,     1.7e308, 1.5 * 0x1p1023};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        ck_assert_msg(ulps(vexp(at[i]), expl(at[i])) <= 1.1, "exp(%a)", at[i]);
        ck_assert_msg(ulps(vexpm1(at[i]), expm1l(at[i])) <= 1.1, "expm1(%a)", at[i]);
        ck_assert_msg(ulps(vlog(at[i]), logl(at[i])) <= 1, "log(%a)", at[i]);
        ck_assert_msg(ulps(vlog1p(at[i]), log1pl(at[i])) <= 1, "log1p(%a)", at[i]);
    }
}
END_TEST

Suite *vector_math_suite(void)
{
    Suite *suite = suite_create("vector_math");
    TCase *tcase = tcase_create("vector_math");
    tcase_set_timeout(tcase, 120);
    CASE_ADD(tcase, errors_stay_near_half_an_ulp, float32_functions_stay_near_one_ulp,
             float32_log1p_is_relative_to_its_result,
             float32_functions_have_the_special_values_of_libm,
             those_of_part_of_the_line_are_as_good, errors_of_powers_follow_the_logarithm,
             special_values_of_powers_are_those_of_libm, special_values_are_those_of_libm);
    suite_add_tcase(suite, tcase);
    return suite;
}
