/* The reference for memory bandwidth. */
#ifndef BENCH_TRIAD_H
#define BENCH_TRIAD_H

#include <stddef.h>

/* a[i] = b[i] + s * c[i] on `threads` OpenMP threads. Reads 8 bytes and writes 4 per element. */
void triad(float *a, const float *b, const float *c, float s, size_t count, int threads);

#endif
