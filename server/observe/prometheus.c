/*
 * GET /metrics: the metrics in Prometheus's text format, version 0.0.4.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loss.h"
#include "observe/metric_cells.h"

enum { LABELS = 160, DEPRECATED_HELP = 96 };

/* Renamed metrics. Both names are exported. Remove a row one release after the release that renames
   the metric. */
static const struct {
    const char *old_name, *name;
} renames[] = {
    {"lossd_evaluation_seconds", "lossd_evaluation_duration_seconds"},
    {"lossd_phase_seconds", "lossd_phase_duration_seconds"},
    {"lossd_rejected_total", "lossd_rejections_total"},
    {"lossd_requests_active", "lossd_http_requests_in_flight"},
    {"lossd_memory_kept_bytes", "lossd_memory_cached_bytes"},
    {"lossd_memory_waiting", "lossd_memory_waiters"},
    {"lossd_accepted_connections_total", "lossd_connections_accepted_total"},
    {"lossd_log_dropped_lines_total", "lossd_log_lines_dropped_total"},
};

/* Returns the former name of a metric, or NULL if it has none. */
static const char *old_name_of(const char *name)
{
    for (size_t i = 0; i < sizeof renames / sizeof *renames; i++) {
        if (strcmp(renames[i].name, name) == 0)
            return renames[i].old_name;
    }
    return NULL;
}

static void write_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_deprecated_head(struct buffer *out, const char *old_name, const char *type,
                                  const char *name)
{
    char help[DEPRECATED_HELP];
    snprintf(help, sizeof help, "Deprecated: use %s.", name);
    write_head(out, old_name, type, help);
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- Counters ---- */

/* The metrics to write, and the sum of their rows (metric_cells.h). */
struct snapshot {
    struct metrics *metrics;
    const uint64_t *sum;
};

/* Writes a line for each status that has been counted. The line for 200 is always written, because
   a rate needs an initial value. */
static void write_statuses(const char *name, const char *labels,
                           const uint64_t cells[CELLS_STATUSES], struct buffer *out)
{
    for (size_t i = 0; i < CELLS_STATUSES; i++) {
        char status[16] = "other";
        if (i < CELLS_STATUSES - 1)
            snprintf(status, sizeof status, "%d", cells_status[i]);
        if (cells[i] > 0 || i == 0)
            buffer_printf(out, "%s{%s,status=\"%s\"} %" PRIu64 "\n", name, labels, status,
                          cells[i]);
    }
}

static void write_requests(const char *name, const struct snapshot *from, struct buffer *out)
{
    char labels[LABELS];
    const size_t routes = metrics_route_count(from->metrics);
    for (size_t i = 0; i < routes; i++) {
        const struct route_label route = metrics_route(from->metrics, i);
        snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\"", route.method, route.path);
        write_statuses(name, labels, &from->sum[cell_of_request(i, 0)], out);
    }
    write_statuses(name, "method=\"other\",route=\"other\"", &from->sum[cell_of_request(routes, 0)],
                   out);
}

static void write_bytes_in(const char *name, const struct snapshot *from, struct buffer *out)
{
    buffer_printf(out, "%s %" PRIu64 "\n", name, from->sum[cell_of_bytes_in()]);
}

static void write_bytes_out(const char *name, const struct snapshot *from, struct buffer *out)
{
    buffer_printf(out, "%s %" PRIu64 "\n", name, from->sum[cell_of_bytes_out()]);
}

static void write_rejections(const char *name, const struct snapshot *from, struct buffer *out)
{
    const struct rejections *const rejects = metrics_rejections(from->metrics);
    for (size_t i = 0; i < REJECTION_COUNT; i++)
        buffer_printf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", name, rejection_names[i],
                      (uint64_t)atomic_load_explicit(&rejects->count[i], memory_order_relaxed));
}

/* Returns the label value of the loss at an index of the cells. */
static const char *loss_label(size_t index)
{
    return index < loss_count() ? loss_at(index)->name : request_record_several;
}

static void write_evaluations(const char *name, const struct snapshot *from, struct buffer *out)
{
    char labels[LABELS];
    for (size_t i = 0; i <= loss_count(); i++) {
        for (size_t protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
            snprintf(labels, sizeof labels, "loss=\"%s\",protocol=\"%s\"", loss_label(i),
                     protocol_names[protocol]);
            write_statuses(name, labels, &from->sum[cell_of_evaluation(i, protocol, 0)], out);
        }
    }
}

static void write_elements(const char *name, const struct snapshot *from, struct buffer *out)
{
    for (size_t i = 0; i <= loss_count(); i++)
        buffer_printf(out, "%s{loss=\"%s\"} %" PRIu64 "\n", name, loss_label(i),
                      from->sum[cell_of_loss(i, LOSS_ELEMENTS)]);
}

static void write_loss_seconds(const char *name, const struct snapshot *from, struct buffer *out)
{
    for (size_t i = 0; i <= loss_count(); i++)
        for (size_t phase = 0; phase < PHASE_COUNT; phase++)
            buffer_printf(out, "%s{loss=\"%s\",phase=\"%s\"} %.9f\n", name, loss_label(i),
                          phase_names[phase],
                          seconds(from->sum[cell_of_loss(i, LOSS_PHASES + phase)]));
}

