/*
 * Runs the tests of the Python client (clients/python/tests) with pytest against $LOSSD. If pytest
 * or NumPy is not installed, they are skipped with a note on stderr, or fail with LOSSD_CLIENTS=all
 * (make check-clients, which installs both).
 */
#include "suites.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { PRINTED = 1 << 16, TIMEOUT_S = 600 };

/* Prints the lines about skipped tests. */
static void show_skips(char *printed)
{
    for (char *line = strtok(printed, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "SKIPPED", strlen("SKIPPED")) == 0)
            fprintf(stderr, "python: %s\n", line);
}

START_TEST(python_client_passes_its_tests)
{
    static char printed[PRINTED];
    FILE *output = popen("/usr/bin/python3 -B -m pytest -q -rs --tb=short -c "
                         "clients/python/pyproject.toml clients/python/tests "
                         "</dev/null 2>&1",
                         "r"); /* NOLINT(cert-env33-c): constant */
    ck_assert_ptr_nonnull(output);
    printed[fread(printed, 1, sizeof printed - 1, output)] = '\0';
    const int status = pclose(output);
    const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!passed)
        fputs(printed, stderr); /* libcheck aborts at long messages */
    ck_assert_msg(passed, "pytest failed with wait status %d", status);
    show_skips(printed);
}
END_TEST

Suite *python_suite(void)
{
    const char *which = getenv("LOSSD_CLIENTS");
    const bool all = which && strcmp(which, "all") == 0;
    Suite *suite = suite_create("python");
    TCase *tcase = tcase_create("python_client");
    tcase_set_timeout(tcase, TIMEOUT_S);
    tcase_set_tags(tcase, TAG_SLOW);
    /* NOLINTNEXTLINE(cert-env33-c): constant */
    if (all || system("/usr/bin/python3 -c 'import numpy, pytest' >/dev/null 2>&1") == 0)
        tcase_add_test(tcase, python_client_passes_its_tests);
    else
        fprintf(stderr, "python: the Python client is not tested, python3-numpy or "
                        "python3-pytest is not installed\n");
    suite_add_tcase(suite, tcase);
    return suite;
}
