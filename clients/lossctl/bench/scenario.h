/* One combination of loss, size, format and number of connections, and its measurements. */
#ifndef LOSSCTL_BENCH_SCENARIO_H
#define LOSSCTL_BENCH_SCENARIO_H

#include "bench/load.h"

struct scenario {
    const struct loss_descriptor *loss;
    const char *spec; /* borrowed: the loss as given, with its parameters */
    size_t size;      /* number of elements in the predictions */
    enum payload_format format;
    int connections;
    size_t request_bytes, response_bytes; /* bytes of the bodies */
    bool ran;                             /* `result` is valid */
    struct load_result result;
};

/* Quantities that reports show and limits bound. */
enum quantity {
    P50,
    P90,
    P99,
    P999,
    LATENCY_MAX,
    LATENCY_MEAN,
    ERRORS,
    ERROR_RATE,
    THROUGHPUT,
    QUANTITY_COUNT
};

/* Returns a quantity of a scenario that ran: milliseconds, a count, a fraction or requests/s. */
double scenario_quantity(const struct scenario *scenario, enum quantity quantity);

enum { SCENARIO_LABEL = 256 }; /* bytes of a label */
/* Writes "mse, 1000 elements, json, 8 connections" to `text`, which has SCENARIO_LABEL bytes, and
   returns it. */
const char *scenario_label(const struct scenario *scenario, char *text);

#endif
