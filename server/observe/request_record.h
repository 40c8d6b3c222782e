/*
 * What is known of a request once it is over: what the log says of it and the metrics count.
 */
#ifndef SERVER_OBSERVE_REQUEST_RECORD_H
#define SERVER_OBSERVE_REQUEST_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loss.h"

/* What an evaluation goes through, in this order. */
enum phase {
    PHASE_RECEIVE, /* from the end of its headers to the end of its body */
    PHASE_QUEUE,   /* waiting for the executor; evaluations that are done on the spot have no such
                      phase */
    PHASE_DECODE,  /* these three as in Server-Timing */
    PHASE_COMPUTE,
    PHASE_ENCODE,
    PHASE_SEND, /* until the last byte was taken by the kernel, or sending was given up */
    PHASE_COUNT,
};
extern const char *const phase_names[PHASE_COUNT];

enum protocol { PROTOCOL_V1, PROTOCOL_V2, PROTOCOL_COUNT };
extern const char *const protocol_names[PROTOCOL_COUNT];

/* All that it points to is borrowed. */
struct request_record {
    const char *id;
    const char *client;          /* who sent it, printable; "" for nobody in particular */
    const char *method, *target; /* as they came: they may hold any byte */
    size_t route;   /* index of the route, as metrics_new counts them; the number of routes: none */
    bool probe;     /* the route is served on admin addresses: health or metrics */
    bool evaluates; /* the route evaluates losses, and `loss` exists if the path names one */
    enum protocol protocol;             /* of the route, if it evaluates losses */
    const struct loss_descriptor *loss; /* NULL if the path names none that exists */
    const char *traceparent;            /* sound; NULL where there is none */
    const struct sockaddr *address;     /* of the client; NULL where it is not known */
    const char *reason; /* why it was refused, as rejection_names has it; NULL where it was not, or
                           for what it holds */
    int status;         /* of HTTP, or RECORD_CLIENT_GONE */
    uint64_t bytes_in, bytes_out; /* of the bodies */
    uint64_t elements;            /* that were worked on */
    const int64_t *ns;            /* of each phase; negative where the request had no such phase */
    int64_t duration_ns;          /* from the end of its headers to its own */
};

/* The name of the loss that was evaluated, or request_record_several. */
const char *request_record_loss(const struct request_record *record);
extern const char request_record_several[];

enum { RECORD_CLIENT_GONE = 499 }; /* the client left before its answer; never sent */

#endif