/* ---- Histograms ---- */

static void write_histogram(const char *name, const char *labels, const uint64_t *cells,
                            struct buffer *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < CELLS_BOUNDS; i++) {
        count += cells[i];
        buffer_printf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
                      (double)cells_bound[i] / 1e9, count);
    }
    count += cells[CELLS_BOUNDS];
    buffer_printf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, count);
    buffer_printf(out, "%s_sum{%s} %.9f\n%s_count{%s} %" PRIu64 "\n", name, labels,
                  seconds(cells[HISTOGRAM_SUM]), name, labels, count);
}

static void write_phases(const char *name, const struct snapshot *from, struct buffer *out)
{
    char labels[LABELS];
    for (size_t i = 0; i < PHASE_COUNT; i++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", phase_names[i]);
        write_histogram(name, labels, &from->sum[cell_of_phase(i)], out);
    }
}

static void write_durations(const char *name, const struct snapshot *from, struct buffer *out)
{
    char labels[LABELS];
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        snprintf(labels, sizeof labels, "protocol=\"%s\"", protocol_names[i]);
        write_histogram(name, labels, &from->sum[cell_of_duration(i)], out);
    }
}

/* ---- Families ---- */

static const struct family {
    const char *name, *type, *help;
    void (*write)(const char *name, const struct snapshot *from, struct buffer *out);
} families[] = {
    {"lossd_http_requests_total", "counter",
     "Completed requests by route. Status 499: the client disconnected before the response.",
     write_requests},
    {"lossd_request_body_bytes_total", "counter", "Bytes of request bodies, as received.",
     write_bytes_in},
    {"lossd_response_body_bytes_total", "counter", "Bytes of response bodies, as sent.",
     write_bytes_out},
    {"lossd_rejections_total", "counter",
     "Requests rejected, disconnected or cancelled, by reason.", write_rejections},
    {"lossd_evaluations_total", "counter",
     "Completed requests to evaluate a loss, by loss, protocol and status.", write_evaluations},
    {"lossd_elements_total", "counter",
     "Elements processed: for each evaluation, about the number of its terms or of the elements of "
     "its longest tensor, whichever is greater.",
     write_elements},
    {"lossd_loss_seconds_total", "counter", "Time spent on evaluations, by loss and phase.",
     write_loss_seconds},
    {"lossd_phase_duration_seconds", "histogram",
     "Time of evaluations in each phase. Phase queue includes only those that waited for the "
     "executor.",
     write_phases},
    {"lossd_evaluation_duration_seconds", "histogram",
     "Time from the end of the headers of an evaluation request to the last byte of its response.",
     write_durations},
};

static void write_family(const struct family *family, const struct snapshot *from,
                         struct buffer *out)
{
    const char *const old_name = old_name_of(family->name);
    write_head(out, family->name, family->type, family->help);
    family->write(family->name, from, out);
    if (!old_name)
        return;
    write_deprecated_head(out, old_name, family->type, family->name);
    family->write(old_name, from, out);
}

/* ---- Sources ---- */

static void write_value(const char *name, const char *labels, double value, struct buffer *out)
{
    if (isnan(value))
        return;
    if (labels)
        buffer_printf(out, "%s{%s} %.15g\n", name, labels, value);
    else
        buffer_printf(out, "%s %.15g\n", name, value);
}

/* Returns the end of the run of sources with the same name as the source at `first`. */
static size_t run_end(const struct metric_group *group, size_t first)
{
    size_t end = first + 1;
    while (end < group->count && strcmp(group->table[end].name, group->table[first].name) == 0)
        end++;
    return end;
}

static void write_run(const struct metric_group *group, size_t first, size_t end, const char *name,
                      struct buffer *out)
{
    for (size_t i = first; i < end; i++) {
        const struct metric_source *const source = &group->table[i];
        write_value(name, source->labels, source->read(group->context, i), out);
    }
}

static void write_group(const struct metric_group *group, struct buffer *out)
{
    for (size_t first = 0, end; first < group->count; first = end) {
        const struct metric_source *const source = &group->table[first];
        const char *const type = source->type == METRIC_COUNTER ? "counter" : "gauge";
        const char *const old_name = old_name_of(source->name);
        end = run_end(group, first);
        write_head(out, source->name, type, source->help);
        write_run(group, first, end, source->name, out);
        if (!old_name)
            continue;
        write_deprecated_head(out, old_name, type, source->name);
        write_run(group, first, end, old_name, out);
    }
}

bool metrics_write(struct metrics *metrics, struct buffer *out)
{
    uint64_t *const sum = metrics_sum(metrics);
    if (!sum)
        return false;
    const struct snapshot from = {metrics, sum};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        write_family(&families[i], &from, out);
    free(sum);
    for (const struct metric_group *group = metrics_groups(metrics); group; group = group->next)
        write_group(group, out);
    return !out->failed;
}
