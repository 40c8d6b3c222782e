/*
 * A histogram of durations of constant size, with a relative error below 1 %. The minimum and the
 * maximum are exact.
 */
#ifndef LOSSCTL_BENCH_HISTOGRAM_H
#define LOSSCTL_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Each power of two has 2^HISTOGRAM_BITS buckets, so a bucket is at most 1/128 as wide as the
   durations in it. Durations of 2^44 nanoseconds (five hours) or more are in the last bucket. */
enum { HISTOGRAM_BITS = 7, HISTOGRAM_BUCKETS = (44 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

struct histogram {
    uint64_t count;
    uint64_t min, max; /* nanoseconds; 0 while the histogram is empty */
    double sum;        /* nanoseconds */
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

/* Adds a duration in nanoseconds. Counts a negative one as 0. */
void histogram_add(struct histogram *histogram, double ns);
/* Returns the duration in milliseconds that a fraction (0 to 1) of all durations does not exceed;
   0 if the histogram is empty. */
double histogram_percentile(const struct histogram *histogram, double fraction);
/* Returns the mean in milliseconds; 0 if the histogram is empty. */
double histogram_mean(const struct histogram *histogram);

/* Returns the longest duration of a bucket, in milliseconds. */
double histogram_bucket_max(size_t bucket);

#endif
