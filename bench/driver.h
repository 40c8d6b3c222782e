/*
 * Shared by the drivers in C. A driver reads one command per line and answers with one line of
 * JSON. This lets bench/run.py alternate between drivers, so that changes in the machine's speed
 * affect all of them equally.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdio.h>
#include <time.h>

static inline double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Prints the times as the member "ns". The caller prints the rest of the object. */
static inline void print_times(const double *ns, int count)
{
    printf("\"ns\": [");
    for (int i = 0; i < count; i++)
        printf("%s%.1f", i ? ", " : "", ns[i]);
    printf("]");
}

enum { MAX_REPETITIONS = 100 };

#endif
