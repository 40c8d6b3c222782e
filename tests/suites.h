/* Every test suite, in the order in which they run. */
#ifndef TESTS_SUITES_H
#define TESTS_SUITES_H

#include <check.h>

Suite *number_read_suite(void);
Suite *number_write_suite(void);
Suite *number_bulk_suite(void);
Suite *json_responses_suite(void);
Suite *json_errors_suite(void);
Suite *json_long_tensors_suite(void);
Suite *options_suite(void);
Suite *core_threads_suite(void);
Suite *core_operands_suite(void);
Suite *core_values_suite(void);
Suite *core_refusals_suite(void);
Suite *core_table_suite(void);
Suite *cpu_dispatch_suite(void);
Suite *vector_math_suite(void);
Suite *kernels_suite(void);
Suite *nan_suite(void);
Suite *nan_weights_suite(void);
Suite *domains_suite(void);
Suite *properties_suite(void);
Suite *accuracy_suite(void);
Suite *row_independence_suite(void);
Suite *exact_sums_suite(void);
Suite *parts_suite(void);
Suite *native_suite(void);
Suite *sequences_suite(void);
Suite *cancel_suite(void);
Suite *costs_suite(void);
Suite *block_cache_suite(void);
Suite *fair_queue_suite(void);
Suite *executor_suite(void);
Suite *early_status_line_suite(void);
Suite *log_writer_suite(void);
Suite *memory_budget_suite(void);
Suite *process_suite(void);
Suite *shutdown_suite(void);
Suite *http_suite(void);
Suite *smuggling_suite(void);
Suite *faults_suite(void);
Suite *binary_requests_suite(void);
Suite *binary_bits_suite(void);
Suite *multipart_suite(void);
Suite *oip_infer_suite(void);
Suite *oip_errors_suite(void);
Suite *oip_metadata_suite(void);
Suite *static_files_suite(void);
Suite *multi_loss_suite(void);
Suite *partial_suite(void);
Suite *openapi_suite(void);
Suite *clients_suite(void);
Suite *docs_suite(void);
Suite *commands_suite(void);
Suite *js_suite(void);
Suite *web_suite(void);
Suite *python_suite(void);
Suite *compress_suite(void);
Suite *lossctl_suite(void);
Suite *lossctl_files_suite(void);
Suite *lossctl_merge_suite(void);
Suite *lossctl_shards_suite(void);
Suite *lossctl_shard_faults_suite(void);
Suite *lossctl_mpi_suite(void);
Suite *lossctl_server_suite(void);
Suite *lossctl_bench_suite(void);
Suite *memory_suite(void);
Suite *timeouts_suite(void);
Suite *connection_limits_suite(void);
Suite *request_limits_suite(void);
Suite *compute_limits_suite(void);
Suite *memory_admission_suite(void);
Suite *memory_release_suite(void);
Suite *disconnects_suite(void);
Suite *inline_suite(void);
Suite *addresses_suite(void);
Suite *systemd_suite(void);
Suite *tokens_suite(void);
Suite *new_tokens_suite(void);
Suite *origins_suite(void);
Suite *tls_suite(void);
Suite *certificates_suite(void);
Suite *sandbox_suite(void);
Suite *secured_suite(void);
Suite *metrics_suite(void);
Suite *logs_suite(void);
Suite *stalls_suite(void);
Suite *watchdog_suite(void);
Suite *deploy_suite(void);
Suite *proxies_suite(void);
Suite *reports_suite(void);
Suite *formats_suite(void);
Suite *golden_library_suite(void);
Suite *golden_socket_suite(void);

/* The tag (tcase_set_tags) of test cases that take longer than a few seconds: `make test-quick`
 * leaves them out. */
#define TAG_SLOW "slow"

/* Adds a test case to a suite and returns it. The arguments after its name are its tests. */
#define SUITE_ADD(suite, name, ...)                                                                \
    suite_add(suite, name, (const TTest *const[]){__VA_ARGS__},                                    \
              sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(TTest *))
TCase *suite_add(Suite *suite, const char *name, const TTest *const *tests, size_t n);

/* Adds tests to a test case. */
#define CASE_ADD(tcase, ...)                                                                       \
    case_add(tcase, (const TTest *const[]){__VA_ARGS__},                                           \
             sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(TTest *))
void case_add(TCase *tcase, const TTest *const *tests, size_t n);

/* Adds an empty test case to a suite and returns it. Each of its tests runs between `setup` and
 * `teardown`, which may be NULL. */
TCase *suite_add_case(Suite *suite, const char *name, double timeout_s, SFun setup, SFun teardown);

#endif
