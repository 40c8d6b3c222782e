/* Tests lossctl bench: its measurements, reports and limits. */

#include "lossctl_run.h"
#include "suites.h"
#include "support/folder.h"

#include <jansson.h>
#include <string.h>

static double number_in(const json_t *object, const char *key)
{
    const json_t *const number = json_object_get(object, key);
    ck_assert_msg(json_is_number(number), "%s is not a number", key);
    return json_number_value(number);
}

/* Checks that the results of a scenario are consistent. */
static void check_results(const json_t *scenario)
{
    static const char *const order[] = {"min", "p50", "p90", "p99", "p99.9", "max"};
    const json_t *const latency = json_object_get(scenario, "latency_ms");
    double before = 0, in_histogram = 0;
    size_t i;
    json_t *each;
    ck_assert_double_gt(number_in(scenario, "answered"), 0);
    ck_assert_double_eq(number_in(scenario, "refused") + number_in(scenario, "broken"), 0);
    ck_assert_double_eq_tol(number_in(scenario, "throughput"),
                            number_in(scenario, "answered") / number_in(scenario, "seconds"),
                            1 + number_in(scenario, "throughput") / 100);
    for (i = 0; i < sizeof order / sizeof order[0]; i++) {
        ck_assert_double_ge(number_in(latency, order[i]), before);
        before = number_in(latency, order[i]);
    }
    ck_assert_double_ge(number_in(latency, "mean"), number_in(latency, "min"));
    json_array_foreach(json_object_get(scenario, "histogram"), i, each) in_histogram +=
        json_number_value(json_array_get(each, 1));
    ck_assert_double_eq(in_histogram,
                        number_in(scenario, "answered") + number_in(scenario, "unsent"));
    ck_assert_uint_gt(json_array_size(json_object_get(scenario, "series")), 0);
}

START_TEST(bench_measures_every_format_and_writes_three_reports)
{
    static char html[8 * LOSSCTL_TEXT], json[8 * LOSSCTL_TEXT];
    size_t i;
    json_t *scenario;
    assert_run(
        OK,
        "$L bench --losses huber:delta=0.25,reduction=sum,ctc --formats "
        "json,base64,safetensors,oip --sizes 200 "
        "--connections 1,3 --grad "
        "--warm-up 0 --duration 0.1 --json b.json --html b.html --limit errors=0 --limit p99=10s");
    ck_assert_str_eq(lossctl_err, "");
    assert_has(lossctl_out, "closed loop");
    assert_has(lossctl_out, "\nctc                           200  oip             3 ");
    folder_read("b.json", json, sizeof json);
    json_t *const report = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(report);
    ck_assert(json_is_null(json_object_get(report, "rate")));
    const json_t *const scenarios = json_object_get(report, "scenarios");
    ck_assert_uint_eq(json_array_size(scenarios), 16);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(scenarios, 0), "loss")),
                     "huber:delta=0.25,reduction=sum");
    json_array_foreach(scenarios, i, scenario) check_results(scenario);
    json_decref(report);
    folder_read("b.html", html, sizeof html);
    assert_has(html, "ctc, 200 elements, oip, 3 connections");
    assert_has(html, "latency by percentile");
    assert_has(html, "</html>");
}
END_TEST

/* Requests are due on schedule while the server stalls for 0.6 s, so all requests of that time are
   late, not only one per connection. */
START_TEST(bench_at_a_fixed_rate_counts_requests_delayed_by_a_stall)
{
    assert_run(
        OK,
        "(sleep 0.4; kill -STOP %d; sleep 0.6; kill -CONT %d) & "
        "$L bench --rate 100 --connections 4 --warm-up 0 --duration 1.5 --sizes 10 --json -; wait",
        (int)lossctl_server.pid, (int)lossctl_server.pid);
    json_t *const report = json_loads(lossctl_out, 0, NULL), *const scenario = json_array_get(
                                                                 json_object_get(report,
                                                                                 "scenarios"),
                                                                 0);
    ck_assert_double_eq(number_in(report, "rate"), 100);
    ck_assert_double_eq(number_in(scenario, "answered") + number_in(scenario, "unsent"), 150);
    const json_t *const latency = json_object_get(scenario, "latency_ms");
    ck_assert_double_gt(number_in(latency, "max"), 500);
    /* 40 % were due during the stall, with latencies spread evenly from 0 to 600 ms. */
    ck_assert_double_gt(number_in(latency, "p90"), 200);
    json_decref(report);
}
END_TEST

