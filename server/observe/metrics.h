/*
 * What the server has done since it was started, and what it is doing: counted here, shown by GET
 * /metrics in Prometheus's text format and by the Open Inference Protocol's statistics.
 *
 * Threads that answer requests count each into cells of their own, without a lock; whoever asks
 * adds the cells up. What lies elsewhere anyway (connections, queue, memory) is not counted but
 * asked for, by functions that are registered at the start.
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
/* Nobody may count any more. NULL is let be. */
void metrics_free(struct metrics *metrics);

/* Counts a request that is over. Any thread may call it. */
void metrics_count(struct metrics *metrics, const struct request_record *record);

/* What was refused, to be counted in by any thread; lives as long as the metrics. */
struct rejections *metrics_rejections(struct metrics *metrics);

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

/* A value that is asked for when the metrics are. All text is static. */
struct metric_source {
    const char *name; /* "lossd_..."; of a counter it ends in _total */
    enum metric_type type;
    const char *help;
    const char *labels; /* as "reason=\"queue\"", where several in a row share a name, else NULL */
    /* Called in any thread; must not wait. NaN: there is no such value at the moment, and the line
     * is left out. */
    double (*read)(void *context, size_t index);
};
/* Adds a table of them, which is borrowed, each of which is read with the context and its place in
   the table. To be called before any thread counts or asks. False where memory has run out. */
bool metrics_add_sources(struct metrics *metrics, const struct metric_source table[], size_t count,
                         void *context);

/* Appends all, as text. False where memory has run out. */
bool metrics_write(struct metrics *metrics, struct buffer *out);

/* What each loss has done, in the order of loss_at; to be freed. NULL where memory has run out. */
struct oip_statistics *metrics_statistics(struct metrics *metrics);

#endif
