/* Results of a benchmark as a text table and as JSON. */
#include "bench/report.h"
#include "json/tensor_json.h"

#include <stdio.h>
#include <time.h>

/* ---- Table ---- */

/* Appends a latency with up to three decimals, fewer if it is 10 ms or more: four digits in all. */
static void put_ms(struct buffer *out, double ms)
{
    int decimals = 3;
    double bound = 10;
    while (decimals > 0 && ms >= bound) {
        decimals--;
        bound *= 10;
    }
    buffer_printf(out, " %8.*f", decimals, ms);
}

static void put_row(const struct scenario *scenario, struct buffer *out)
{
    const struct load_result *const result = &scenario->result;
    const double throughput = load_throughput(result);
    buffer_printf(out, "%-22s %10zu  %-11s %5d %11.1f %9.1f", scenario->spec, scenario->size,
                  payload_names[scenario->format], scenario->connections, throughput,
                  throughput * (double)(scenario->request_bytes + scenario->response_bytes) / 1e6);
    for (int quantity = P50; quantity <= LATENCY_MAX; quantity++)
        put_ms(out, scenario_quantity(scenario, (enum quantity)quantity));
    buffer_printf(out, " %7llu\n", (unsigned long long)load_errors(result));
    if (result->refused > 0)
        buffer_printf(out, "  %llu responses had a status other than 200; the last was %d\n",
                      (unsigned long long)result->refused, result->status);
    if (result->broken > 0)
        buffer_printf(out, "  %llu requests got no response: %s\n",
                      (unsigned long long)result->broken, result->why);
    if (result->unsent > 0)
        buffer_printf(out, "  %llu requests were due but not sent: no connection was free\n",
                      (unsigned long long)result->unsent);
}

void report_put_table(const struct bench *bench, struct buffer *out)
{
    if (bench->rate > 0)
        buffer_printf(out,
                      "%s, %g requests/s on a schedule, %g s each; latencies count from the time "
                      "when a request was due\n\n",
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

/* Appends the largest latency in milliseconds and the count of each non-empty bucket. */
static void put_histogram(const struct histogram *h, struct buffer *out)
{
    buffer_text(out, ",\"histogram\":[");
    for (size_t i = 0, n = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h->bucket[i] > 0)
            buffer_printf(out, "%s[%.6f,%llu]", n++ ? "," : "", histogram_bucket_max(i),
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
                  scenario->request_bytes, scenario->response_bytes, result->seconds,
                  (unsigned long long)result->answered, (unsigned long long)result->refused,
                  (unsigned long long)result->broken, (unsigned long long)result->unsent,
                  load_throughput(result), (double)result->latency.min / 1e6,
                  histogram_mean(&result->latency));
    static const char *const names[] = {
        [P50] = "p50", [P90] = "p90", [P99] = "p99", [P999] = "p99.9", [LATENCY_MAX] = "max"};
    for (int quantity = P50; quantity <= LATENCY_MAX; quantity++)
        buffer_printf(out, ",\"%s\":%.6f", names[quantity],
                      scenario_quantity(scenario, (enum quantity)quantity));
    buffer_text(out, "}");
    put_series(result, out);
    put_histogram(&result->latency, out);
    buffer_text(out, ",\"limits\":[");
    for (int k = 0; k < bench->limits; k++) {
        buffer_text(out, k ? ",{\"limit\":" : "{\"limit\":");
        json_append_string(out, bench->limit[k].text);
        buffer_printf(out, ",\"kept\":%s}",
                      limit_is_met(scenario, &bench->limit[k]) ? "true" : "false");
    }
    buffer_text(out, "]}");
}

void report_put_json(const struct bench *bench, struct buffer *out)
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
