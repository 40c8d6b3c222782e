/*
 * Counts rejected, disconnected and cancelled requests by reason. Thread-safe.
 */
#ifndef SERVER_OBSERVE_REJECTIONS_H
#define SERVER_OBSERVE_REJECTIONS_H

#include <stdatomic.h>
#include <stdint.h>

enum rejection {
    REJECTION_MALFORMED,     /* 400, 501, 505: invalid HTTP, request smuggling */
    REJECTION_HOST,          /* 421: not a host name of the server */
    REJECTION_ORIGIN,        /* 403: from a page of another site */
    REJECTION_CREDENTIALS,   /* 401, 403: no token or certificate, or an invalid one */
    REJECTION_URL_SIZE,      /* 414: --max-url */
    REJECTION_HEADER_SIZE,   /* 431: --max-header-bytes, --max-header-count */
    REJECTION_BODY_SIZE,     /* 413: --max-body */
    REJECTION_EXPANDED_SIZE, /* 413: --max-decompressed-body */
    REJECTION_MEMORY,        /* 503: memory was not available in time, or its allocation failed */
    REJECTION_MEMORY_NEVER,  /* 413: needs more than --max-memory allows for one request */
    REJECTION_QUEUE,         /* 503: --max-queue */
    REJECTION_WORK,          /* 413: --max-work */
    REJECTION_COMPUTE_TIME,  /* 503: --compute-timeout or X-Request-Timeout */
    REJECTION_RATE,          /* 429: --request-rate */
    /* The next five close the connection. With TLS, they send no status. */
    REJECTION_CONNECTIONS_PER_ADDRESS, /* 429: --max-connections-per-address */
    REJECTION_HEADER_TIME,             /* 408: --header-timeout */
    REJECTION_BODY_RATE,               /* 408: --min-body-rate */
    REJECTION_RESPONSE_RATE,           /* no status: --min-response-rate */
    REJECTION_MEMORY_HOLD,             /* 408 for a body: --slow-client-memory-timeout */
    REJECTION_DRAINING,                /* 503: the server is shutting down */
    REJECTION_GONE,                    /* cancelled: the client disconnected before the response */
    REJECTION_COUNT
};

/* Label values such as "url_size", in the order of the enum. */
extern const char *const rejection_names[REJECTION_COUNT];

/* Initialized to zero. */
struct rejections {
    _Atomic uint64_t count[REJECTION_COUNT];
};

static inline void rejections_add(struct rejections *rejections, enum rejection reason)
{
    atomic_fetch_add_explicit(&rejections->count[reason], 1, memory_order_relaxed);
}

#endif
