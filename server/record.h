/*
 * What is known of a request once it is over: what the log says of it and the metrics count.
 */
#ifndef SERVER_RECORD_H
#define SERVER_RECORD_H

#include <stdint.h>

#include "routes.h"

/* What an evaluation goes through, in this order. */
enum phase {
    PHASE_RECEIVE, /* from the end of its headers to the end of its body */
    PHASE_QUEUE,   /* waiting for the executor; evaluations that are done on the spot have no such phase */
    PHASE_DECODE,  /* these three as in Server-Timing */
    PHASE_COMPUTE,
    PHASE_ENCODE,
    PHASE_SEND, /* until the last byte was taken by the kernel, or sending was given up */
    PHASE_COUNT,
};
extern const char *const phase_names[PHASE_COUNT];

/* All text is borrowed. */
struct record {
    const char *id;
    const char *client;           /* who sent it, printable; "" for nobody in particular */
    const char *method, *target;  /* as they came: they may hold any byte */
    const struct route *route;    /* NULL where there is none for it */
    const char *loss;             /* name or alias as the path has it, not always a loss's; NULL where the path has none */
    int status;                   /* of HTTP, or RECORD_CLIENT_GONE */
    uint64_t bytes_in, bytes_out; /* of the bodies */
    uint64_t elements;            /* that were worked on */
    const int64_t *ns;            /* of each phase; negative where the request had no such phase */
    int64_t duration_ns;          /* from the end of its headers to its own */
};

enum { RECORD_CLIENT_GONE = 499 }; /* the client left before its answer; never sent */

#endif
