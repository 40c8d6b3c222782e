/*
 * How often the server has said no, and why: a counter for each reason, from any thread.
 */
#ifndef SERVER_OBSERVE_REJECTIONS_H
#define SERVER_OBSERVE_REJECTIONS_H

#include <stdatomic.h>
#include <stdint.h>

enum reject {
    REJECT_MALFORMED,               /* 400, 501, 505: no sound HTTP; smuggling */
    REJECT_HOST,                    /* 421: a name that is not the server's */
    REJECT_ORIGIN,                  /* 403: a page of somebody else's */
    REJECT_CREDENTIALS,             /* 401, 403: no token, or a wrong one */
    REJECT_URL_SIZE,                /* 414 */
    REJECT_HEADER_SIZE,             /* 431: bytes or number of headers */
    REJECT_BODY_SIZE,               /* 413: --max-body */
    REJECT_EXPANDED_SIZE,           /* 413: --max-decompressed-body */
    REJECT_MEMORY,                  /* 503: no memory in time, whether reserved or allocated */
    REJECT_MEMORY_NEVER,            /* 413: more than --max-memory would be needed */
    REJECT_QUEUE,                   /* 503: too many requests wait to be computed */
    REJECT_WORK,                    /* 413: --max-work */
    REJECT_COMPUTE_TIME,            /* 503: --compute-timeout, or the client's X-Request-Timeout */
    REJECT_RATE,                    /* 429: too many requests from there */
    REJECT_CONNECTIONS_PER_ADDRESS, /* closed unread */
    REJECT_HEADER_TIME,             /* cut, after a 408: the headers took too long */
    REJECT_BODY_RATE,               /* cut, after a 408: the body comes too slowly */
    REJECT_ANSWER_RATE,             /* cut: the answer is read too slowly */
    REJECT_MEMORY_HOLD, /* cut, after a 408 for a body: too slow while others waited for its memory
                         */
    REJECT_DRAINING,    /* 503: the server is about to end */
    REJECT_GONE,        /* cancelled: the client has left before its answer was computed */
    REJECT_COUNT
};

/* "url_size" and so on, for labels; in the order of the enum. */
extern const char *const reject_names[REJECT_COUNT];

/* Zeroed before the first. */
struct rejects {
    _Atomic uint64_t count[REJECT_COUNT];
};

static inline void reject_count(struct rejects *rejects, enum reject reason)
{
    atomic_fetch_add_explicit(&rejects->count[reason], 1, memory_order_relaxed);
}

#endif
