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

START_TEST(examples_in_the_documentation_print_what_they_say)
{
    static char printed[PRINTED];
    const char *const lossd = getenv("LOSSD");
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B docs/site/snippets.py %s 2>&1 </dev/null",
                                   lossd ? lossd : "build/lossd");
    ck_assert_msg(status == 0, "exited with %d and printed: %s", status, printed);
}
END_TEST

START_TEST(files_link_to_files_that_are_there)
{
    static char printed[PRINTED];
    const int status = command_run(
        printed, sizeof printed, "/usr/bin/python3 -B docs/site/build.py --gather 2>&1 </dev/null");
    ck_assert_msg(status == 0, "exited with %d and printed: %s", status, printed);
}
END_TEST

START_TEST(files_that_are_named_are_there)
{
    static char printed[PRINTED];
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B tests/docs/files.py 2>&1 </dev/null");
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

START_TEST(lines_have_at_most_100_columns)
{
    static char printed[PRINTED];
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B tests/docs/columns.py 2>&1 </dev/null");
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

START_TEST(files_include_what_their_folder_may)
{
    static char printed[PRINTED];
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B tests/docs/layers.py 2>&1 </dev/null");
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

START_TEST(versions_are_equal)
{
    static char printed[PRINTED];
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B deploy/version.py 2>&1 </dev/null");
    ck_assert_msg(status == 0, "%s", printed);
}
END_TEST

START_TEST(mutants_fit_the_sources)
{
    static char printed[PRINTED];
    const int status =
        command_run(printed, sizeof printed,
                    "/usr/bin/python3 -B tests/mutants/run.py --check 2>&1 </dev/null");
    ck_assert_msg(status == 0, "%s", printed);
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
