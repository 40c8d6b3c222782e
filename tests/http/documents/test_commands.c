/*
 * Tests the targets of the Makefile and the commands in the documents: tests/docs/commands.py runs
 * each, or names the test that does.
 */
#include "suites.h"
#include "support/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINTED = 1 << 16, TIMEOUT_S = 900 };

static void run(const char *options)
{
    static char printed[PRINTED];
    const int status =
        command_run(printed, sizeof printed,
                    "/usr/bin/python3 -B tests/docs/commands.py %s 2>&1 </dev/null", options);
    ck_assert_msg(status == 0, "%s", printed);
}

START_TEST(targets_and_commands_are_in_the_table)
{
    run("--list");
}
END_TEST

START_TEST(targets_and_commands_work)
{
    run("");
}
END_TEST

Suite *commands_suite(void)
{
    Suite *suite = suite_create("commands");
    TCase *table = tcase_create("commands_table"), *work = tcase_create("commands_work");
    const char *const lossd = getenv("LOSSD");
    tcase_set_tags(work, TAG_SLOW);
    tcase_set_timeout(work, TIMEOUT_S);
    tcase_add_test(table, targets_and_commands_are_in_the_table);
    if (lossd && strcmp(lossd, "build/lossd") != 0)
        fprintf(stderr, "commands: not run with %s: documents show commands of build/lossd\n",
                lossd);
    else if (!numpy_is_there())
        fprintf(stderr, "commands: not run, python3-numpy is not installed\n");
    else
        tcase_add_test(work, targets_and_commands_work);
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, work);
    return suite;
}
