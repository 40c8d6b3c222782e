/* Values of /metrics of the server of server_fixture.h, read on connections of their own
   unless stated otherwise. */
#ifndef TESTS_METRIC_VALUES_H
#define TESTS_METRIC_VALUES_H

#include "support/http_client.h"

#define METRIC_BUSY         "lossd_executor_busy"
#define METRIC_QUEUED       "lossd_queue_jobs"
#define METRIC_WAITING      "lossd_memory_waiters"
#define METRIC_RESERVED     "lossd_memory_reserved_bytes"
#define METRIC_USED         "lossd_memory_used_bytes"
#define METRIC_BUDGET       "lossd_memory_budget_bytes"
#define METRIC_DISCONNECTED "lossd_rejections_total{reason=\"gone\"}"

/* Returns the value of a metric: a name with its labels. Aborts the test if there is none. */
double metric_value(const char *line);
/* Like metric_value(), on an existing connection, for example to the admin port. */
double metric_value_on(struct http_client *by, const char *line);
/* Waits until a metric has a value. Aborts the test if it does not within a minute. */
void metric_wait(const char *line, double value);
/* Waits until a metric is at least `value`. */
void metric_wait_at_least(const char *line, double value);

#endif
