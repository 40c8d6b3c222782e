/*
 * Metrics of this process, with the names that Prometheus's client libraries use.
 */
#ifndef SERVER_OBSERVE_PROCESS_METRICS_H
#define SERVER_OBSERVE_PROCESS_METRICS_H

#include <stdbool.h>

#include "observe/metrics.h"

/* Adds the process_* metrics and lossd_build_info. Returns false if memory is insufficient. */
bool process_metrics_add(struct metrics *metrics);

#endif
