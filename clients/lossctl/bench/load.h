/*
 * A load generator: one request over and over, on connections that are kept, from one thread.
 *
 * In a closed loop each connection sends its next request when its answer has come: that measures
 * throughput, and a latency is that of the server alone. At a fixed rate requests fall due on a
 * schedule, whatever the answers do, and a latency counts from when its request was due: a stall
 * counts for every request that it held up, and those that found no connection in time count with
 * as long as they had waited by the end (they would else be omitted just when it was slow: G. Tene,
 * How not to measure latency).
 */
#ifndef LOSSCTL_BENCH_LOAD_H
#define LOSSCTL_BENCH_LOAD_H

#include "bench/histogram.h"
#include "bench/payload.h"
#include "http/connection.h"

struct load_settings {
    const struct payload *payload;
    const char *label; /* for the progress */
    int connections;
    double rate;              /* requests a second; 0: a closed loop */
    double warm_up, duration; /* seconds; what falls due or, in a closed loop, begins within the
                                 first is not counted */
};

enum { LOAD_INTERVALS = 120 }; /* at most; each lasts a whole number of tenths of a second */

/* What ended within a part of the time that counts. */
struct load_interval {
    uint64_t requests;
    double p50, p99, max; /* milliseconds */
};

struct load_result {
    struct histogram
        latency; /* of requests that were answered with 200, and of those that were not sent */
    uint64_t answered;         /* with 200, and counted */
    uint64_t refused;          /* with another status */
    uint64_t broken;           /* without an answer */
    uint64_t unsent;           /* fell due, but no connection was free until the end */
    int status;                /* of the last that was refused; 0: none */
    char why[CURL_ERROR_SIZE]; /* of the last that was broken; "" if none */
    double seconds;            /* that count */
    double interval;           /* seconds of each of the intervals */
    int intervals;
    struct load_interval series[LOAD_INTERVALS];
};

/* Runs until its time is over, or SIGINT, which only shortens it, and fills `result`. */
enum exit_code load_run(const struct connection *connection, const struct load_settings *settings,
                        struct load_result *result);
/* Whether SIGINT has come. */
bool load_interrupted(void);

/* Requests that were not answered with 200. */
uint64_t load_errors(const struct load_result *result);
double load_throughput(const struct load_result *result);

#endif
