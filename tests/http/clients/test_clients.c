/*
 * Runs the examples of tests/clients against a server. All send the same requests and print the
 * same output. Languages that are not installed are skipped with a note on stderr, or fail with
 * LOSSD_CLIENTS=all (make check-clients, which installs them).
 */
#include "suites.h"
#include "support/command.h"
#include "support/server_process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *here;    /* a command that succeeds if the language is installed */
    const char *package; /* to install */
    const char *run;     /* the command, followed by the URL */
} clients[] = {
    {"curl", "command -v curl", "curl", "sh tests/clients/curl.sh"},
    {"Python", "/usr/bin/python3 -c 'import numpy'", "python3-numpy",
     "/usr/bin/python3 -B tests/clients/python.py"},
    {"JavaScript", "command -v node", "nodejs", "node tests/clients/javascript.mjs"},
    {"C", "echo '#include <curl/curl.h>' | cc -E -", "libcurl4-openssl-dev",
     "client=$(mktemp) && trap 'rm $client' EXIT && cc -o $client tests/clients/libcurl.c -lcurl "
     "-ljansson && $client"},
    {"Perl", "perl -MHTTP::Tiny -MJSON::PP -e 1", "perl", "perl tests/clients/perl.pl"},
    {"Go", "command -v go", "golang-go",
     "GOCACHE=${GOCACHE:-$PWD/build/tests/go} go run tests/clients/go.go"},
    {"Java", "command -v javac && ls /usr/share/java/jackson-databind.jar",
     "default-jdk-headless libjackson2-databind-java",
     "java -cp '/usr/share/java/*' tests/clients/Java.java"},
    {"R", "Rscript -e 'library(curl); library(jsonlite)'",
     "r-base-core r-cran-curl r-cran-jsonlite", "Rscript tests/clients/r.R"},
};
enum { CLIENTS = sizeof clients / sizeof *clients };

static const char expected[] =
    "loss 0.166667\n"
    "gradient -0.333333 0.333333 0.000000\n"
    "binary loss 0.166667\n"
    "binary gradient -0.333333 0.333333 0.000000\n"
    "error: target[0] is 2; class indices must be in [0, 2), or -100 to be ignored\n";

static struct server_process server;

static void setup(void)
{
    server_process_start(&server, server_process_defaults);
}

static void teardown(void)
{
    server_process_end(&server);
}

static bool is_here(int i)
{
    return command_succeeds(clients[i].here);
}

START_TEST(client_prints_the_expected_output)
{
    char printed[1024];
    ck_assert_msg(is_here(_i), "%s is not installed; install %s", clients[_i].name,
                  clients[_i].package);
    const int status = command_run(printed, sizeof printed, "%s http://127.0.0.1:%d </dev/null",
                                   clients[_i].run, server.port);
    ck_assert_msg(status == 0, "%s exited with %d; its output: %s", clients[_i].name, status,
                  printed);
    ck_assert_str_eq(printed, expected);
}
END_TEST

Suite *clients_suite(void)
{
    const char *which = getenv("LOSSD_CLIENTS");
    const bool all = which && strcmp(which, "all") == 0;
    Suite *suite = suite_create("clients");
    TCase *tcase = tcase_create("clients");
    tcase_set_timeout(tcase, 120); /* Go compiles its library on first use */
    tcase_set_tags(tcase, TAG_SLOW);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (int i = 0; i < CLIENTS; i++) {
        if (all || is_here(i))
            tcase_add_loop_test(tcase, client_prints_the_expected_output, i, i + 1);
        else
            fprintf(stderr,
                    "clients: %s is skipped, not installed (%s); make check-clients installs and "
                    "runs all\n",
                    clients[i].name, clients[i].package);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}
