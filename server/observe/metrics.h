/*
 * Metrics, exported by GET /metrics in Prometheus's text format and by the statistics of the Open
 * Inference Protocol.
 *
 * Each thread that handles requests counts in its own cells without a lock; readers sum the cells.
 * State of other modules (connections, queue, memory) is read by functions registered at startup.
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

/* `threads` threads can count without waiting; further threads wait for each other. Requests are
   counted by route; `label` returns the labels of each of the `routes` routes. A process can have
   only one `struct metrics`. Returns NULL if memory is insufficient. */
struct metrics *metrics_new(int threads, size_t routes, struct route_label (*label)(size_t route));
/* No thread may still be counting. No-op if NULL. */
void metrics_free(struct metrics *metrics);

/* Counts a completed request. Thread-safe. */
void metrics_count(struct metrics *metrics, const struct request_record *record);

/* Returns the counters of rejections, which any thread may increment. They are valid as long as the
   metrics. */
struct rejections *metrics_rejections(struct metrics *metrics);

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

/* A value that is read when the metrics are exported. All text is static. */
struct metric_source {
    const char *name; /* "lossd_..."; ends in _total for counters */
    enum metric_type type;
    const char *help;
    const char *labels; /* such as "file=\"server\"", for consecutive sources with the same name;
                           NULL if none */
    /* Called on any thread; must not block. If it returns NaN, the line is omitted. */
    double (*read)(void *context, size_t index);
};
/* Adds a table of sources; borrows it. `read` gets the context and the index in the table. Must be
   called before any thread counts or exports. Returns false if memory is insufficient. */
bool metrics_add_sources(struct metrics *metrics, const struct metric_source table[], size_t count,
                         void *context);

/* Appends all metrics as text. Returns false if memory is insufficient. */
bool metrics_write(struct metrics *metrics, struct buffer *out);

/* Returns the statistics of each loss, in the order of loss_at; the caller must free them. Returns
   NULL if memory is insufficient. */
struct oip_statistics *metrics_statistics(struct metrics *metrics);

#endif
