/* Errors of computed numbers. */
#ifndef TESTS_ULPS_H
#define TESTS_ULPS_H

#include <math.h>

/* Returns the error of `value` in units of the last place of the double nearest to `exact`. */
static inline double ulps(double value, long double exact)
{
    const double rounded = (double)exact;
    int exponent;
    if (isnan(rounded) || isinf(rounded) || rounded == 0)
        return value == rounded || (isnan(rounded) && isnan(value)) ? 0 : (double)INFINITY;
    frexp(rounded, &exponent);
    return (double)(fabsl(value - exact) / ldexpl(1, (exponent < -1021 ? -1021 : exponent) - 53));
}

#endif
