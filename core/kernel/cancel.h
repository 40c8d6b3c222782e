/* Cancellation: every loop that may take longer than a few milliseconds checks regularly whether
 * its caller has cancelled the run. */
#ifndef CORE_KERNEL_CANCEL_H
#define CORE_KERNEL_CANCEL_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

/* Returns true if the run is cancelled. Also reports progress (loss_control.heartbeat): all threads
   call this, so it writes only if the flag is set. */
static inline bool cancel_requested(const struct loss_control *cancel)
{
    if (cancel->heartbeat && __atomic_load_n(cancel->heartbeat, __ATOMIC_RELAXED))
        __atomic_store_n(cancel->heartbeat, false, __ATOMIC_RELAXED);
    return cancel->cancel && __atomic_load_n(cancel->cancel, __ATOMIC_RELAXED);
}

/* Elements between two checks: at most 2 ms for the most expensive formulas. */
enum { SLICE_ELEMENTS = 1 << 14 };

/*
 * A slice [first, end) of a long row. Loops over rows that may be long are written as
 *
 *     for (struct slice s = {0}; slice_next(&s, n, cancel);)
 *         for (size_t c = s.first; c < s.end; c++)
 *
 * They end early if the run is cancelled; its results are then not read.
 */
struct slice {
    size_t first, end;
};

static inline bool slice_next(struct slice *slice, size_t n, const struct loss_control *cancel)
{
    slice->first = slice->end;
    if (slice->first >= n || (slice->first > 0 && cancel_requested(cancel)))
        return false;
    slice->end = n - slice->first < SLICE_ELEMENTS ? n : slice->first + SLICE_ELEMENTS;
    return true;
}

static inline size_t slice_len(const struct slice *slice)
{
    return slice->end - slice->first;
}

#endif
