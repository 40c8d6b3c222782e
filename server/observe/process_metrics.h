/*
 * Metrics of this process, with the names of Prometheus's client libraries.
 */
#ifndef SERVER_OBSERVE_PROCESS_METRICS_H
#define SERVER_OBSERVE_PROCESS_METRICS_H

#include <stdbool.h>

#include "observe/metrics.h"

/* Adds the process_* metrics and lossd_build_info. Returns false if memory runs out. */
bool process_metrics_add(struct metrics *metrics);

#endif
