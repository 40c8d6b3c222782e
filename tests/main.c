/*
 * Runs every suite. ONLY=name runs one suite ("core") or the test cases of that name ("huber");
 * LOSSD_ISA=x86-64-v2 runs on that instruction set, as the server does. CK_FORK and CK_VERBOSITY
 * work as libcheck documents them.
 */
#include "loss.h"
#include "suites.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The part of the test run that a suite belongs to. */
enum part {
    PART_UNTIMED, /* does not depend on durations: runs first, together with the background part */
    PART_TIMED,   /* measures durations, or needs both cores: runs alone, at the end */
    PART_BACKGROUND, /* pages, documents, JavaScript, Python: in a second process from the start */
    PART_COUNT
};

static const struct {
    const char *name;
    Suite *(*make)(void);
    enum part part;
} suites[] = {
    {"number_read", number_read_suite, PART_UNTIMED},
    {"number_write", number_write_suite, PART_UNTIMED},
    {"number_bulk", number_bulk_suite, PART_UNTIMED},
    {"json_responses", json_responses_suite, PART_UNTIMED},
    {"json_errors", json_errors_suite, PART_UNTIMED},
    {"json_long_tensors", json_long_tensors_suite, PART_UNTIMED},
    {"options", options_suite, PART_UNTIMED},
    {"cpu_dispatch", cpu_dispatch_suite, PART_UNTIMED},
    {"vector_math", vector_math_suite, PART_UNTIMED},
    {"kernels", kernels_suite, PART_UNTIMED},
    {"nan", nan_suite, PART_UNTIMED},
    {"nan_weights", nan_weights_suite, PART_UNTIMED},
    {"domains", domains_suite, PART_UNTIMED},
    {"core_threads", core_threads_suite, PART_UNTIMED},
    {"core_operands", core_operands_suite, PART_UNTIMED},
    {"core_values", core_values_suite, PART_UNTIMED},
    {"core_refusals", core_refusals_suite, PART_UNTIMED},
    {"core_table", core_table_suite, PART_UNTIMED},
    {"properties", properties_suite, PART_UNTIMED},
    {"accuracy", accuracy_suite, PART_UNTIMED},
    {"row_independence", row_independence_suite, PART_UNTIMED},
    {"parts", parts_suite, PART_UNTIMED},
    {"native", native_suite, PART_UNTIMED},
    {"exact_sums", exact_sums_suite, PART_UNTIMED},
    {"sequences", sequences_suite, PART_UNTIMED},
    {"cancel", cancel_suite, PART_TIMED},
    {"costs", costs_suite, PART_TIMED},
    {"block_cache", block_cache_suite, PART_UNTIMED},
    {"fair_queue", fair_queue_suite, PART_UNTIMED},
    {"executor", executor_suite, PART_TIMED},
    {"early_status_line", early_status_line_suite, PART_UNTIMED},
    {"log_writer", log_writer_suite, PART_TIMED},
    {"memory_budget", memory_budget_suite, PART_TIMED},
    {"process", process_suite, PART_TIMED},
    {"shutdown", shutdown_suite, PART_TIMED},
    {"http", http_suite, PART_TIMED},
    {"smuggling", smuggling_suite, PART_TIMED},
    {"faults", faults_suite, PART_TIMED},
    {"binary_requests", binary_requests_suite, PART_UNTIMED},
    {"binary_bits", binary_bits_suite, PART_UNTIMED},
    {"multipart", multipart_suite, PART_UNTIMED},
    {"oip_infer", oip_infer_suite, PART_UNTIMED},
    {"oip_errors", oip_errors_suite, PART_UNTIMED},
    {"oip_metadata", oip_metadata_suite, PART_UNTIMED},
    {"static_files", static_files_suite, PART_UNTIMED},
    {"multi_loss", multi_loss_suite, PART_UNTIMED},
    {"partial", partial_suite, PART_UNTIMED},
    {"openapi", openapi_suite, PART_UNTIMED},
    {"clients", clients_suite, PART_UNTIMED},
    {"docs", docs_suite, PART_BACKGROUND},
    {"commands", commands_suite, PART_BACKGROUND},
    {"js", js_suite, PART_BACKGROUND},
    {"web", web_suite, PART_BACKGROUND},
    {"python", python_suite, PART_BACKGROUND},
    {"compress", compress_suite, PART_UNTIMED},
    {"lossctl", lossctl_suite, PART_UNTIMED},
    {"lossctl_files", lossctl_files_suite, PART_UNTIMED},
    {"lossctl_merge", lossctl_merge_suite, PART_UNTIMED},
    {"lossctl_shards", lossctl_shards_suite, PART_UNTIMED},
    {"lossctl_shard_faults", lossctl_shard_faults_suite, PART_UNTIMED},
    {"lossctl_mpi", lossctl_mpi_suite, PART_UNTIMED},
    {"lossctl_server", lossctl_server_suite, PART_UNTIMED},
    {"lossctl_bench", lossctl_bench_suite, PART_UNTIMED},
    {"memory", memory_suite, PART_TIMED},
    {"timeouts", timeouts_suite, PART_TIMED},
    {"connection_limits", connection_limits_suite, PART_TIMED},
    {"request_limits", request_limits_suite, PART_TIMED},
    {"compute_limits", compute_limits_suite, PART_TIMED},
    {"memory_admission", memory_admission_suite, PART_TIMED},
    {"memory_release", memory_release_suite, PART_TIMED},
    {"disconnects", disconnects_suite, PART_TIMED},
    {"inline", inline_suite, PART_TIMED},
    {"addresses", addresses_suite, PART_TIMED},
    {"systemd", systemd_suite, PART_TIMED},
    {"tokens", tokens_suite, PART_TIMED},
    {"new_tokens", new_tokens_suite, PART_TIMED},
    {"origins", origins_suite, PART_TIMED},
    {"tls", tls_suite, PART_TIMED},
    {"certificates", certificates_suite, PART_TIMED},
    {"sandbox", sandbox_suite, PART_TIMED},
    {"secured", secured_suite, PART_UNTIMED},
    {"metrics", metrics_suite, PART_TIMED},
    {"logs", logs_suite, PART_TIMED},
    {"stalls", stalls_suite, PART_TIMED},
    {"watchdog", watchdog_suite, PART_TIMED},
    {"deploy", deploy_suite, PART_UNTIMED},
    {"proxies", proxies_suite, PART_TIMED},
    {"reports", reports_suite, PART_UNTIMED},
    {"formats", formats_suite, PART_UNTIMED},
    {"golden_library", golden_library_suite, PART_UNTIMED},
    {"golden_socket", golden_socket_suite, PART_UNTIMED},
};
enum { SUITES = sizeof suites / sizeof suites[0] };

