/*
 * GET /metrics: what was counted in Prometheus's text format, version 0.0.4.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loss.h"
#include "observe/metric_cells.h"

enum { LABELS = 160 };

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* One line for each status that has been answered. Success is there from the start: a rate needs a
 * value to rise from. */
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

static void write_requests(const struct metrics *metrics, const uint64_t *sum, struct buffer *out)
{
    static const char name[] = "lossd_http_requests_total";
    char labels[LABELS];
    head(out, name, "counter",
         "Requests that are over, by route; status 499: the client left before its answer.");
    const size_t routes = metrics_route_count(metrics);
    for (size_t i = 0; i < routes; i++) {
        const struct route_label route = metrics_route(metrics, i);
        snprintf(labels, sizeof labels, "method=\"%s\",route=\"%s\"", route.method, route.path);
        write_statuses(name, labels, &sum[cell_of_request(i, 0)], out);
    }
    write_statuses(name, "method=\"other\",route=\"other\"", &sum[cell_of_request(routes, 0)], out);
}

static void write_bytes(const uint64_t *sum, struct buffer *out)
{
    head(out, "lossd_request_body_bytes_total", "counter",
         "Bytes of request bodies, as they came.");
    buffer_printf(out, "lossd_request_body_bytes_total %" PRIu64 "\n", sum[cell_of_bytes_in()]);
    head(out, "lossd_response_body_bytes_total", "counter",
         "Bytes of bodies of answers, as they went.");
    buffer_printf(out, "lossd_response_body_bytes_total %" PRIu64 "\n", sum[cell_of_bytes_out()]);
}

static void write_rejects(struct metrics *metrics, struct buffer *out)
{
    const struct rejects *const rejects = metrics_rejects(metrics);
    head(out, "lossd_rejected_total", "counter", "What was refused, cut or cancelled, by reason.");
    for (size_t i = 0; i < REJECT_COUNT; i++)
        buffer_printf(out, "lossd_rejected_total{reason=\"%s\"} %" PRIu64 "\n", reject_names[i],
                      (uint64_t)atomic_load_explicit(&rejects->count[i], memory_order_relaxed));
}

/* ---- evaluations ---- */

static const char *loss_name(size_t place)
{
    return place < loss_count() ? loss_at(place)->name : record_several;
}

static void write_evaluations(const uint64_t *sum, struct buffer *out)
{
    static const char name[] = "lossd_evaluations_total";
    char labels[LABELS];
    head(out, name, "counter",
         "Requests to evaluate a loss that are over, by loss, protocol and status.");
    for (size_t i = 0; i <= loss_count(); i++) {
        for (size_t protocol = 0; protocol < PROTOCOL_COUNT; protocol++) {
            snprintf(labels, sizeof labels, "loss=\"%s\",protocol=\"%s\"", loss_name(i),
                     protocol_names[protocol]);
            write_statuses(name, labels, &sum[cell_of_evaluation(i, protocol, 0)], out);
        }
    }
}

static void write_losses(const uint64_t *sum, struct buffer *out)
{
    head(out, "lossd_elements_total", "counter",
         "Elements that were worked on: of each evaluation its terms, or its longest tensor.");
    for (size_t i = 0; i <= loss_count(); i++)
        buffer_printf(out, "lossd_elements_total{loss=\"%s\"} %" PRIu64 "\n", loss_name(i),
                      sum[cell_of_loss(i, LOSS_ELEMENTS)]);
    head(out, "lossd_loss_seconds_total", "counter",
         "Time that the evaluations of a loss have taken, by phase.");
    for (size_t i = 0; i <= loss_count(); i++)
        for (size_t phase = 0; phase < PHASE_COUNT; phase++)
            buffer_printf(out, "lossd_loss_seconds_total{loss=\"%s\",phase=\"%s\"} %.9f\n",
                          loss_name(i), phase_names[phase],
                          seconds(sum[cell_of_loss(i, LOSS_PHASES + phase)]));
}

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

static void write_durations(const uint64_t *sum, struct buffer *out)
{
    char labels[LABELS];
    head(out, "lossd_phase_seconds", "histogram",
         "Time that evaluations took in each phase; queue counts those that had to wait for the "
         "executor.");
    for (size_t i = 0; i < PHASE_COUNT; i++) {
        snprintf(labels, sizeof labels, "phase=\"%s\"", phase_names[i]);
        write_histogram("lossd_phase_seconds", labels, &sum[cell_of_phase(i)], out);
    }
    head(out, "lossd_evaluation_seconds", "histogram",
         "Time from the headers of an evaluation to the last byte of its answer.");
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        snprintf(labels, sizeof labels, "protocol=\"%s\"", protocol_names[i]);
        write_histogram("lossd_evaluation_seconds", labels, &sum[cell_of_duration(i)], out);
    }
}

/* ---- what is asked for ---- */

static void write_group(const struct metric_group *group, struct buffer *out)
{
    for (size_t i = 0; i < group->count; i++) {
        const struct metric_source *const source = &group->table[i];
        const double value = source->read(group->context, i);
        if (i == 0 || strcmp(source->name, group->table[i - 1].name) != 0)
            head(out, source->name, source->type == METRIC_COUNTER ? "counter" : "gauge",
                 source->help);
        if (isnan(value))
            continue;
        buffer_printf(out, source->labels ? "%s{%s} %.15g\n" : "%s%s %.15g\n", source->name,
                      source->labels ? source->labels : "", value);
    }
}

bool metrics_write(struct metrics *metrics, struct buffer *out)
{
    uint64_t *const sum = metrics_sum(metrics);
    if (!sum)
        return false;
    write_requests(metrics, sum, out);
    write_bytes(sum, out);
    write_rejects(metrics, out);
    write_evaluations(sum, out);
    write_losses(sum, out);
    write_durations(sum, out);
    free(sum);
    for (const struct metric_group *group = metrics_groups(metrics); group; group = group->next)
        write_group(group, out);
    return !out->failed;
}
