/* Stores that bypass the caches, for large gradients (loss_block.streams). A usual store reads the
   line that it writes to first; beyond the caches that takes as long as the store itself. Other
   threads see the numbers after stream_end(), which the engine calls at the end of each block. */
#ifndef CORE_KERNEL_STREAM_H
#define CORE_KERNEL_STREAM_H

#include "kernel/wide_vector.h"

#include <stdint.h>

enum { STREAM_FLOATS = 4, STREAM_ALIGNMENT = STREAM_FLOATS * sizeof(float) };

/* Rounds SUM_WIDTH doubles to floats and writes them to `to`, which is aligned. */
static ALWAYS_INLINE void stream_floats(float *to, sum_vector x)
{
#if defined __AVX512F__
    const __m256 floats = _mm512_cvtpd_ps(x);
    _mm_stream_ps(to, _mm256_castps256_ps128(floats));
    _mm_stream_ps(to + STREAM_FLOATS, _mm256_extractf128_ps(floats, 1));
#elif defined __AVX__
    _mm_stream_ps(to, _mm256_cvtpd_ps(x));
#else
    write_floats(to, x);
#endif
}

#if defined __SSE2__

/* Writes zeros to aligned vectors [first, end). */
static inline void stream_zeros(float *x, size_t first, size_t end)
{
    for (size_t i = first; i < end; i += STREAM_FLOATS)
        _mm_stream_ps(x + i, _mm_setzero_ps());
}
#endif

/* Writes `value` to x[at] and 0 to the other elements of x[0, n); at = n: only zeros. Writes each
   line once: a usual store to a line that is being streamed would have to wait. */
static inline void stream_one_hot(float *x, size_t n, size_t at, float value)
{
    size_t i = 0;
#if defined __SSE2__
    for (; i < n && (uintptr_t)(x + i) % STREAM_ALIGNMENT != 0; i++)
        x[i] = i == at ? value : 0;
    const size_t end = n - (n - i) % STREAM_FLOATS;
    size_t hot = at < i || at >= end ? end : at - (at - i) % STREAM_FLOATS;
    stream_zeros(x, i, hot);
    if (hot < end) {
        float vector[STREAM_FLOATS] = {0};
        vector[at - hot] = value;
        _mm_stream_ps(x + hot, _mm_loadu_ps(vector));
        hot += STREAM_FLOATS;
    }
    stream_zeros(x, hot, end);
    i = end;
#endif
    for (; i < n; i++)
        x[i] = i == at ? value : 0;
}

static inline void stream_end(void)
{
#if defined __SSE2__
    _mm_sfence();
#endif
}

#endif
