/*
 * The limits of a request: memory and time. Memory that grows with a request (bodies, operands,
 * scratch, responses) is reserved before it is allocated, and long work stops once the request is
 * cancelled. The server decides; this interface keeps proto/ independent of it.
 */
#ifndef PROTO_MEMORY_QUOTA_H
#define PROTO_MEMORY_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "loss.h"

struct quota {
    bool (*reserve)(struct quota *quota, size_t bytes); /* returns false if refused */
    void (*release)(struct quota *quota, size_t bytes); /* bytes that were reserved */
    const bool *cancel; /* another thread stores true, atomically, to cancel; may be NULL */
    bool *heartbeat;    /* another thread sets this, atomically, and the work in progress resets it,
                           which shows that it progresses; may be NULL */
};

/* Reserves memory. Returns false if that is refused; true if `quota` is NULL. */
static inline bool quota_reserve(struct quota *quota, size_t bytes)
{
    return !quota || quota->reserve(quota, bytes);
}

/* Releases memory that was reserved. No-op if NULL. */
static inline void quota_release(struct quota *quota, size_t bytes)
{
    if (quota)
        quota->release(quota, bytes);
}

/* Fails with LOSS_UNAVAILABLE: memory was refused or ran out. */
static inline enum loss_status quota_insufficient(struct loss_error *error)
{
    return loss_fail(error, LOSS_UNAVAILABLE, "insufficient memory for this request; retry later");
}

/* Returns true if the request is cancelled. Call it often: it also reports progress. */
static inline bool quota_cancelled(const struct quota *quota)
{
    if (quota && quota->heartbeat && __atomic_load_n(quota->heartbeat, __ATOMIC_RELAXED))
        __atomic_store_n(quota->heartbeat, false, __ATOMIC_RELAXED);
    return quota && quota->cancel && __atomic_load_n(quota->cancel, __ATOMIC_RELAXED);
}

/* Returns the corresponding flags for loss_run(). */
static inline struct loss_control quota_control(const struct quota *quota)
{
    return quota ? (struct loss_control){.cancel = quota->cancel, .heartbeat = quota->heartbeat}
                 : (struct loss_control){.cancel = NULL, .heartbeat = NULL};
}

#endif
