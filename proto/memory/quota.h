/*
 * What a request may take: memory, and time. What grows with a request (bodies, operands, scratch,
 * answers) is asked for before it is allocated, and long work is given up once nobody waits for it;
 * who is asked, and what the answer depends on, is not known here.
 */
#ifndef PROTO_MEMORY_QUOTA_H
#define PROTO_MEMORY_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

struct allowance {
    bool (*take)(struct allowance *allowance,
                 size_t bytes); /* so many bytes more; false if they may not be had now */
    void (*give)(struct allowance *allowance,
                 size_t bytes); /* so many of those that were taken are needed no more */
    const bool *cancel; /* another thread stores true there, atomically, when the answer is not
                           wanted any more; NULL: never */
    bool *asked; /* another thread stores true there, atomically, to see it become false if work
                    progresses; may be NULL */
};

/* Asks for memory, and gives it back; where there is no allowance, it is there. */
static inline bool allowance_take(struct allowance *allowance, size_t bytes)
{
    return !allowance || allowance->take(allowance, bytes);
}

/* Whether work is to be given up. To be called often: it shows that work progresses, too. */
static inline bool allowance_cancelled(const struct allowance *allowance)
{
    if (allowance && allowance->asked && __atomic_load_n(allowance->asked, __ATOMIC_RELAXED))
        __atomic_store_n(allowance->asked, false, __ATOMIC_RELAXED);
    return allowance && allowance->cancel && __atomic_load_n(allowance->cancel, __ATOMIC_RELAXED);
}

/* The same for an evaluation by the library. */
static inline struct loss_control allowance_control(const struct allowance *allowance)
{
    return allowance ? (struct loss_control){.cancel = allowance->cancel, .asked = allowance->asked}
                     : (struct loss_control){.cancel = NULL};
}

static inline void allowance_give(struct allowance *allowance, size_t bytes)
{
    if (allowance)
        allowance->give(allowance, bytes);
}

#endif
