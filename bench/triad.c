/* The reference for the memory bandwidth, in a separate file because it is compiled for this CPU.
 */
#include "triad.h"

static void part(float *restrict a, const float *restrict b, const float *restrict c, float s,
                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] + s * c[i];
}

void triad(float *restrict a, const float *restrict b, const float *restrict c, float s,
           size_t count, int threads)
{
    if (threads == 1) {
        part(a, b, c, s, count);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int k = 0; k < threads; k++) {
        const size_t begin = count * (size_t)k / (size_t)threads;
        const size_t end = count * ((size_t)k + 1) / (size_t)threads;
        part(a + begin, b + begin, c + begin, s, end - begin);
    }
}
