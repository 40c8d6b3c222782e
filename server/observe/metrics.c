/*
 * Counts without locks: each counting thread has its own row of cells, so adding needs no locked
 * instruction. Threads beyond the expected number share an additional row, protected by a mutex.
 */
#include "observe/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loss.h"
#include "observe/metric_cells.h"

const int cells_status[CELLS_STATUSES - 1] = {200, 204, 304, 400, 401, 403, 404, 405, 406,
                                              408, 409, 411, 412, 413, 414, 415, 417, 421,
                                              422, 426, 429, 431, 499, 500, 501, 503, 505};

const int64_t cells_bound[CELLS_BOUNDS] = {
    10000,       25000,       50000,       100000,      250000,     500000,
    1000000,     2500000,     5000000,     10000000,    25000000,   50000000,
    100000000,   250000000,   500000000,   1000000000,  2500000000, 5000000000,
    10000000000, 25000000000, 50000000000, 100000000000};

struct metrics {
    size_t routes;
    struct route_label (*label)(size_t route);
    size_t owned;          /* rows owned by a thread; there is one additional row */
    atomic_size_t claimed; /* number of threads that have requested a row */
    pthread_mutex_t mutex; /* protects the last row */
    struct rejections rejects;
    struct metric_group *groups, **last_group;
    size_t row_cells; /* cells of a row, rounded up to whole cache lines */
    atomic_ullong *cells;
};

enum { CACHE_LINE = 64 };

struct metrics *metrics_new(int threads, size_t routes, struct route_label (*label)(size_t route))
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        return NULL;
    const size_t in_line = CACHE_LINE / sizeof *metrics->cells;
    metrics->last_group = &metrics->groups;
    metrics->owned = (size_t)threads;
    metrics->routes = routes;
    metrics->label = label;
    metrics->row_cells = (cells_count(routes) + in_line - 1) / in_line * in_line;
    const size_t size = (metrics->owned + 1) * metrics->row_cells * sizeof *metrics->cells;
    metrics->cells = aligned_alloc(CACHE_LINE, size);
    if (!metrics->cells) {
        free(metrics);
        return NULL;
    }
    memset(metrics->cells, 0, size);
    pthread_mutex_init(&metrics->mutex, NULL);
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    for (struct metric_group *group = metrics->groups, *next; group; group = next) {
        next = group->next;
        free(group);
    }
    pthread_mutex_destroy(&metrics->mutex);
    free(metrics->cells);
    free(metrics);
}

/* ---- Counting ---- */

/* Adds to a cell that no other thread is writing. */
static void add(atomic_ullong *cell, uint64_t value)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + value,
                          memory_order_relaxed);
}

static void observe(atomic_ullong *histogram, int64_t ns)
{
    size_t low = 0, high = CELLS_BOUNDS; /* the bucket is in [low, high] */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (ns <= cells_bound[middle])
            high = middle;
        else
            low = middle + 1;
    }
    add(&histogram[low], 1);
    add(&histogram[HISTOGRAM_SUM], (uint64_t)ns);
}

static size_t status_index(int status)
{
    size_t i = 0;
    while (i < CELLS_STATUSES - 1 && cells_status[i] != status)
        i++;
    return i;
}

static size_t loss_index(const struct loss_descriptor *loss)
{
    size_t i = 0;
    while (i < loss_count() && loss_at(i) != loss)
        i++;
    return i;
}

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int64_t phase_ns(const struct request_record *record, enum phase phase)
{
    return record->ns[phase] > 0 ? record->ns[phase] : 0;
}

static void count_loss(atomic_ullong *cells, const struct request_record *record)
{
    const bool success = record->status == response_status(LOSS_OK);
    const int64_t network = phase_ns(record, PHASE_RECEIVE) + phase_ns(record, PHASE_SEND);
    const int64_t here = record->duration_ns > network ? record->duration_ns - network : 0;
    add(&cells[success ? LOSS_SUCCESSES : LOSS_FAILURES], 1);
    add(&cells[success ? LOSS_SUCCESS_NS : LOSS_FAILURE_NS], (uint64_t)here);
    add(&cells[LOSS_ELEMENTS], record->elements);
    if (success)
        atomic_store_explicit(&cells[LOSS_LAST_MS], unix_ms(), memory_order_relaxed);
    for (size_t i = 0; i < PHASE_COUNT; i++)
        add(&cells[LOSS_PHASES + i], (uint64_t)phase_ns(record, i));
}

