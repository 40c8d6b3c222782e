/* What came out of a bench, as a table and as JSON; and the limits on it. */
#include "bench/bench.h"
#include "number/number.h"
#include "json/tensor_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- limits ---- */

static const struct {
    const char *name;
    enum quantity quantity;
} names[] = {{"p50", P50},     {"p90", P90},   {"p99", P99},       {"p99.9", P999},
             {"max", LONGEST}, {"mean", MEAN}, {"errors", ERRORS}, {"throughput", THROUGHPUT}};
enum { NAMES = sizeof names / sizeof names[0] };

/* Reads what stands behind the '='; false where it is not of that kind. */
static bool read_bound(struct bench_limit *limit, const char *text)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}};
    const char *const end = number_read_f64(text, &limit->bound);
    if (!end || limit->bound < 0)
        return false;
    if (limit->quantity == ERRORS && strcmp(end, "%") == 0) {
        limit->quantity = ERROR_SHARE;
        limit->bound /= 100;
        return true;
    }
    if (limit->quantity == ERRORS || limit->quantity == THROUGHPUT)
        return *end == '\0';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0) {
            limit->bound *= units[i].ms;
            return true;
        }
    return false;
}

enum exit_code bench_limit_read(struct bench_limit *limit, const char *text)
{
    const size_t len = strcspn(text, "=");
    *limit = (struct bench_limit){.quantity = QUANTITIES, .text = text};
    for (int i = 0; i < NAMES; i++)
        if (strlen(names[i].name) == len && strncmp(names[i].name, text, len) == 0)
            limit->quantity = names[i].quantity;
    if (limit->quantity == QUANTITIES)
        return fail(EXIT_USAGE,
                    "--limit is '%s'; there are limits on p50, p90, p99, p99.9, max, mean, errors "
                    "and throughput",
                    text);
    if (text[len] != '=' || !read_bound(limit, text + len + 1))
        return fail(EXIT_USAGE, "--limit is '%s'; it must be like %.*s=%s", text, (int)len, text,
                    limit->quantity == ERRORS       ? "0 or errors=0.1%"
                    : limit->quantity == THROUGHPUT ? "1000"
                                                    : "50ms, 800us or 2s");
    return EXIT_OK;
}

double bench_quantity(const struct scenario *scenario, enum quantity quantity)
{
    static const double shares[] = {[P50] = 0.5, [P90] = 0.9, [P99] = 0.99, [P999] = 0.999};
    const struct load_result *const result = &scenario->result;
    const double errors = (double)load_errors(result), all = errors + (double)result->answered;
    switch (quantity) {
    case LONGEST:
        return (double)result->latency.max / 1e6;
    case MEAN:
        return histogram_mean(&result->latency);
    case ERRORS:
        return errors;
    case ERROR_SHARE:
        return all > 0 ? errors / all : 0;
    case THROUGHPUT:
        return load_throughput(result);
    default:
        return histogram_percentile(&result->latency, shares[quantity]);
    }
}

bool bench_keeps(const struct scenario *scenario, const struct bench_limit *limit)
{
    const double found = bench_quantity(scenario, limit->quantity);
    if (scenario->result.answered == 0) /* nothing was measured, so that nothing was kept */
        return false;
    return limit->quantity == THROUGHPUT ? found >= limit->bound : found <= limit->bound;
}

/* ---- the table ---- */

const char *bench_label(const struct scenario *scenario, char *text)
{
    snprintf(text, BENCH_LABEL, "%s, %zu element%s, %s, %d connection%s", scenario->spec,
             scenario->size, scenario->size == 1 ? "" : "s", payload_names[scenario->format],
             scenario->connections, scenario->connections == 1 ? "" : "s");
    return text;
}

/* Three digits are what is repeatable of a latency. */
static void put_ms(struct buffer *out, double ms)
{
    buffer_printf(out, " %8.*f", ms < 10 ? 3 : ms < 100 ? 2 : ms < 1000 ? 1 : 0, ms);
}

static void put_row(const struct scenario *scenario, struct buffer *out)
{
    const struct load_result *const result = &scenario->result;
    const double throughput = load_throughput(result);
    buffer_printf(out, "%-22s %10zu  %-11s %5d %11.1f %9.1f", scenario->spec, scenario->size,
                  payload_names[scenario->format], scenario->connections, throughput,
                  throughput * (double)(scenario->request_bytes + scenario->answer_bytes) / 1e6);
    for (int quantity = P50; quantity <= LONGEST; quantity++)
        put_ms(out, bench_quantity(scenario, (enum quantity)quantity));
    buffer_printf(out, " %7llu\n", (unsigned long long)load_errors(result));
    if (result->refused > 0)
        buffer_printf(out, "  %llu answers were not 200; the last was %d\n",
                      (unsigned long long)result->refused, result->status);
    if (result->broken > 0)
        buffer_printf(out, "  %llu requests had no answer: %s\n",
                      (unsigned long long)result->broken, result->why);
    if (result->unsent > 0)
        buffer_printf(out, "  %llu requests fell due and were not sent: no connection was free\n",
                      (unsigned long long)result->unsent);
}

