/*
 * How much memory a request may take. What grows with a request (bodies, operands, scratch, answers) is asked for before it is
 * allocated; who is asked, and what the answer depends on, is not known here.
 */
#ifndef PROTO_ALLOWANCE_H
#define PROTO_ALLOWANCE_H

#include <stdbool.h>
#include <stddef.h>

struct allowance {
    bool (*take)(struct allowance *allowance, size_t bytes); /* so many bytes more; false if they may not be had now */
    void (*give)(struct allowance *allowance, size_t bytes); /* so many of those that were taken are needed no more */
};

/* Asks for memory, and gives it back; where there is no allowance, it is there. */
static inline bool allowance_take(struct allowance *allowance, size_t bytes)
{
    return !allowance || allowance->take(allowance, bytes);
}

static inline void allowance_give(struct allowance *allowance, size_t bytes)
{
    if (allowance)
        allowance->give(allowance, bytes);
}

#endif
