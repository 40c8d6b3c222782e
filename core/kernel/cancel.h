/* Giving up: whatever takes longer than a few milliseconds looks from time to time whether the
 * caller still wants it. */
#ifndef CORE_KERNEL_CANCEL_H
#define CORE_KERNEL_CANCEL_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

/* Returns true if the caller of a run gives it up. Also shows that the run progresses; as a rule
   that only reads, since all threads do so. */
static inline bool cancel_asked(const struct loss_control *cancel)
{
    if (cancel->asked && __atomic_load_n(cancel->asked, __ATOMIC_RELAXED))
        __atomic_store_n(cancel->asked, false, __ATOMIC_RELAXED);
    return cancel->cancel && __atomic_load_n(cancel->cancel, __ATOMIC_RELAXED);
}

/* Elements between two looks at the flag: the dearest formulas take 2 ms for them. */
enum { STRETCH = 1 << 14 };

/*
 * Part of a long row, from `first` to before `end`. Loops over rows that may be long are written as
 *
 *     for (struct stretch s = {0}; stretch_next(&s, n, cancel);)
 *         for (size_t c = s.first; c < s.end; c++)
 *
 * and end early if the flag is set: what they leave behind is not looked at then.
 */
struct stretch {
    size_t first, end;
};

static inline bool stretch_next(struct stretch *stretch, size_t n,
                                const struct loss_control *cancel)
{
    stretch->first = stretch->end;
    if (stretch->first >= n || (stretch->first > 0 && cancel_asked(cancel)))
        return false;
    stretch->end = n - stretch->first < STRETCH ? n : stretch->first + STRETCH;
    return true;
}

static inline size_t stretch_len(const struct stretch *stretch)
{
    return stretch->end - stretch->first;
}

#endif