static void count_evaluation(atomic_ullong *row, const struct request_record *record, size_t status)
{
    const size_t loss = loss_index(record->loss);
    const enum protocol protocol = record->protocol;
    add(&row[cell_of_evaluation(loss, protocol, status)], 1);
    count_loss(&row[cell_of_loss(loss, 0)], record);
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (record->ns[i] >= 0)
            observe(&row[cell_of_phase(i)], record->ns[i]);
    observe(&row[cell_of_duration(protocol)], record->duration_ns);
}

static void count(atomic_ullong *row, const struct request_record *record)
{
    const size_t status = status_index(record->status);
    add(&row[cell_of_request(record->route, status)], 1);
    add(&row[cell_of_bytes_in()], record->bytes_in);
    add(&row[cell_of_bytes_out()], record->bytes_out);
    if (record->evaluates)
        count_evaluation(row, record, status);
}

void metrics_count(struct metrics *metrics, const struct request_record *record)
{
    static _Thread_local size_t number; /* number of this thread's row, from 1 */
    if (number == 0)
        number = 1 + atomic_fetch_add(&metrics->claimed, 1);
    if (number <= metrics->owned) {
        count(&metrics->cells[(number - 1) * metrics->row_cells], record);
        return;
    }
    pthread_mutex_lock(&metrics->mutex);
    count(&metrics->cells[metrics->owned * metrics->row_cells], record);
    pthread_mutex_unlock(&metrics->mutex);
}

struct rejections *metrics_rejections(struct metrics *metrics)
{
    return &metrics->rejects;
}

/* ---- Reading ---- */

uint64_t *metrics_sum(struct metrics *metrics)
{
    uint64_t *const sum = calloc(cells_count(metrics->routes), sizeof *sum);
    if (!sum)
        return NULL;
    for (size_t row = 0; row <= metrics->owned; row++)
        for (size_t i = 0; i < cells_count(metrics->routes); i++)
            sum[i] += atomic_load_explicit(&metrics->cells[row * metrics->row_cells + i],
                                           memory_order_relaxed);
    for (size_t loss = 0; loss <= loss_count(); loss++) {
        const size_t last = cell_of_loss(loss, LOSS_LAST_MS);
        sum[last] = 0;
        for (size_t row = 0; row <= metrics->owned; row++) {
            const uint64_t ms = atomic_load_explicit(
                &metrics->cells[row * metrics->row_cells + last], memory_order_relaxed);
            sum[last] = ms > sum[last] ? ms : sum[last];
        }
    }
    return sum;
}

struct oip_statistics *metrics_statistics(struct metrics *metrics)
{
    struct oip_statistics *const all = calloc(loss_count(), sizeof *all);
    uint64_t *const sum = all ? metrics_sum(metrics) : NULL;
    if (!sum) {
        free(all);
        return NULL;
    }
    for (size_t i = 0; i < loss_count(); i++) {
        const uint64_t *const cell = &sum[cell_of_loss(i, 0)], successes = cell[LOSS_SUCCESSES];
        all[i] = (struct oip_statistics){
            .last_ms = cell[LOSS_LAST_MS],
            .success = {successes, cell[LOSS_SUCCESS_NS]},
            .fail = {cell[LOSS_FAILURES], cell[LOSS_FAILURE_NS]},
            .queue = {successes + cell[LOSS_FAILURES], cell[LOSS_PHASES + PHASE_QUEUE]},
            .input = {successes, cell[LOSS_PHASES + PHASE_DECODE]},
            .infer = {successes, cell[LOSS_PHASES + PHASE_COMPUTE]},
            .output = {successes, cell[LOSS_PHASES + PHASE_ENCODE]},
        };
    }
    free(sum);
    return all;
}

bool metrics_add_sources(struct metrics *metrics, const struct metric_source table[], size_t count,
                         void *context)
{
    struct metric_group *const group = malloc(sizeof *group);
    if (!group)
        return false;
    *group = (struct metric_group){NULL, table, count, context};
    *metrics->last_group = group;
    metrics->last_group = &group->next;
    return true;
}

size_t metrics_route_count(const struct metrics *metrics)
{
    return metrics->routes;
}

struct route_label metrics_route(const struct metrics *metrics, size_t route)
{
    return metrics->label(route);
}

const struct metric_group *metrics_groups(const struct metrics *metrics)
{
    return metrics->groups;
}
