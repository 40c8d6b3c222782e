/*
 * The limits that the options set.
 */
#ifndef SERVER_ADMISSION_LIMITS_H
#define SERVER_ADMISSION_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Sizes are in bytes, times in milliseconds. 0 means no limit where the comment says so. */
struct limits {
    size_t max_body;
    size_t max_decompressed_body;
    size_t max_memory; /* for all requests and connections together */
    int64_t memory_wait_timeout;
    int max_memory_waiters;
    int64_t slow_client_memory_timeout; /* 0: none */
    int max_queue;                      /* requests waiting for the executor */
    size_t max_work;                    /* per request, in units of loss_plan.work; 0: none */
    int64_t compute_timeout;            /* from the end of the body to the response; 0: none */
    size_t max_url;                     /* of the request target */
    size_t max_header_bytes;            /* names and values */
    int max_header_count;
    int max_json_depth;
    int request_rate;  /* per client and second; 0: none */
    int request_burst; /* 0: same as request_rate */
    int max_connections;
    int max_connections_per_address; /* 0: none */
    int64_t header_timeout;          /* from a request's first byte to the end of its headers */
    int64_t idle_timeout;            /* before the first request and between requests */
    int64_t drain_timeout;           /* for running requests during shutdown */
    int64_t min_rate_window;         /* period over which the rates below are averaged */
    size_t min_body_rate;            /* bytes per second; 0: none */
    size_t min_response_rate;        /* bytes per second; 0: none */
};

#endif
