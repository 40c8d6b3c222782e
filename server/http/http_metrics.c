/*
 * Metrics of connections and requests whose values are read at each scrape.
 */
#include "http/http_internal.h"

#include "connection/connection_limits.h"

static double read_connections(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return connections_count(http->connections);
}

static double read_connection_limit(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return connections_most(http->connections);
}

static double read_adopted(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return (double)atomic_load(&http->adopted);
}

static double read_active(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return (double)atomic_load(&http->active);
}

static double read_draining(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return atomic_load(&http->draining);
}

static double read_io_threads(void *context, size_t index)
{
    const struct http *http = context;
    (void)index;
    return http->settings.io_threads;
}

static const struct metric_source sources[] = {
    {"lossd_connections", METRIC_GAUGE, "Open connections.", NULL, read_connections},
    {"lossd_connections_limit", METRIC_GAUGE, "Connections that may be open at a time.", NULL,
     read_connection_limit},
    {"lossd_connections_accepted_total", METRIC_COUNTER, "Connections that were accepted.", NULL,
     read_adopted},
    {"lossd_http_requests_in_flight", METRIC_GAUGE,
     "Requests between their headers and the end of their response, this one included.", NULL,
     read_active},
    {"lossd_draining", METRIC_GAUGE, "1 after shutdown has begun, otherwise 0.", NULL,
     read_draining},
    {"lossd_io_threads", METRIC_GAUGE, "I/O threads.", NULL, read_io_threads},
};

bool http_add_metrics(struct http *http)
{
    return metrics_add_sources(http->settings.metrics, sources, sizeof sources / sizeof *sources,
                               http);
}
