/*
 * What the drivers in C share: a driver is a program that reads one command a line and answers each
 * with one line of JSON, so that bench/run.py can ask several in turn and no measurement has the
 * machine's good or bad minute for itself.
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

/* Prints the times as the member "ns" of an object whose opening brace and other members the caller
 * prints. */
static inline void print_times(const double *ns, int count)
{
    printf("\"ns\": [");
    for (int i = 0; i < count; i++)
        printf("%s%.1f", i ? ", " : "", ns[i]);
    printf("]");
}

enum { MAX_REPETITIONS = 100 };

#endif
