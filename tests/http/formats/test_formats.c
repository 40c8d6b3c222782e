/*
 * The programs of tests/formats: the texts of messages in the sources and in responses, and the
 * inputs that each format accepts.
 */
#include "suites.h"
#include "support/command.h"

#include <stdio.h>
#include <stdlib.h>

enum { PRINTED = 1 << 16, TIMEOUT_S = 300 };

/* Runs a program of tests/formats; fails with its output if it fails. */
static void run(const char *program)
{
    static char printed[PRINTED];
    const char *const lossd = getenv("LOSSD");
    const int status = command_run(printed, sizeof printed,
                                   "/usr/bin/python3 -B tests/formats/%s %s 2>&1 </dev/null",
                                   program, lossd ? lossd : "build/lossd");
    ck_assert_msg(status == 0, "%s exited with %d and printed: %s", program, status, printed);
}

START_TEST(messages_in_the_sources_follow_the_rules)
{
    run("texts.py");
}
END_TEST

START_TEST(messages_in_responses_follow_the_rules)
{
    run("errors.py");
}
END_TEST

START_TEST(inputs_are_accepted_as_by_json_and_numpy)
{
    run("differential.py");
}
END_TEST

Suite *formats_suite(void)
{
    Suite *suite = suite_create("formats");
    TCase *sources = tcase_create("formats_sources"), *answers = tcase_create("formats_answers");
    tcase_set_timeout(sources, TIMEOUT_S);
    tcase_set_timeout(answers, TIMEOUT_S);
    tcase_set_tags(sources, TAG_SLOW);
    tcase_set_tags(answers, TAG_SLOW);
    if (command_succeeds("/usr/bin/python3 --version"))
        tcase_add_test(sources, messages_in_the_sources_follow_the_rules);
    else
        fprintf(stderr, "formats: message texts are skipped: python3 is not installed\n");
    if (numpy_is_there()) {
        tcase_add_test(answers, messages_in_responses_follow_the_rules);
        tcase_add_test(answers, inputs_are_accepted_as_by_json_and_numpy);
    } else {
        fprintf(stderr, "formats: responses are skipped: python3-numpy is not installed\n");
    }
    suite_add_tcase(suite, sources);
    suite_add_tcase(suite, answers);
    return suite;
}
