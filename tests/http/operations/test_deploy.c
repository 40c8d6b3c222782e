/*
 * The files in deploy/: they use existing metrics, and the programs they are for accept them.
 * docs/operations.md: it names every metric, option, reason, alert and log field, and no other
 * metrics and options.
 */
#include "observe/rejections.h"
#include "suites.h"
#include "support/command.h"
#include "support/http_client.h"
#include "support/server_process.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROMETHEUS "deploy/prometheus/"
static const char operations_file[] = "docs/operations.md";
static const char dashboard_file[] = "deploy/grafana/lossd.json";
static const char rules_file[] = PROMETHEUS "lossd.rules.yml";
static const char rules_test_file[] = PROMETHEUS "lossd.test.yml";

enum { NAME = 128, COMMAND = 512, DASHBOARD_WIDTH = 24 };

/* ---- Helpers ---- */

/* Reads a file. The caller frees it. */
static char *read_file(const char *path)
{
    enum { ROOM = 1 << 18 };
    char *const text = calloc(1, ROOM);
    FILE *const file = fopen(path, "re");
    ck_assert_msg(text && file, "cannot read %s", path);
    ck_assert_uint_lt(fread(text, 1, ROOM - 1, file), ROOM - 1);
    fclose(file);
    return text;
}

/* Runs a command that must succeed. */
static void run(const char *command)
{
    char printed[4096];
    const int status = command_run(printed, sizeof printed, "%s 2>&1", command);
    ck_assert_msg(status == 0, "%s exited with %d and printed: %s", command, status, printed);
}

/* Returns the text of GET /metrics. The caller frees it. */
static char *scrape(void)
{
    struct server_process server;
    struct http_client client;
    struct http_response response = {.status = 0};
    server_process_start(&server, (const char *const[]){"--log-level=error", "--threads=1", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(http_client_ask(&client, "GET", "/metrics", NULL, NULL, 0, &response));
    char *const text = strdup(response.body);
    http_client_close(&client);
    http_response_free(&response);
    server_process_end(&server);
    return text;
}

static bool is_name(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == ':';
}

/* Returns true if there is a metric of that name, or a histogram that it is part of. */
static bool is_metric(const char *metrics, const char *name)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    char line[2 * NAME];
    snprintf(line, sizeof line, "# TYPE %s ", name);
    if (strstr(metrics, line))
        return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        const size_t len = strlen(name), suffix = strlen(suffixes[i]);
        if (len <= suffix || strcmp(name + len - suffix, suffixes[i]) != 0)
            continue;
        snprintf(line, sizeof line, "# TYPE %.*s histogram\n", (int)(len - suffix), name);
        if (strstr(metrics, line))
            return true;
    }
    return false;
}

/* Checks every word that begins like a metric of lossd. Returns their count. */
static int check_names(const char *metrics, const char *path)
{
    char *const text = read_file(path), name[NAME];
    int count = 0;
    for (const char *at = text; *at;) {
        size_t len = 0;
        while (is_name(at[len]))
            len++;
        if ((strncmp(at, "lossd_", 6) == 0 || strncmp(at, "process_", 8) == 0) && len < NAME) {
            snprintf(name, sizeof name, "%.*s", (int)len, at);
            ck_assert_msg(is_metric(metrics, name), "%s names %s, which is not a metric of lossd",
                          path, name);
            count++;
        }
        at += len > 0 ? len : 1;
    }
    free(text);
    return count;
}

START_TEST(deploy_uses_existing_metrics)
{
    char *const metrics = scrape();
    ck_assert_int_gt(check_names(metrics, rules_file), 10);
    ck_assert_int_gt(check_names(metrics, rules_test_file), 10);
    ck_assert_int_gt(check_names(metrics, dashboard_file), 20);
    free(metrics);
}
END_TEST

/* ---- docs/operations.md ---- */

/* Checks that the page contains a text in backticks. */
static void expect_named(const char *page, const char *what, const char *text)
{
    char quoted[NAME];
    snprintf(quoted, sizeof quoted, "`%s`", text);
    ck_assert_msg(strstr(page, quoted) != NULL, "docs/operations.md does not name the %s %s", what,
                  quoted);
}