void bench_put_table(const struct bench *bench, struct buffer *out)
{
    if (bench->rate > 0)
        buffer_printf(out,
                      "%s, %g requests a second are due, %g s each; latencies count from when a "
                      "request was due\n\n",
                      bench->url, bench->rate, bench->duration);
    else
        buffer_printf(out, "%s, closed loop, %g s each\n\n", bench->url, bench->duration);
    buffer_printf(out, "%-22s %10s  %-11s %5s %11s %9s %8s %8s %8s %8s %8s %7s\n", "loss",
                  "elements", "format", "conn.", "requests/s", "MB/s", "p50 ms", "p90", "p99",
                  "p99.9", "max", "errors");
    for (int i = 0; i < bench->count; i++)
        if (bench->scenario[i].ran)
            put_row(&bench->scenario[i], out);
}

/* ---- JSON ---- */

static void put_series(const struct load_result *result, struct buffer *out)
{
    buffer_printf(out, ",\"interval_seconds\":%g,\"series\":[", result->interval);
    for (int i = 0; i < result->intervals; i++)
        buffer_printf(out, "%s{\"requests\":%llu,\"p50\":%.4f,\"p99\":%.4f,\"max\":%.4f}",
                      i ? "," : "", (unsigned long long)result->series[i].requests,
                      result->series[i].p50, result->series[i].p99, result->series[i].max);
    buffer_text(out, "]");
}

/* Every bucket that holds anything: the longest latency in it, and how many. */
static void put_histogram(const struct histogram *h, struct buffer *out)
{
    buffer_text(out, ",\"histogram\":[");
    for (size_t i = 0, n = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h->bucket[i] > 0)
            buffer_printf(out, "%s[%.6f,%llu]", n++ ? "," : "", histogram_edge(i),
                          (unsigned long long)h->bucket[i]);
    buffer_text(out, "]");
}

static void put_scenario(const struct bench *bench, const struct scenario *scenario,
                         struct buffer *out)
{
    const struct load_result *const result = &scenario->result;
    buffer_text(out, "{\"loss\":");
    json_append_string(out, scenario->spec);
    buffer_printf(out,
                  ",\"elements\":%zu,\"format\":\"%s\",\"connections\":%d,\"request_bytes\":%zu,"
                  "\"answer_bytes\":%zu,\"seconds\":%.3f,\"answered\":%llu,\"refused\":%llu,"
                  "\"broken\":%llu,\"unsent\":%llu,"
                  "\"throughput\":%.3f,\"latency_ms\":{\"min\":%.6f,\"mean\":%.6f",
                  scenario->size, payload_names[scenario->format], scenario->connections,
                  scenario->request_bytes, scenario->answer_bytes, result->seconds,
                  (unsigned long long)result->answered, (unsigned long long)result->refused,
                  (unsigned long long)result->broken, (unsigned long long)result->unsent,
                  load_throughput(result), (double)result->latency.min / 1e6,
                  histogram_mean(&result->latency));
    for (int i = 0; i < NAMES && names[i].quantity <= LONGEST; i++)
        buffer_printf(out, ",\"%s\":%.6f", names[i].name,
                      bench_quantity(scenario, names[i].quantity));
    buffer_text(out, "}");
    put_series(result, out);
    put_histogram(&result->latency, out);
    buffer_text(out, ",\"limits\":[");
    for (int k = 0; k < bench->limits; k++) {
        buffer_text(out, k ? ",{\"limit\":" : "{\"limit\":");
        json_append_string(out, bench->limit[k].text);
        buffer_printf(out, ",\"kept\":%s}",
                      bench_keeps(scenario, &bench->limit[k]) ? "true" : "false");
    }
    buffer_text(out, "]}");
}

void bench_put_json(const struct bench *bench, struct buffer *out)
{
    char when[32];
    const time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    buffer_text(out, "{\"lossctl\":\"" LOSS_VERSION "\",\"url\":");
    json_append_string(out, bench->url);
    buffer_printf(out, ",\"when\":\"%s\",\"rate\":", when);
    if (bench->rate > 0)
        buffer_printf(out, "%g", bench->rate);
    else
        buffer_text(out, "null");
    buffer_printf(out,
                  ",\"grad\":%s,\"warm_up_seconds\":%g,\"duration_seconds\":%g,\"scenarios\":[",
                  bench->grad ? "true" : "false", bench->warm_up, bench->duration);
    for (int i = 0, n = 0; i < bench->count; i++)
        if (bench->scenario[i].ran) {
            buffer_text(out, n++ ? ",\n" : "\n");
            put_scenario(bench, &bench->scenario[i], out);
        }
    buffer_text(out, "\n]}\n");
}
