/*
 * What the kernel knows of this process, as metrics of the names that Prometheus's clients give
 * them.
 */
#ifndef SERVER_OBSERVE_PROCESS_METRICS_H
#define SERVER_OBSERVE_PROCESS_METRICS_H

#include <stdbool.h>

#include "observe/metrics.h"

/* Adds the process_* metrics, and lossd_build_info. False where memory has run out. */
bool process_metrics_add(struct metrics *metrics);

#endif
