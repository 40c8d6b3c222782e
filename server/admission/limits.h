/*
 * What clients may ask of the server: every limit that an option sets.
 */
#ifndef SERVER_ADMISSION_LIMITS_H
#define SERVER_ADMISSION_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct limits {
    size_t max_body;
    size_t max_decompressed_body;       /* of a body that came compressed */
    size_t max_memory;                  /* of all requests and connections */
    int64_t memory_wait_timeout;        /* milliseconds that a request may wait for memory ... */
    int max_memory_waiters;             /* ... and how many may */
    int64_t slow_client_memory_timeout; /* that a body or an answer may take to be sent while others
                                           wait for memory */
    int max_queue;                      /* requests that may wait to be computed */
    size_t max_work;                    /* of a request, as loss_plan.work; 0: any amount */
    int64_t compute_timeout; /* milliseconds from the end of a body to the answer; 0: any time */
    size_t max_url, max_header_bytes; /* bytes: of the request's target; of the names and values of
                                         its headers */
    int max_header_count;
    int max_json_depth;
    int request_rate,
        request_burst; /* of a client, in a second, and at once (0: as many); rate 0: any number */
    int max_connections;
    int max_connections_per_address; /* 0: any number */
    /* milliseconds */
    int64_t header_timeout;  /* from a request's first byte to the end of its headers */
    int64_t idle_timeout;    /* of a connection between two requests, and before the first */
    int64_t drain_timeout;   /* that running requests have when the server is told to end */
    int64_t min_rate_window; /* the rates below are averages over this */
    /* bytes a second; 0: however slowly */
    size_t min_body_rate, min_response_rate;
};

#endif