START_TEST(operations_names_every_metric)
{
    char *const metrics = scrape(), *const page = read_file(operations_file), name[NAME];
    int count = 0;
    for (const char *at = metrics; (at = strstr(at, "# TYPE ")); count++) {
        at += strlen("# TYPE ");
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
        expect_named(page, "metric", name);
    }
    ck_assert_int_gt(count, 20);
    ck_assert_int_ge(check_names(metrics, operations_file), count);
    free(metrics);
    free(page);
}
END_TEST

/* Returns the flag at the start of a text, "--name". */
static const char *flag_at(const char *text, char flag[NAME])
{
    snprintf(flag, NAME, "%.*s", (int)strspn(text, "-abcdefghijklmnopqrstuvwxyz0123456789"), text);
    return flag;
}

/* Returns true if --help describes a flag. */
static bool is_listed(const char *help, const char *flag)
{
    char line[2 * NAME];
    snprintf(line, sizeof line, "\n  %s", flag);
    for (const char *at = help; (at = strstr(at, line)); at++) {
        if (strchr(" \n", at[strlen(line)]))
            return true;
    }
    return false;
}

START_TEST(operations_names_every_option)
{
    enum { HELP = 1 << 16 };
    static char help[HELP];
    const char *const program = getenv("LOSSD");
    char *const page = read_file(operations_file), flag[NAME];
    int count = 0;
    ck_assert_int_eq(command_run(help, HELP, "%s --help", program ? program : "build/lossd"), 0);
    for (const char *at = help; (at = strstr(at, "\n  --")); count++, at++)
        expect_named(page, "option", flag_at(at + 3, flag));
    ck_assert_int_gt(count, 20);
    for (const char *at = page; (at = strstr(at, "`--")); at++) {
        ck_assert_msg(is_listed(help, flag_at(at + 1, flag)),
                      "docs/operations.md names %s, which is not an option", flag);
    }
    free(page);
}
END_TEST

START_TEST(operations_names_every_reason_and_alert)
{
    static const char mark[] = "- alert: ";
    char *const page = read_file(operations_file), *const rules = read_file(rules_file), name[NAME];
    for (int i = 0; i < REJECTION_COUNT; i++)
        expect_named(page, "reason", rejection_names[i]);
    for (const char *at = rules; (at = strstr(at, mark));) {
        at += strlen(mark);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\n"), at);
        ck_assert_msg(strstr(page, name) != NULL,
                      "docs/operations.md does not say what to do about %s", name);
    }
    free(page);
    free(rules);
}
END_TEST

START_TEST(operations_names_every_field_of_the_log)
{
    static const char body[] = "{\"input\":[1],\"target\":[2]}";
    static const char headers[] = "X-Request-Id: seen\r\ntraceparent: "
                                  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    struct server_process server;
    struct http_client client;
    struct http_response response = {.status = 0};
    server_process_start(&server, (const char *const[]){"--log-format=json", "--threads=1", NULL});
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert(
        http_client_ask(&client, "POST", "/v1/losses/mse", headers, body, strlen(body), &response));
    http_client_close(&client);
    http_response_free(&response);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *const log = server_process_log(&server), *const page = read_file(operations_file);
    const char *line = strstr(log, "\"id\":\"seen\"");
    ck_assert_msg(line != NULL, "%s", log);
    while (line > log && line[-1] != '\n')
        line--;
    json_t *const tree = json_loadb(line, strcspn(line, "\n"), 0, NULL), *value;
    const char *name;
    ck_assert_uint_gt(json_object_size(tree), 15);
    json_object_foreach(tree, name, value) expect_named(page, "field of the log", name);
    json_decref(tree);
    free(log);
    free(page);
    server_process_free(&server);
}
END_TEST

/* ---- Grafana's dashboard ---- */

static int integer_at(const json_t *object, const char *name)
{
    ck_assert_msg(json_is_integer(json_object_get(object, name)), "%s is not an integer", name);
    return (int)json_integer_value(json_object_get(object, name));
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *const text = json_string_value(json_object_get(object, name));
    ck_assert_msg(text && *text, "%s is not a string, or is empty", name);
    return text;
}

