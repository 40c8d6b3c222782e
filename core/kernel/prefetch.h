/* Prefetching of what a loop reads and writes later. The hardware prefetcher stops at the end of a
   page, so that each page of each array would begin with a cache miss. A prefetch past the end of
   an array has no effect. */
#ifndef CORE_KERNEL_PREFETCH_H
#define CORE_KERNEL_PREFETCH_H

#include "inline.h"

#include <stddef.h>
#include <stdint.h>

/* How many floats a loop prefetches ahead, a page, and how many a prefetch brings, a cache line. */
enum { PREFETCH_DISTANCE = 1024, PREFETCH_LINE = 16 };

/* The address is computed as an integer, because it may be outside the array. */
static ALWAYS_INLINE void prefetch_read(const float *x, size_t i)
{
    __builtin_prefetch((const void *)((uintptr_t)x + i * sizeof *x));
}

static ALWAYS_INLINE void prefetch_write(const float *x, size_t i)
{
    __builtin_prefetch((const void *)((uintptr_t)x + i * sizeof *x), 1);
}

#endif