void case_add(TCase *tcase, const TTest *const *tests, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
}

TCase *suite_add(Suite *suite, const char *name, const TTest *const *tests, size_t n)
{
    TCase *tcase = tcase_create(name);
    case_add(tcase, tests, n);
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

/* The number of tests that ran, and of those that failed. */
struct outcome {
    int ran, failed;
};

static bool names_suite(const char *name)
{
    for (size_t i = 0; i < SUITES; i++)
        if (strcmp(name, suites[i].name) == 0)
            return true;
    return false;
}

/* Runs the suites of the parts for which `parts` has a bit: all of them, or, if `only` is not
 * empty, the suite or the test cases of that name. */
static struct outcome run_parts(unsigned parts, const char *only)
{
    const bool is_suite = names_suite(only);
    SRunner *runner = srunner_create(NULL);
    for (size_t i = 0; i < SUITES; i++)
        if (parts >> suites[i].part & 1 && (!is_suite || strcmp(only, suites[i].name) == 0))
            srunner_add_suite(runner, suites[i].make());
    if (!*only)
        srunner_run_all(runner, CK_ENV);
    else
        srunner_run(runner, is_suite ? only : NULL, is_suite ? NULL : only, CK_ENV);
    const struct outcome outcome = {srunner_ntests_run(runner), srunner_ntests_failed(runner)};
    srunner_free(runner);
    return outcome;
}

/* The process that runs the background part. Its output is kept until it exits. */
struct background {
    pid_t pid;
    FILE *printed, *outcome;
};

/* Returns false if the process cannot be started. */
static bool background_start(struct background *background)
{
    background->printed = tmpfile();
    background->outcome = tmpfile();
    fflush(NULL);
    background->pid = background->printed && background->outcome ? fork() : -1;
    if (background->pid != 0)
        return background->pid > 0;
    dup2(fileno(background->printed), STDOUT_FILENO);
    dup2(fileno(background->printed), STDERR_FILENO);
    const struct outcome outcome = run_parts(1u << PART_BACKGROUND, "");
    fflush(NULL);
    const bool written =
        write(fileno(background->outcome), &outcome, sizeof outcome) == sizeof outcome;
    _exit(written ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Waits for the process, and prints its output. A process that exits without a result counts as one
 * failed test. */
static struct outcome background_end(struct background *background)
{
    struct outcome outcome;
    char line[4096];
    int status = -1;
    waitpid(background->pid, &status, 0);
    rewind(background->printed);
    while (fgets(line, sizeof line, background->printed))
        fputs(line, stdout);
    rewind(background->outcome);
    if (status != 0 || fread(&outcome, sizeof outcome, 1, background->outcome) != 1) {
        fprintf(stderr, "the process of the background suites exited with status %d\n", status);
        outcome = (struct outcome){1, 1};
    }
    fclose(background->printed);
    fclose(background->outcome);
    return outcome;
}

/* Runs every suite, with the background part in parallel. */
static struct outcome run_all(void)
{
    struct background background;
    if (!background_start(&background)) {
        perror("cannot start the background suites");
        return (struct outcome){1, 1};
    }
    const struct outcome untimed = run_parts(1u << PART_UNTIMED, "");
    const struct outcome beside = background_end(&background);
    const struct outcome timed = run_parts(1u << PART_TIMED, "");
    return (struct outcome){untimed.ran + beside.ran + timed.ran,
                            untimed.failed + beside.failed + timed.failed};
}

int main(void)
{
    const char *only = getenv("ONLY");
    const char *isa = getenv("LOSSD_ISA");
    if (isa && !loss_isa_choose(isa)) {
        fprintf(stderr, "LOSSD_ISA: this machine does not have %s\n", isa);
        return EXIT_FAILURE;
    }
    /* The default timeout of a test in seconds: libcheck's 4 are too few on a busy machine. */
    setenv("CK_DEFAULT_TIMEOUT", "60", 0);
    /* A log file of libcheck can be written by one process only. */
    const bool one_process = (only && *only) || getenv("CK_XML_LOG_FILE_NAME") ||
                             getenv("CK_TAP_LOG_FILE_NAME") || getenv("CK_LOG_FILE_NAME") ||
                             getenv("CK_RUN_SUITE") || getenv("CK_RUN_CASE") || getenv("CK_FORK");
    const struct outcome outcome =
        one_process ? run_parts((1u << PART_COUNT) - 1, only ? only : "") : run_all();
    if (outcome.ran == 0)
        fprintf(stderr, "no test ran: no suite or test case is named '%s'\n", only ? only : "");
    printf("%d passed, %d failed\n", outcome.ran - outcome.failed, outcome.failed);
    return outcome.ran > 0 && outcome.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
