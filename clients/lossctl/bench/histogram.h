/*
 * How often each duration was seen, to within a hundredth of it, in room that does not grow; the
 * shortest and the longest are exact.
 */
#ifndef LOSSCTL_BENCH_HISTOGRAM_H
#define LOSSCTL_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* A duration of k bits falls into one of 2^HISTOGRAM_BITS buckets of its own power of two: none is
   wider than 1/128 of what is in it. 2^44 nanoseconds are five hours. */
enum { HISTOGRAM_BITS = 7, HISTOGRAM_BUCKETS = (44 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
    uint64_t count, min, max; /* nanoseconds; min and max are 0 while there is none */
    double sum;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, double ns);
/* Milliseconds that so large a share (0 to 1) of all durations does not exceed; 0 while there is
 * none. */
double histogram_percentile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);

/* The longest duration of a bucket, in milliseconds. */
double histogram_edge(size_t bucket);

#endif