START_TEST(bench_fails_if_a_limit_is_missed)
{
    struct server_process other;
    assert_run(FAILED, "$L bench --duration 0.1 --warm-up 0 --sizes 10 --limit throughput=1e9 "
                       "--limit p99=0.001us --limit max=10s");
    assert_has(lossctl_err, "lossctl: mse, 10 elements, safetensors, 8 connections does not meet "
                            "--limit throughput=1e9: measured ");
    assert_has(lossctl_err, " requests/s\n");
    assert_has(lossctl_err, " does not meet --limit p99=0.001us: measured ");
    ck_assert_ptr_null(strstr(lossctl_err, "max=10s"));
    assert_has(lossctl_out, "requests/s");
    server_process_start(&other, (const char *const[]){"--log-level", "error", NULL});
    assert_run(FAILED,
               "(sleep 0.3; kill -KILL %d) & $L bench --url http://127.0.0.1:%d --duration 0.6 "
               "--warm-up 0 --rate 50 "
               "--limit errors=0; R=$?; wait; exit $R",
               (int)other.pid, other.port);
    assert_has(lossctl_err, " does not meet --limit errors=0: measured ");
    assert_has(lossctl_out, " requests got no response: ");
    server_process_free(&other);
    /* Ctrl-C ends the measurement early, and the results are printed. */
    assert_run(FAILED, "timeout --foreground --preserve-status -s INT 0.5 $L bench --duration 100 "
                       "--warm-up 0 --sizes 10");
    assert_has(lossctl_err, "lossctl: interrupted; the results cover only the time until then\n");
    assert_has(lossctl_out, "\nmse ");
}
END_TEST

START_TEST(bench_option_errors_say_what_is_expected)
{
    assert_wrong(USAGE, "no such format 'jsn'; did you mean 'json'?",
                 "$L bench --formats json,jsn");
    assert_wrong(USAGE, "no such loss 'mze'; did you mean 'mse'?", "$L bench --losses mze");
    assert_wrong(USAGE,
                 "--sizes contains 'x'; expected integers from 1 to 1000000000, separated by "
                 "commas",
                 "$L bench --sizes 10,x");
    assert_wrong(USAGE,
                 "--limit is 'p98=1ms'; it must limit p50, p90, p99, p99.9, max, mean, "
                 "errors or throughput",
                 "$L bench --limit p98=1ms");
    assert_wrong(USAGE, "--limit is 'p99=1'; expected a limit such as p99=50ms, 800us or 2s",
                 "$L bench --limit p99=1");
    assert_wrong(USAGE, "--duration is '0'; it must be a number from 0.1 to 1000000",
                 "$L bench --duration 0");
    assert_run(USAGE, "$L bench --losses huber:dlta=2");
    assert_has(lossctl_err, "huber has no field 'dlta'; did you mean 'delta'?");
    assert_run(INPUT,
               "$L bench --losses info_nce --sizes 1000000 --duration 0.1"); /* too many queries */
    assert_has(lossctl_err, "lossctl: info_nce, 1000000 elements, safetensors, 8 connections: ");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_bench_suite(void)
{
    Suite *suite = suite_create("lossctl_bench");
    if (!lossctl_find())
        return suite;
    TCase *const tcase =
        suite_add_case(suite, "lossctl_bench", 60, lossctl_setup, lossctl_teardown);
    CASE_ADD(tcase, bench_option_errors_say_what_is_expected);
    TCase *const slow =
        suite_add_case(suite, "lossctl_bench_slow", 60, lossctl_setup, lossctl_teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, bench_measures_every_format_and_writes_three_reports,
             bench_at_a_fixed_rate_counts_requests_delayed_by_a_stall,
             bench_fails_if_a_limit_is_missed);
    return suite;
}
