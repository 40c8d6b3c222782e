/*
 * What the kernel knows of this process, as metrics of the names that Prometheus's clients give them.
 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <stdbool.h>

#include "metrics.h"

/* Adds the process_* metrics, and lossd_build_info. False where memory has run out. */
bool process_add_metrics(struct metrics *metrics);

#endif
