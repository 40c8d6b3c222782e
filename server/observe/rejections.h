/*
 * How often the server has said no, and why: a counter for each reason, from any thread.
 */
#ifndef SERVER_OBSERVE_REJECTIONS_H
#define SERVER_OBSERVE_REJECTIONS_H

#include <stdatomic.h>
#include <stdint.h>

enum rejection {
    REJECTION_MALFORMED,     /* 400, 501, 505: no sound HTTP; smuggling */
    REJECTION_HOST,          /* 421: a name that is not the server's */
    REJECTION_ORIGIN,        /* 403: a page of somebody else's */
    REJECTION_CREDENTIALS,   /* 401, 403: no token, or a wrong one */
    REJECTION_URL_SIZE,      /* 414 */
    REJECTION_HEADER_SIZE,   /* 431: bytes or number of headers */
    REJECTION_BODY_SIZE,     /* 413: --max-body */
    REJECTION_EXPANDED_SIZE, /* 413: --max-decompressed-body */
    REJECTION_MEMORY,        /* 503: no memory in time, whether reserved or allocated */
    REJECTION_MEMORY_NEVER,  /* 413: more than --max-memory would be needed */
    REJECTION_QUEUE,         /* 503: too many requests wait to be computed */
    REJECTION_WORK,          /* 413: --max-work */
    REJECTION_COMPUTE_TIME,  /* 503: --compute-timeout, or the client's X-Request-Timeout */
    REJECTION_RATE,          /* 429: too many requests from there */
    REJECTION_CONNECTIONS_PER_ADDRESS, /* closed unread */
    REJECTION_HEADER_TIME,             /* cut, after a 408: the headers took too long */
    REJECTION_BODY_RATE,               /* cut, after a 408: the body comes too slowly */
    REJECTION_ANSWER_RATE,             /* cut: the answer is read too slowly */
    REJECTION_MEMORY_HOLD, /* cut, after a 408 for a body: too slow while others waited for its
                            * memory
                            */
    REJECTION_DRAINING,    /* 503: the server is about to end */
    REJECTION_GONE,        /* cancelled: the client has left before its answer was computed */
    REJECTION_COUNT
};

/* "url_size" and so on, for labels; in the order of the enum. */
extern const char *const rejection_names[REJECTION_COUNT];

/* Zeroed before the first. */
struct rejections {
    _Atomic uint64_t count[REJECTION_COUNT];
};

static inline void rejections_add(struct rejections *rejects, enum rejection reason)
{
    atomic_fetch_add_explicit(&rejects->count[reason], 1, memory_order_relaxed);
}

#endif
