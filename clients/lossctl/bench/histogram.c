#include "bench/histogram.h"

enum { SUB = 1 << HISTOGRAM_BITS };

/* Returns the bucket of a duration in nanoseconds. Each one below SUB has its own; those from 2^44
   on share the last. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < SUB)
        return (size_t)ns;
    const int shift = 63 - __builtin_clzll(ns) - HISTOGRAM_BITS;
    const size_t bucket = (size_t)(shift << HISTOGRAM_BITS) + (size_t)(ns >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

double histogram_bucket_max(size_t bucket)
{
    if (bucket < SUB)
        return (double)bucket / 1e6;
    const size_t shift = bucket / SUB - 1, mantissa = bucket - shift * SUB;
    return (double)(((uint64_t)(mantissa + 1) << shift) - 1) / 1e6;
}

void histogram_add(struct histogram *h, double duration)
{
    const uint64_t ns = duration > 0 ? (uint64_t)duration : 0;
    h->min = h->count == 0 || ns < h->min ? ns : h->min;
    h->max = ns > h->max ? ns : h->max;
    h->count++;
    h->sum += (double)ns;
    h->bucket[bucket_of(ns)]++;
}

double histogram_percentile(const struct histogram *h, double fraction)
{
    const double wanted = fraction * (double)h->count;
    uint64_t seen = 0;
    if (h->count == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (h->bucket[i] > 0 && (double)seen >= wanted) {
            const double bound = histogram_bucket_max(i), max = (double)h->max / 1e6;
            return bound < max ? bound : max;
        }
    }
    return (double)h->max / 1e6;
}

double histogram_mean(const struct histogram *h)
{
    return h->count > 0 ? h->sum / (double)h->count / 1e6 : 0;
}
