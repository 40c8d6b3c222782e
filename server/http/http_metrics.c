/*
 * Metrics of connections and requests whose values are read at each scrape.
 */
#include "http/http_internal.h"

#include "connection/connection_limits.h"

enum { CONNECTIONS, LIMIT, ACCEPTED, IN_FLIGHT, DRAINING, IO_THREADS, SOURCES };

static double read_value(void *context, size_t index)
{
    const struct http *const http = context;
    const double values[SOURCES] = {
        [CONNECTIONS] = connections_count(http->connections),
        [LIMIT] = connections_max(http->connections),
        [ACCEPTED] = (double)atomic_load(&http->adopted),
        [IN_FLIGHT] = (double)atomic_load(&http->active),
        [DRAINING] = atomic_load(&http->draining),
        [IO_THREADS] = http->settings.io_threads,
    };
    return values[index];
}

static const struct metric_source sources[SOURCES] = {
    [CONNECTIONS] = {"lossd_connections", METRIC_GAUGE, "Open connections.", NULL, read_value},
    [LIMIT] = {"lossd_connections_limit", METRIC_GAUGE, "Maximum number of open connections.", NULL,
               read_value},
    [ACCEPTED] = {"lossd_connections_accepted_total", METRIC_COUNTER, "Accepted connections.", NULL,
                  read_value},
    [IN_FLIGHT] =
        {"lossd_http_requests_in_flight", METRIC_GAUGE,
         "Requests from the end of their headers to the end of their response, including this one.",
         NULL, read_value},
    [DRAINING] = {"lossd_draining", METRIC_GAUGE, "1 after shutdown has begun, otherwise 0.", NULL,
                  read_value},
    [IO_THREADS] = {"lossd_io_threads", METRIC_GAUGE, "I/O threads.", NULL, read_value},
};

bool http_add_metrics(struct http *http)
{
    return metrics_add_sources(http->settings.metrics, sources, sizeof sources / sizeof *sources,
                               http);
}
