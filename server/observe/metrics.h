/*
 * Metrics: exported by GET /metrics in Prometheus's text format, and by the statistics of the Open
 * Inference Protocol.
 *
 * Each thread that answers requests counts into its own cells, without a lock; readers add the
 * cells up. State that exists elsewhere (connections, queue, memory) is read by functions that are
 * registered at startup.
 */
#ifndef SERVER_OBSERVE_METRICS_H
#define SERVER_OBSERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/buffer.h"
#include "observe/rejections.h"
#include "observe/request_record.h"
#include "oip/oip.h"

struct metrics;

/* The label values of a route; static text. */
struct route_label {
    const char *method, *path;
};

/* `threads` threads count without waiting; further ones wait for each other. Requests are counted
   by route: `label` returns the labels of each of `routes` routes. There can be one in a process.
   Returns NULL if memory has run out. */
struct metrics *metrics_new(int threads, size_t routes, struct route_label (*label)(size_t route));
/* No thread may count any more. No-op if NULL. */
void metrics_free(struct metrics *metrics);

/* Counts a completed request. Thread-safe. */
void metrics_count(struct metrics *metrics, const struct request_record *record);

/* Returns the rejections, in which any thread may count. They live as long as the metrics. */
struct rejections *metrics_rejections(struct metrics *metrics);

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

/* A value that is read when the metrics are exported. All text is static. */
struct metric_source {
    const char *name; /* "lossd_..."; ends in _total for counters */
    enum metric_type type;
    const char *help;
    const char *labels; /* such as "file=\"server\"", for consecutive sources that share a name;
                           else NULL */
    /* Called on any thread; must not block. NaN: no value at the moment; the line is omitted. */
    double (*read)(void *context, size_t index);
};
/* Adds a table of sources, which is borrowed. `read` gets the context and the index in the table.
   Must be called before any thread counts or exports. Returns false if memory runs out. */
bool metrics_add_sources(struct metrics *metrics, const struct metric_source table[], size_t count,
                         void *context);

/* Appends all metrics as text. Returns false if memory runs out. */
bool metrics_write(struct metrics *metrics, struct buffer *out);

/* Returns the statistics of each loss, in the order of loss_at, which the caller frees. Returns
   NULL if memory runs out. */
struct oip_statistics *metrics_statistics(struct metrics *metrics);

#endif