static json_t *read_dashboard(void)
{
    json_error_t error;
    json_t *const dashboard = json_load_file(dashboard_file, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(dashboard != NULL, "%s, line %d: %s", dashboard_file, error.line, error.text);
    return dashboard;
}

/* Panels must not overlap or exceed the grid. */
static void check_place(const json_t *panel, bool taken[][DASHBOARD_WIDTH], int rows)
{
    const json_t *const place = json_object_get(panel, "gridPos");
    const int x = integer_at(place, "x"), y = integer_at(place, "y"), w = integer_at(place, "w"),
              h = integer_at(place, "h");
    ck_assert(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= DASHBOARD_WIDTH && y + h <= rows);
    for (int row = y; row < y + h; row++) {
        for (int column = x; column < x + w; column++) {
            ck_assert_msg(!taken[row][column], "\"%s\" overlaps another panel",
                          text_at(panel, "title"));
            taken[row][column] = true;
        }
    }
}

START_TEST(deploy_dashboard_is_valid)
{
    enum { ROWS = 200, PANELS = 200 };
    static bool taken[ROWS][DASHBOARD_WIDTH];
    bool ids[PANELS] = {false};
    json_t *const dashboard = read_dashboard(), *panel, *target;
    size_t i, j;
    ck_assert_int_ge(integer_at(dashboard, "schemaVersion"), 36);
    ck_assert_str_eq(text_at(dashboard, "title"), "lossd");
    json_array_foreach(json_object_get(dashboard, "panels"), i, panel)
    {
        const int id = integer_at(panel, "id");
        const bool is_row = strcmp(text_at(panel, "type"), "row") == 0;
        ck_assert(id > 0 && id < PANELS && !ids[id]);
        ids[id] = true;
        text_at(panel, "title");
        check_place(panel, taken, ROWS);
        ck_assert(is_row || json_array_size(json_object_get(panel, "targets")) > 0);
        json_array_foreach(json_object_get(panel, "targets"), j, target)
        {
            text_at(target, "expr");
            ck_assert_str_eq(text_at(json_object_get(target, "datasource"), "uid"),
                             "${datasource}");
        }
    }
    ck_assert_uint_gt(i, 20);
    json_decref(dashboard);
}
END_TEST

/* ---- Build ---- */

/* Only lossctl needs libcurl. Without its headers, everything else is built. */
START_TEST(deploy_builds_the_server_without_libcurl)
{
    char printed[1 << 16];
    ck_assert_int_eq(command_run(printed, sizeof printed,
                                 "make -n all CPPFLAGS=-nostdinc | grep -e 'not built' -e -lcurl"),
                     0);
    ck_assert_ptr_nonnull(strstr(printed, "lossctl is not built"));
    ck_assert_ptr_null(strstr(printed, "-lcurl"));
}
END_TEST

/* ---- Containers ---- */

START_TEST(deploy_image_and_compose_are_valid)
{
    char command[COMMAND];
    const char *const program = getenv("LOSSD");
    snprintf(command, sizeof command, "/usr/bin/python3 -B tests/compose/validate.py %s",
             program ? program : "build/lossd");
    run(command);
}
END_TEST

/* ---- promtool ---- */

START_TEST(deploy_prometheus_passes_promtool)
{
    run("promtool check config " PROMETHEUS "prometheus.yml");
    run("promtool check config " PROMETHEUS "compose.yml");
    run("promtool check rules " PROMETHEUS "lossd.rules.yml");
    run("promtool test rules " PROMETHEUS "lossd.test.yml");
}
END_TEST

/* Each alert has a case in which it fires and one in which it does not. */
START_TEST(deploy_alerts_are_all_tested)
{
    static const char mark[] = "- alert: ";
    char *const rules = read_file(rules_file), *const tests = read_file(rules_test_file);
    int count = 0;
    for (const char *at = rules; (at = strstr(at, mark)); count++) {
        char fires[NAME], silent[NAME];
        at += strlen(mark);
        const int len = (int)strcspn(at, "\n");
        snprintf(fires, sizeof fires,
                 "alertname: %.*s\n        exp_alerts:\n          - exp_labels:", len, at);
        snprintf(silent, sizeof silent, "alertname: %.*s}", len, at);
        ck_assert_msg(strstr(tests, fires) != NULL, "%.*s has no test in which it fires", len, at);
        ck_assert_msg(strstr(tests, silent) != NULL, "%.*s has no test in which it is silent", len,
                      at);
    }
    ck_assert_int_gt(count, 5);
    free(rules);
    free(tests);
}
END_TEST

/* Copies an expression, with values in place of Grafana's variables. */
static json_t *filled_in(const char *expression)
{
    static const struct {
        const char *name, *value;
    } variables[] = {{"$__rate_interval", "5m"}, {"$job", "lossd"}, {"$instance", ".*"}};
    char text[COMMAND] = "";
    size_t len = 0;
    for (const char *at = expression; *at && len < sizeof text - 8;) {
        size_t i = 0;
        while (i < 3 && strncmp(at, variables[i].name, strlen(variables[i].name)) != 0)
            i++;
        ck_assert_msg(i < 3 || *at != '$', "unknown variable: %s", at);
        len += (size_t)sprintf(text + len, "%.*s", i < 3 ? 8 : 1, i < 3 ? variables[i].value : at);
        at += i < 3 ? strlen(variables[i].name) : 1;
    }
    ck_assert_uint_lt(len, sizeof text - 8);
    return json_string(text);
}

/* Checks the expressions as rules with promtool. The file is JSON, which is valid YAML. */
START_TEST(deploy_dashboard_expressions_pass_promtool)
{
    char file[] = "/tmp/lossd-dashboard-XXXXXX", command[COMMAND];
    json_t *const dashboard = read_dashboard(), *const rules = json_array(), *panel, *target;
    size_t i, j;
    json_array_foreach(json_object_get(dashboard, "panels"), i, panel)
    {
        json_array_foreach(json_object_get(panel, "targets"), j, target)
        {
            char name[NAME];
            snprintf(name, sizeof name, "panel_%zu_%zu", i, j);
            json_array_append_new(rules, json_pack("{s:s, s:o}", "record", name, "expr",
                                                   filled_in(text_at(target, "expr"))));
        }
    }
    json_t *const groups =
        json_pack("{s:[{s:s, s:o}]}", "groups", "name", "dashboard", "rules", rules);
    const int fd = mkstemp(file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(json_dumpfd(groups, fd, JSON_INDENT(1)), 0);
    close(fd);
    snprintf(command, sizeof command, "promtool check rules %s", file);
    run(command);
    unlink(file);
    json_decref(groups);
    json_decref(dashboard);
}
END_TEST

/* ---- Kubernetes ---- */

static const char fetch_schemas[] = "cd tests/kubernetes && { test -d node_modules || npm ci "
                                    "--ignore-scripts --no-audit --no-fund --fetch-retries=1; }";

START_TEST(deploy_manifests_are_valid)
{
    struct server_process server;
    char printed[4096];
    const char *const which = getenv("LOSSD_CLIENTS"), *const program = getenv("LOSSD");
    if (!command_succeeds(fetch_schemas)) {
        ck_assert_msg(!which || strcmp(which, "all") != 0,
                      "npm could not fetch Kubernetes' schemas: %s", fetch_schemas);
        fprintf(stderr, "deploy: the Kubernetes manifests are skipped: npm is not installed or "
                        "cannot fetch the schemas\n");
        return;
    }
    server_process_start(&server, (const char *const[]){"--log-level=error", "--threads=1", NULL});
    const int status = command_run(printed, sizeof printed,
                                   "node tests/kubernetes/validate.mjs %s http://127.0.0.1:%d 2>&1",
                                   program ? program : "build/lossd", server.port);
    server_process_end(&server);
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

Suite *deploy_suite(void)
{
    Suite *suite = suite_create("deploy");
    SUITE_ADD(suite, "deploy", deploy_uses_existing_metrics, deploy_dashboard_is_valid,
              deploy_alerts_are_all_tested, deploy_builds_the_server_without_libcurl);
    if (command_succeeds("command -v promtool"))
        SUITE_ADD(suite, "promtool", deploy_prometheus_passes_promtool,
                  deploy_dashboard_expressions_pass_promtool);
    else
        fprintf(stderr, "deploy: promtool tests are skipped: prometheus is not installed\n");
    if (command_succeeds("/usr/bin/python3 -c 'import yaml' && command -v dpkg objdump"))
        SUITE_ADD(suite, "containers", deploy_image_and_compose_are_valid);
    else
        fprintf(stderr, "deploy: the containers are not tested: python3-yaml is not installed\n");
    SUITE_ADD(suite, "operations", operations_names_every_metric, operations_names_every_option,
              operations_names_every_reason_and_alert, operations_names_every_field_of_the_log);
    TCase *const kubernetes = tcase_create("kubernetes");
    tcase_set_timeout(kubernetes, 120); /* the first run downloads the schemas */
    tcase_set_tags(kubernetes, TAG_SLOW);
    tcase_add_test(kubernetes, deploy_manifests_are_valid);
    suite_add_tcase(suite, kubernetes);
    return suite;
}
