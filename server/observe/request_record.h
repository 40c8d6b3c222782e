/*
 * A completed request, as input for the log and the metrics.
 */
#ifndef SERVER_OBSERVE_REQUEST_RECORD_H
#define SERVER_OBSERVE_REQUEST_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loss.h"

/* The phases of an evaluation, in this order. */
enum phase {
    PHASE_RECEIVE, /* from the end of the headers to the end of the body */
    PHASE_QUEUE,   /* waiting for the executor; small evaluations skip this phase */
    PHASE_DECODE,  /* this and the next two are as in Server-Timing */
    PHASE_COMPUTE,
    PHASE_ENCODE,
    PHASE_SEND, /* until the kernel has accepted the last byte, or sending failed */
    PHASE_COUNT,
};
extern const char *const phase_names[PHASE_COUNT];

enum protocol { PROTOCOL_V1, PROTOCOL_V2, PROTOCOL_COUNT };
extern const char *const protocol_names[PROTOCOL_COUNT];

/* All pointers are borrowed. */
struct request_record {
    const char *id;
    const char *client;          /* name of the token or certificate, or "" */
    const char *method, *target; /* as received; may contain any byte */
    size_t
        route;  /* index of the route, as for metrics_new; the number of routes if there is none */
    bool probe; /* the route is served on admin addresses: a health check or metrics */
    bool evaluates; /* the route evaluates losses; if its path names a loss, that loss exists */
    enum protocol protocol;             /* of the route, if it evaluates losses */
    const struct loss_descriptor *loss; /* NULL if the path names no existing loss */
    const char *traceparent;            /* valid; NULL if none */
    const struct sockaddr *address;     /* of the client; NULL if unknown */
    const char *reason; /* one of rejection_names[]; NULL if the request was not rejected, or only
                           because of its content */
    int status;         /* HTTP status, or RECORD_CLIENT_GONE */
    uint64_t bytes_in, bytes_out; /* of the bodies */
    uint64_t elements;            /* evaluated */
    const int64_t *ns;            /* of each phase; negative if the request skipped it */
    int64_t duration_ns;          /* from the end of the headers to the last byte */
};

/* Returns the name of the loss that was evaluated, or request_record_several. */
const char *request_record_loss(const struct request_record *record);
extern const char request_record_several[];

enum { RECORD_CLIENT_GONE = 499 }; /* the client disconnected before the response; never sent */

#endif
