/* Streaming stores for large results. A normal store first reads its cache line from memory, and
   evicts other data. For data too large for the cache, bypassing it saves a quarter to a third of
   the memory traffic. */
#ifndef CORE_ENGINE_NONTEMPORAL_H
#define CORE_ENGINE_NONTEMPORAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

enum { CACHE_LINE = 64 };

/* Copies n numbers. Other threads may read them after stream_end(). */
static inline void stream_out(float *to, const float *from, size_t n)
{
#ifdef __SSE2__
    enum { LANES = 4, LINE = CACHE_LINE / sizeof(float) };
    size_t i = -(uintptr_t)to / sizeof(float) % LINE;
    i = i < n ? i : n;
    memcpy(to, from, i * sizeof *to);
    for (; i + LINE <= n; i += LINE)
        for (size_t k = 0; k < LINE; k += LANES)
            _mm_stream_ps(to + i + k, _mm_loadu_ps(from + i + k));
    memcpy(to + i, from + i, (n - i) * sizeof *to);
#else
    memcpy(to, from, n * sizeof *to);
#endif
}

static inline void stream_end(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}

#endif
