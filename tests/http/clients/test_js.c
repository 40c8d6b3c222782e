/*
 * Runs the tests of the JavaScript client, clients/js, against a server, and checks its types with
 * TypeScript. A test whose tools are not installed is skipped with a note on stderr, or fails with
 * LOSSD_CLIENTS=all (make check-clients, which installs them).
 */
#include "suites.h"
#include "support/command.h"
#include "support/server_process.h"

#include <stdlib.h>
#include <string.h>

static struct server_process server;

static bool required(void)
{
    const char *which = getenv("LOSSD_CLIENTS");
    return which && strcmp(which, "all") == 0;
}

static void setup(void)
{
    server_process_start(&server, server_process_defaults);
}

static void teardown(void)
{
    server_process_end(&server);
}

START_TEST(client_passes_its_tests)
{
    static char printed[65536];
    const int status = command_run(
        printed, sizeof printed,
        "cd clients/js && LOSSD_URL=http://127.0.0.1:%d node --test test/*.test.mjs 2>&1",
        server.port);
    if (status != 0)
        fputs(printed, stderr);
    ck_assert_msg(status == 0, "node exited with %d; its output is above", status);
}
END_TEST

START_TEST(types_are_accepted_by_typescript)
{
    static char printed[65536];
    if (!npm_packages_are_there("clients/js")) {
        ck_assert_msg(!required(), "npm is not installed, or cannot fetch TypeScript");
        fprintf(stderr, "js: the types of clients/js are not checked, npm is not installed or "
                        "cannot fetch TypeScript\n");
        return;
    }
    const int status = command_run(printed, sizeof printed, "cd clients/js && npm run types 2>&1");
    if (status != 0)
        fputs(printed, stderr);
    ck_assert_msg(status == 0, "tsc exited with %d; its output is above", status);
}
END_TEST

Suite *js_suite(void)
{
    Suite *suite = suite_create("js");
    TCase *tests = tcase_create("js_client"), *types = tcase_create("js_types");
    tcase_set_timeout(tests, 120);
    tcase_set_timeout(types, 120);
    tcase_set_tags(tests, TAG_SLOW);
    tcase_set_tags(types, TAG_SLOW);
    tcase_add_checked_fixture(tests, setup, teardown);
    if (required() || command_succeeds("command -v node"))
        tcase_add_test(tests, client_passes_its_tests);
    else
        fprintf(stderr, "js: clients/js is not tested, nodejs is not installed; make "
                        "check-clients installs it\n");
    tcase_add_test(types, types_are_accepted_by_typescript);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, types);
    return suite;
}
