/* A quota that refuses nothing: for tests of cancellation. */
#ifndef TESTS_UNLIMITED_QUOTA_H
#define TESTS_UNLIMITED_QUOTA_H

#include "memory/quota.h"

static inline bool unlimited_reserve(struct quota *quota, size_t bytes)
{
    (void)quota;
    (void)bytes;
    return true;
}

static inline void unlimited_release(struct quota *quota, size_t bytes)
{
    (void)quota;
    (void)bytes;
}

/* Returns the quota of a request that `cancel` cancels. */
static inline struct quota unlimited_quota(const bool *cancel)
{
    return (struct quota){
        .reserve = unlimited_reserve, .release = unlimited_release, .cancel = cancel};
}

#endif
