/* Values of /metrics of the server of server_fixture.h, read on connections of their own. */
#ifndef TESTS_METRIC_VALUES_H
#define TESTS_METRIC_VALUES_H

#define METRIC_BUSY         "lossd_executor_busy"
#define METRIC_QUEUED       "lossd_queue_jobs"
#define METRIC_WAITING      "lossd_memory_waiters"
#define METRIC_RESERVED     "lossd_memory_reserved_bytes"
#define METRIC_USED         "lossd_memory_used_bytes"
#define METRIC_DISCONNECTED "lossd_rejections_total{reason=\"gone\"}"

/* Returns the value of a metric: a name with its labels. Aborts the test if there is none. */
double metric_value(const char *line);
/* Waits until a metric has a value. Aborts the test if it does not within a minute. */
void metric_wait(const char *line, double value);
/* Waits until a metric is at least that. */
void metric_wait_at_least(const char *line, double value);

#endif
