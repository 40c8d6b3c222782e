/*
 * The monotonic clock, for durations and deadlines.
 */
#ifndef SERVER_UTIL_CLOCK_H
#define SERVER_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Returns the milliseconds since a fixed time in the past. Never decreases. */
static inline int64_t clock_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock on Linux */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns the same time in nanoseconds. */
static inline int64_t clock_ns(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
