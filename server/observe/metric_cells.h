/*
 * The layout of a row of counters (cells). Private to metrics.c, which counts, and prometheus.c,
 * which exports.
 */
#ifndef SERVER_OBSERVE_METRIC_CELLS_H
#define SERVER_OBSERVE_METRIC_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "observe/metrics.h"

/* HTTP statuses with their own cell. All others share the last cell, so that the number of label
   values is bounded. */
enum { CELLS_STATUSES = 28 };
extern const int cells_status[CELLS_STATUSES - 1];

/* Upper bounds of the histogram buckets in nanoseconds: three per decade from 10 us to 100 s. The
   bucket for longer times and the sum follow. */
enum { CELLS_BOUNDS = 22, HISTOGRAM_SUM = CELLS_BOUNDS + 1, HISTOGRAM_CELLS };
extern const int64_t cells_bound[CELLS_BOUNDS];

/* The cells of a loss. The times of evaluations exclude receiving and sending. */
enum loss_cell {
    LOSS_SUCCESSES,
    LOSS_SUCCESS_NS,
    LOSS_FAILURES,
    LOSS_FAILURE_NS,
    LOSS_ELEMENTS,
    LOSS_LAST_MS, /* Unix time of the last success in ms; the maximum of the rows, not their sum */
    LOSS_PHASES,  /* nanoseconds of each phase */
    LOSS_CELLS = LOSS_PHASES + PHASE_COUNT,
};

/* Index loss_count() stands for several losses in one request. */
static inline size_t cell_of_evaluation(size_t loss, enum protocol protocol, size_t status)
{
    return (loss * PROTOCOL_COUNT + protocol) * CELLS_STATUSES + status;
}

static inline size_t cell_of_loss(size_t loss, size_t what)
{
    return cell_of_evaluation(loss_count() + 1, PROTOCOL_V1, 0) + loss * LOSS_CELLS + what;
}

/* Returns the first cell of a histogram. */
static inline size_t cell_of_phase(enum phase phase)
{
    return cell_of_loss(loss_count() + 1, 0) + phase * HISTOGRAM_CELLS;
}

static inline size_t cell_of_duration(enum protocol protocol)
{
    return cell_of_phase(PHASE_COUNT) + protocol * HISTOGRAM_CELLS;
}

static inline size_t cell_of_bytes_in(void)
{
    return cell_of_duration(PROTOCOL_COUNT);
}

static inline size_t cell_of_bytes_out(void)
{
    return cell_of_bytes_in() + 1;
}

/* The index after that of the last route stands for requests without a route. */
static inline size_t cell_of_request(size_t route, size_t status)
{
    return cell_of_bytes_out() + 1 + route * CELLS_STATUSES + status;
}

static inline size_t cells_count(size_t routes)
{
    return cell_of_request(routes + 1, 0);
}

/* Return the number and the labels of the routes passed to metrics_new. */
size_t metrics_route_count(const struct metrics *metrics);
struct route_label metrics_route(const struct metrics *metrics, size_t route);

/* Returns the sum of all rows; the caller must free it. Returns NULL if memory is insufficient. */
uint64_t *metrics_sum(struct metrics *metrics);

/* A table of sources; an element of a linked list. */
struct metric_group {
    struct metric_group *next;
    const struct metric_source *table;
    size_t count;
    void *context;
};
const struct metric_group *metrics_groups(const struct metrics *metrics);

#endif
