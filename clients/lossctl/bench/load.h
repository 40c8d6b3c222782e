/*
 * A load generator: repeats one request on persistent connections, from one thread.
 *
 * In a closed loop, each connection sends its next request when its response has arrived. This mode
 * measures throughput, and the latency of the server alone. At a fixed rate, requests are due on a
 * schedule that does not depend on the responses, and a latency counts from the time when its
 * request was due. A stall therefore counts for every request that it delays. Requests that got no
 * connection by the end count with the time they had waited; omitting them would hide the stall
 * ("coordinated omission": G. Tene, How NOT to Measure Latency).
 */
#ifndef LOSSCTL_BENCH_LOAD_H
#define LOSSCTL_BENCH_LOAD_H

#include "bench/histogram.h"
#include "evaluate/payload.h"
#include "http/connection.h"

struct load_settings {
    const struct payload *payload;
    const char *label; /* shown as progress */
    int connections;
    double rate;              /* requests per second; 0: a closed loop */
    double warm_up, duration; /* seconds; requests that are due (closed loop: begin) during the
                                 warm-up are not counted */
};

enum { LOAD_INTERVALS = 120 }; /* maximum number; their length is a multiple of 0.1 s */

/* Responses with status 200 that arrived within one interval of the measurement. */
struct load_interval {
    uint64_t requests;
    double p50, p99, max; /* milliseconds */
};

struct load_result {
    struct histogram latency;  /* latencies of requests answered with 200, and of unsent requests */
    uint64_t answered;         /* responses with status 200 */
    uint64_t refused;          /* responses with another status */
    uint64_t broken;           /* requests without a response */
    uint64_t unsent;           /* due, but no connection was free before the end */
    int status;                /* status of the last response counted in `refused`; 0: none */
    char why[CURL_ERROR_SIZE]; /* error of the last broken request; "" if none */
    double seconds;            /* seconds that were measured */
    double interval;           /* length of each interval in seconds */
    int intervals;
    struct load_interval series[LOAD_INTERVALS];
};

/* Runs for the time in `settings`, or until SIGINT arrives, which is not an error; then waits up to
   five seconds for the last responses. Fills `result`. */
enum exit_code load_run(const struct connection *connection, const struct load_settings *settings,
                        struct load_result *result);
/* Returns true if SIGINT has arrived during any load_run(). */
bool load_interrupted(void);

/* Returns the number of requests that were sent but not answered with 200. */
uint64_t load_errors(const struct load_result *result);
/* Returns the number of requests per second that were answered with 200. */
double load_throughput(const struct load_result *result);

#endif
