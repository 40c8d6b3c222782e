/* Reads and writes vectors of doubles, from and to doubles or floats. The conversions of floats use
   instructions that GCC 12 does not choose by itself. */
#ifndef CORE_KERNEL_WIDE_VECTOR_H
#define CORE_KERNEL_WIDE_VECTOR_H

#include "inline.h"
#include "kernel/compensated_sum.h"

#if defined __SSE2__
#include <immintrin.h>
#endif

static ALWAYS_INLINE sum_vector read_doubles(const double *x)
{
    sum_vector vector;
    memcpy(&vector, x, sizeof vector);
    return vector;
}

static ALWAYS_INLINE void write_doubles(double *to, sum_vector x)
{
    memcpy(to, &x, sizeof x);
}

/* Returns SUM_WIDTH floats as doubles. */
static ALWAYS_INLINE sum_vector read_floats(const float *x)
{
#if defined __AVX512F__
    return _mm512_cvtps_pd(_mm256_loadu_ps(x));
#elif defined __AVX__
    return _mm256_cvtps_pd(_mm_loadu_ps(x));
#else
    return (sum_vector){(double)x[0], (double)x[1]};
#endif
}

/* Rounds SUM_WIDTH doubles to floats. */
static ALWAYS_INLINE void write_floats(float *to, sum_vector x)
{
#if defined __AVX512F__
    _mm256_storeu_ps(to, _mm512_cvtpd_ps(x));
#elif defined __AVX__
    _mm_storeu_ps(to, _mm256_cvtpd_ps(x));
#else
    to[0] = (float)x[0];
    to[1] = (float)x[1];
#endif
}

#endif
