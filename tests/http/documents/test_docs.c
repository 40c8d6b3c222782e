/*
 * Tests the documents: docs/site/snippets.py runs the examples of docs/, README.md and the pages of
 * the losses against $LOSSD; other programs check links, names of files, columns, layers and
 * mutants. Examples in a language that is not installed are skipped, with a message on stderr.
 */
#include "suites.h"
#include "support/command.h"

#include <stdio.h>
#include <stdlib.h>

enum { PRINTED = 1 << 16, TIMEOUT_S = 300 };

/* Runs a Python program with arguments. It must succeed. */
static void expect_success(const char *program)
{
    static char printed[PRINTED];
    const int status =
        command_run(printed, sizeof printed, "/usr/bin/python3 -B %s 2>&1 </dev/null", program);
    if (status != 0)
        fputs(printed, stderr); /* libcheck aborts at long messages */
    ck_assert_msg(status == 0, "%s exited with %d; its output is above", program, status);
}

START_TEST(examples_in_the_documentation_print_what_they_say)
{
    char program[4096];
    const char *const lossd = getenv("LOSSD");
    snprintf(program, sizeof program, "docs/site/snippets.py %s", lossd ? lossd : "build/lossd");
    expect_success(program);
}
END_TEST

START_TEST(files_link_to_files_that_are_there)
{
    expect_success("docs/site/build.py --gather");
}
END_TEST

START_TEST(files_that_are_named_are_there)
{
    expect_success("tests/docs/files.py");
}
END_TEST

START_TEST(lines_have_at_most_100_columns)
{
    expect_success("tests/docs/columns.py");
}
END_TEST

START_TEST(files_include_what_their_folder_may)
{
    expect_success("tests/docs/layers.py");
}
END_TEST

START_TEST(versions_are_equal)
{
    expect_success("deploy/version.py");
}
END_TEST

START_TEST(mutants_fit_the_sources)
{
    expect_success("tests/mutants/run.py --check");
}
END_TEST

Suite *docs_suite(void)
{
    Suite *suite = suite_create("docs");
    TCase *examples = tcase_create("docs_examples"), *files = tcase_create("docs_files");
    tcase_set_tags(examples, TAG_SLOW);
    tcase_set_timeout(examples, TIMEOUT_S);
    if (command_succeeds("/usr/bin/python3 --version")) {
        tcase_add_test(files, files_link_to_files_that_are_there);
        tcase_add_test(files, files_that_are_named_are_there);
        tcase_add_test(files, files_include_what_their_folder_may);
        tcase_add_test(files, versions_are_equal);
        tcase_add_test(files, lines_have_at_most_100_columns);
    } else {
        fprintf(stderr,
                "docs: links and names of files are not checked: python3 is not installed\n");
    }
    if (numpy_is_there())
        tcase_add_test(examples, examples_in_the_documentation_print_what_they_say);
    else
        fprintf(stderr, "docs: the examples are not run: python3-numpy is not installed\n");
    TCase *mutants = tcase_create("mutants");
    if (command_succeeds("/usr/bin/python3 --version"))
        tcase_add_test(mutants, mutants_fit_the_sources);
    suite_add_tcase(suite, examples);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, mutants);
    return suite;
}
