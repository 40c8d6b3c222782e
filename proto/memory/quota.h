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

struct quota {
    bool (*reserve)(struct quota *quota,
                    size_t bytes); /* so many bytes more; false if they may not be had now */
    void (*release)(struct quota *quota,
                    size_t bytes); /* so many of those that were taken are needed no more */
    const bool *cancel; /* another thread stores true there, atomically, when the answer is not
                           wanted any more; NULL: never */
    bool *asked; /* another thread stores true there, atomically, to see it become false if work
                    progresses; may be NULL */
};

/* Asks for memory, and gives it back; where there is no quota, it is there. */
static inline bool quota_reserve(struct quota *quota, size_t bytes)
{
    return !quota || quota->reserve(quota, bytes);
}

/* Whether work is to be given up. To be called often: it shows that work progresses, too. */
static inline bool quota_cancelled(const struct quota *quota)
{
    if (quota && quota->asked && __atomic_load_n(quota->asked, __ATOMIC_RELAXED))
        __atomic_store_n(quota->asked, false, __ATOMIC_RELAXED);
    return quota && quota->cancel && __atomic_load_n(quota->cancel, __ATOMIC_RELAXED);
}

/* The same for an evaluation by the library. */
static inline struct loss_control quota_control(const struct quota *quota)
{
    return quota ? (struct loss_control){.cancel = quota->cancel, .heartbeat = quota->asked}
                 : (struct loss_control){.cancel = NULL};
}

static inline void quota_release(struct quota *quota, size_t bytes)
{
    if (quota)
        quota->release(quota, bytes);
}

#endif
