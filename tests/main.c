/*
 * Runs every suite. ONLY=name runs one suite ("core") or the test cases of that name ("huber");
 * LOSSD_ISA=x86-64-v2 runs on that instruction set, as the server does. CK_FORK and CK_VERBOSITY
 * work as libcheck has them.
 */
#include "loss.h"
#include "suites.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
    {"number", number_suite},
    {"json", json_suite},
    {"options", options_suite},
    {"isa", isa_suite},
    {"mathematics", mathematics_suite},
    {"kernels", kernels_suite},
    {"nan", nan_suite},
    {"domains", domains_suite},
    {"core", core_suite},
    {"properties", properties_suite},
    {"sequences", sequences_suite},
    {"cancel", cancel_suite},
    {"costs", costs_suite},
    {"pages", pages_suite},
    {"schedule", schedule_suite},
    {"prefix", prefix_suite},
    {"log_writer", log_writer_suite},
    {"budget", budget_suite},
    {"server", server_suite},
    {"smuggling", smuggling_suite},
    {"faults", faults_suite},
    {"binary", binary_suite},
    {"form", form_suite},
    {"oip", oip_suite},
    {"assets", assets_suite},
    {"several", several_suite},
    {"openapi", openapi_suite},
    {"clients", clients_suite},
    {"docs", docs_suite},
    {"commands", commands_suite},
    {"js", js_suite},
    {"web", web_suite},
    {"python", python_suite},
    {"compress", compress_suite},
    {"lossctl", lossctl_suite},
    {"memory", memory_suite},
    {"limits", limits_suite},
    {"inline", inline_suite},
    {"access", access_suite},
    {"tls", tls_suite},
    {"sandbox", sandbox_suite},
    {"secured", secured_suite},
    {"metrics", metrics_suite},
    {"logs", logs_suite},
    {"stalls", stalls_suite},
    {"deploy", deploy_suite},
    {"proxies", proxies_suite},
    {"reports", reports_suite},
    {"formats", formats_suite},
    {"golden_library", golden_library_suite},
    {"golden_socket", golden_socket_suite},
};

TCase *suite_add(Suite *suite, const char *name, const TTest *const *tests, size_t n)
{
    TCase *tcase = tcase_create(name);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return tcase;
}

TCase *suite_add_case(Suite *suite, const char *name, double timeout_s, SFun setup, SFun teardown)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, timeout_s);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    const char *only = getenv("ONLY");
    const char *isa = getenv("LOSSD_ISA");
    bool is_suite = false;
    if (isa && !loss_isa_choose(isa)) {
        fprintf(stderr, "LOSSD_ISA: this machine does not have %s\n", isa);
        return EXIT_FAILURE;
    }
    setenv("CK_DEFAULT_TIMEOUT", "60",
           0); /* seconds for a test that sets none: libcheck's 4 are few on a busy machine */
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
        srunner_add_suite(runner, suites[i].make());
        is_suite |= only && strcmp(only, suites[i].name) == 0;
    }
    if (!only || !*only)
        srunner_run_all(runner, CK_ENV);
    else
        srunner_run(runner, is_suite ? only : NULL, is_suite ? NULL : only, CK_ENV);
    const int ran = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (ran == 0)
        fprintf(stderr, "no test was run: there is no suite and no test case '%s'\n",
                only ? only : "");
    return ran > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
