/* Results of a benchmark as one self-contained HTML page with plots, in light and dark colors. */
#include "bench/plot.h"
#include "bench/report.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

/* The contents of three files, because the page is self-contained. */
__asm__(".pushsection .rodata\n"
        ".hidden report_tokens\n.globl report_tokens\n"
        "report_tokens:\n.incbin \"web/tokens.css\"\n.byte 0\n"
        ".hidden report_style\n.globl report_style\n"
        "report_style:\n.incbin \"clients/lossctl/bench/report.css\"\n.byte 0\n"
        ".hidden report_logo\n.globl report_logo\n"
        "report_logo:\n.incbin \"web/icon.svg\"\n.byte 0\n"
        ".popsection");
extern const char report_tokens[], report_style[], report_logo[];

static void put_head(struct buffer *out)
{
    buffer_text(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<title>lossctl bench</title>\n<style>\n");
    buffer_text(out, report_tokens);
    buffer_text(out, report_style);
    buffer_text(out, "</style>\n</head>\n<body>\n<h1>");
    buffer_text(out, report_logo);
    buffer_text(out, "lossctl bench</h1>\n");
}

/* Appends text, escaped for HTML. */
static void put_escaped(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            buffer_text(out, "&lt;");
        else if (*text == '&')
            buffer_text(out, "&amp;");
        else
            buffer_append(out, text, 1);
    }
}

/* ---- Table ---- */

static void put_row(const struct bench *bench, const struct scenario *scenario, int i,
                    struct buffer *out)
{
    char label[SCENARIO_LABEL];
    const double throughput = load_throughput(&scenario->result);
    buffer_printf(out, "<tr><td><a href=\"#s%d\">", i);
    put_escaped(out, scenario_label(scenario, label));
    buffer_printf(out, "</a></td><td>%.1f</td><td>%.1f</td>", throughput,
                  throughput * (double)(scenario->request_bytes + scenario->response_bytes) / 1e6);
    for (int quantity = P50; quantity <= LATENCY_MAX; quantity++)
        buffer_printf(out, "<td>%.4g</td>", scenario_quantity(scenario, (enum quantity)quantity));
    buffer_printf(out, "<td%s>%llu</td><td>%llu</td>",
                  load_errors(&scenario->result) > 0 ? " class=\"bad\"" : "",
                  (unsigned long long)load_errors(&scenario->result),
                  (unsigned long long)scenario->result.unsent);
    for (int k = 0; k < bench->limits; k++)
        buffer_text(out, limit_is_met(scenario, &bench->limit[k])
                             ? "<td>met</td>"
                             : "<td class=\"bad\">missed</td>");
    buffer_text(out, "</tr>\n");
}

static void put_table(const struct bench *bench, struct buffer *out)
{
    buffer_text(
        out,
        "<div class=\"wide\"><table>\n<tr><th>scenario</th><th>requests/s</th><th>MB/s</th><th>p50 "
        "ms</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th><th>errors</th><th>unsent</th>");
    for (int k = 0; k < bench->limits; k++) {
        buffer_text(out, "<th>");
        put_escaped(out, bench->limit[k].text);
        buffer_text(out, "</th>");
    }
    buffer_text(out, "</tr>\n");
    for (int i = 0; i < bench->count; i++)
        if (bench->scenario[i].ran)
            put_row(bench, &bench->scenario[i], i, out);
    buffer_text(out, "</table></div>\n");
}

/* ---- Plots ---- */

static void plot_time(const struct load_result *result, struct buffer *out)
{
    double time[LOAD_INTERVALS], rate[LOAD_INTERVALS], p50[LOAD_INTERVALS], p99[LOAD_INTERVALS],
        max[LOAD_INTERVALS];
    const size_t n = (size_t)result->intervals;
    for (size_t i = 0; i < n; i++) {
        time[i] = ((double)i + 0.5) * result->interval;
        rate[i] = (double)result->series[i].requests / result->interval;
        p50[i] = result->series[i].p50;
        p99[i] = result->series[i].p99;
        max[i] = result->series[i].max;
    }
    plot_put(&(struct plot){.title = "responses per second",
                            .x_label = "seconds",
                            .y_label = "requests/s",
                            .lines = 1,
                            .line = {{"requests/s", time, rate, n}}},
             out);
    plot_put(
        &(struct plot){
            .title = "latency over time",
            .x_label = "seconds",
            .y_label = "milliseconds",
            .log_y = true,
            .lines = 3,
            .line = {{"p50", time, p50, n}, {"p99", time, p99, n}, {"max", time, max, n}}},
        out);
}

/* Plots percentiles, up to the last that the number of requests supports. x is the number of nines:
   1 is 90 %, 2 is 99 %. */
static void plot_percentiles(const struct histogram *h, struct buffer *out)
{
    enum { POINTS = 121 };
    double x[POINTS], y[POINTS];
    const double max = h->count > 1 ? fmin(log10((double)h->count), 6) : 1;
    for (size_t i = 0; i < POINTS; i++) {
        x[i] = max * (double)i / (POINTS - 1);
        y[i] = histogram_percentile(h, 1 - pow(10, -x[i]));
    }
    plot_put(&(struct plot){.title = "latency by percentile",
                            .x_label = "fraction of requests",
                            .y_label = "milliseconds",
                            .log_y = true,
                            .lines = 1,
                            .line = {{"latency", x, y, POINTS}},
                            .ticks = 8,
                            .tick = {0, 0.30103, 1, 2, 3, 4, 5, 6},
                            .tick_name = {"0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %",
                                          "99.999 %", "99.9999 %"}},
             out);
}

static void put_scenario(const struct scenario *scenario, int i, struct buffer *out)
{
    char label[SCENARIO_LABEL];
    buffer_printf(out, "<h2 id=\"s%d\">", i);
    put_escaped(out, scenario_label(scenario, label));
    buffer_printf(out,
                  "</h2>\n<p>request body %zu bytes, response body %zu bytes; %llu responses in "
                  "%.1f s</p>\n<div "
                  "class=\"plots\">\n",
                  scenario->request_bytes, scenario->response_bytes,
                  (unsigned long long)scenario->result.answered, scenario->result.seconds);
    plot_time(&scenario->result, out);
    plot_percentiles(&scenario->result.latency, out);
    buffer_text(out, "</div>\n");
}

void report_put_html(const struct bench *bench, struct buffer *out)
{
    char when[32];
    const time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    put_head(out);
    buffer_text(out, "<p>");
    put_escaped(out, bench->url);
    buffer_printf(out, ", %s; %g s each after %g s of warm-up; ", when, bench->duration,
                  bench->warm_up);
    if (bench->rate > 0)
        buffer_printf(out,
                      "%g requests/s on a schedule; latencies count from the time when a request "
                      "was due.</p>\n",
                      bench->rate);
    else
        buffer_text(
            out, "closed loop: each connection sends its next request after the response.</p>\n");
    put_table(bench, out);
    for (int i = 0; i < bench->count; i++)
        if (bench->scenario[i].ran)
            put_scenario(&bench->scenario[i], i, out);
    buffer_text(out, "</body>\n</html>\n");
}
