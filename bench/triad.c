/* The reference for the memory bandwidth, in a separate file because it is compiled for this CPU.
 */
#include "triad.h"

void triad(float *restrict a, const float *restrict b, const float *restrict c, float s,
           size_t count, int threads)
{
#pragma omp parallel for simd schedule(static) num_threads(threads)
    for (size_t i = 0; i < count; i++)
        a[i] = b[i] + s * c[i];
}
