/*
 * Options: their sources, precedence and messages.
 */
#include "config/option_table.h"
#include "suites.h"
#include "system/cpus.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct options options;
static char message[OPTION_MESSAGE];
static char config[] = "/tmp/lossd-options-XXXXXX";

static void setup(void)
{
    static const char *const names[] = {
        "LOSSD_LISTEN",     "LOSSD_THREADS",   "LOSSD_IO_THREADS",
        "LOSSD_MAX_BODY",   "LOSSD_LOG_LEVEL", "LOSSD_LOG_FORMAT",
        "LOSSD_ACCESS_LOG", "LOSSD_CONFIG",    "LOSSD_MAX_DECOMPRESSED_BODY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unsetenv(names[i]);
    strcpy(config + sizeof config - 7, "XXXXXX");
    int fd = mkstemp(config);
    ck_assert_int_ge(fd, 0);
    close(fd);
    message[0] = '\0';
}

static void teardown(void)
{
    unlink(config);
}

static void write_config(const char *text, size_t len)
{
    FILE *file = fopen(config, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, len, file), len);
    fclose(file);
}

/* Reads a command line of up to four arguments; unused ones are NULL. */
static enum options_action read4(const char *a, const char *b, const char *c, const char *d)
{
    char *argv[6] = {strdup("lossd")};
    const char *const given[] = {a, b, c, d};
    int argc = 1;
    for (; argc <= 4 && given[argc - 1]; argc++)
        argv[argc] = strdup(given[argc - 1]);
    enum options_action action = options_read(&options, argc, argv, message);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return action;
}

static enum options_action read2(const char *a, const char *b)
{
    return read4(a, b, NULL, NULL);
}

START_TEST(options_have_defaults)
{
    ck_assert_int_eq(read2(NULL, NULL), OPTIONS_SERVE);
    ck_assert_str_eq(options.listen.at[0].host, "127.0.0.1");
    ck_assert_int_eq(options.listen.at[0].port, 8080);
    ck_assert_int_eq(options.threads, cpus_allowed());
    ck_assert_int_eq(options.io_threads, 2);
    ck_assert_uint_eq(options.limits.max_body, (size_t)1 << 30);
    ck_assert_int_eq(options.log_level, LOG_LEVEL_INFO);
    ck_assert_int_eq(options.log_format, LOG_FORMAT_TEXT);
}
END_TEST

START_TEST(options_flag_value_may_follow_equals_or_space)
{
    ck_assert_int_eq(read4("--threads", "3", "--io-threads=4", NULL), OPTIONS_SERVE);
    ck_assert_int_eq(options.threads, 3);
    ck_assert_int_eq(options.io_threads, 4);
}
END_TEST

START_TEST(options_bare_flag_takes_no_argument)
{
    ck_assert_int_eq(read4("--allow-unauthenticated", "--threads", "3", NULL), OPTIONS_SERVE);
    ck_assert(options.allow_unauthenticated);
    ck_assert_int_eq(options.threads, 3);
    ck_assert_int_eq(
        read4("--allow-unauthenticated", "--allow-unauthenticated=off", "--socket-mode=604", NULL),
        OPTIONS_SERVE);
    ck_assert(!options.allow_unauthenticated);
    ck_assert_int_eq(options.socket_mode, 0604);
    ck_assert_int_eq(read2("--allow-unauthenticated", "on"), OPTIONS_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "\"on\" is not an option"));
}
END_TEST

START_TEST(options_last_flag_wins)
{
    ck_assert_int_eq(read2("--threads=3", "--threads=5"), OPTIONS_SERVE);
    ck_assert_int_eq(options.threads, 5);
}
END_TEST

START_TEST(options_flag_beats_environment_beats_file)
{
    const char text[] = "threads = 7\nio-threads = 7\nlog-level = debug\n";
    write_config(text, strlen(text));
    setenv("LOSSD_IO_THREADS", "6", 1);
    setenv("LOSSD_THREADS", "6", 1);
    ck_assert_int_eq(read4("--config", config, "--threads", "5"), OPTIONS_SERVE);
    ck_assert_int_eq(options.threads, 5);
    ck_assert_int_eq(options.io_threads, 6);
    ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
}
END_TEST

START_TEST(options_environment_names_the_file)
{
    write_config("threads=7", 9);
    setenv("LOSSD_CONFIG", config, 1);
    ck_assert_int_eq(read2(NULL, NULL), OPTIONS_SERVE);
    ck_assert_int_eq(options.threads, 7);
}
END_TEST

START_TEST(options_empty_environment_variables_are_ignored)
{
    setenv("LOSSD_THREADS", "", 1);
    setenv("LOSSD_CONFIG", "", 1);
    ck_assert_int_eq(read2(NULL, NULL), OPTIONS_SERVE);
    ck_assert_int_eq(options.threads, cpus_allowed());
}
END_TEST

START_TEST(options_file_has_comments_and_blanks)
{
    const char text[] =
        "# all of it\n\n  threads =  7   # as many as that\r\n\tlisten=[::1]:0\n#io-threads = 9\n"
        "token-file = /run/tokens#1\t# the first";
    write_config(text, strlen(text));
    ck_assert_msg(read2("--config", config) == OPTIONS_SERVE, "%s", message);
    ck_assert_int_eq(options.threads, 7);
    ck_assert_str_eq(options.listen.at[0].host, "::1");
    ck_assert_int_eq(options.listen.at[0].port, 0);
    ck_assert_int_eq(options.io_threads, 2);
    ck_assert_str_eq(options.token_file, "/run/tokens#1"); /* a # within a word is part of it */
}
END_TEST

static const struct {
    const char *text;
    size_t bytes;
} sizes[] = {{"1", 1},        {"1048576", 1 << 20}, {"2k", 2048},  {"2K", 2048},
             {"3M", 3 << 20}, {"1g", 1 << 30},      {"4KiB", 4096}};

START_TEST(options_bytes_have_suffixes)
{
    ck_assert_int_eq(read2("--max-body", sizes[_i].text), OPTIONS_SERVE);
    ck_assert_uint_eq(options.limits.max_body, sizes[_i].bytes);
}
END_TEST

/* Invalid command lines, and a part of the message. */
static const struct {
    const char *flag, *value, *says;
} mistakes[] = {
    {"--thread", "3", "did you mean --threads?"},
    {"--confg", "x", "did you mean --config?"},
    {"--zzzzzzzzzzzz", NULL, "--help lists them all"},
    {"8080", NULL, "\"8080\" is not an option"},
    {"-x", NULL, "\"-x\" is not an option"},
    {"--", NULL, "\"--\" is not an option"},
    {"--threads", NULL, "--threads needs a value"},
    {"--threads", "", "--threads: \"\" is not a whole number from 1 to 1024"},
    {"--threads", "0", "--threads: \"0\" is not a whole number from 1 to 1024"},
    {"--threads", "1025", "\"1025\""},
    {"--threads", "-1", "\"-1\""},
    {"--threads", "2x", "\"2x\""},
    {"--threads", "99999999999999999999999", "\"9999"},
    {"--io-threads", "65", "a whole number from 1 to 64"},
    {"--max-body", "0", "a number of bytes"},
    {"--max-body", "10T", "\"10T\""},
    {"--max-body", "1MB", "\"1MB\""},
    {"--max-body", "99999999999G", "\"99999999999G\""},
    {"--max-body", "17179869185G", "\"17179869185G\""}, /* 2^64 + 2^30 */
    {"--max-work", "18446744074G", "\"18446744074G\""}, /* 290 448 384 more than 2^64 */
    {"--log-level", "loud", "one of error, warning, info or debug"},
    {"--log-format", "xml", "one of text or json"},
    {"--listen", "8080", "ADDRESS:PORT"},
    {"--listen", ":8080", "ADDRESS:PORT"},
    {"--listen", "::1:8080", "ADDRESS:PORT"},
    {"--listen", "127.0.0.1:", "ADDRESS:PORT"},
    {"--listen", "127.0.0.1:65536", "ADDRESS:PORT"},
    {"--listen", "127.0.0.1:80x", "ADDRESS:PORT"},
    {"--listen", "127.0.0.1:80,", "ADDRESS:PORT"},
    {"--listen", "127.0.0.1:80,,127.0.0.1:81", "ADDRESS:PORT"},
    {"--listen", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9", "up to 8, separated by commas"},
    {"--listen", "unix:", "unix:/PATH"},
    {"--listen", "", "ADDRESS:PORT"},
    {"--socket-mode", "0680", "permissions in octal digits"},
    {"--socket-mode", "1777", "at most 777"},
    {"--allow-unauthenticated=yes", NULL, "one of on or off"},
    {"--new-token", NULL, "--new-token needs a value"},
    {"--help=yes", NULL, "--help takes no value"},
    {"--config", "/no/such/file", "/no/such/file: No such file or directory"},
    {"--config", "/tmp", "/tmp: Is a directory"},
    {"--threads", "a\nb\x1b[31m", "a?b?[31m"},
};

START_TEST(options_errors_are_one_line)
{
    ck_assert_int_eq(read2(mistakes[_i].flag, mistakes[_i].value), OPTIONS_INVALID);
    ck_assert_msg(strstr(message, mistakes[_i].says) != NULL, "\"%s\" does not contain \"%s\"",
                  message, mistakes[_i].says);
    ck_assert_ptr_null(strchr(message, '\n'));
}
END_TEST

/* Invalid config files, and a part of the message. */
static const struct {
    const char *text;
    size_t len;
    const char *says;
} bad_files[] = {
#define TEXT(text) text, sizeof text - 1
    {TEXT("\nthread = 3\n"), "line 2: unknown option \"thread\"; did you mean \"threads\"?"},
    {TEXT("threads 3\n"), "line 1: \"threads 3\" is not of the form `name = value`"},
    {TEXT("threads = x\n"), "line 1: \"x\" is not a whole number"},
    {TEXT("config = other.conf\n"), "unknown option \"config\""},
    {TEXT("threads = 3\0\n"), "line 1 contains a NUL byte"},
#undef TEXT
};

START_TEST(options_config_file_errors_name_the_line)
{
    write_config(bad_files[_i].text, bad_files[_i].len);
    ck_assert_int_eq(read2("--config", config), OPTIONS_INVALID);
    ck_assert_msg(strstr(message, bad_files[_i].says) != NULL, "\"%s\" does not contain \"%s\"",
                  message, bad_files[_i].says);
    ck_assert_ptr_nonnull(strstr(message, config));
}
END_TEST

START_TEST(options_environment_errors_name_the_variable)
{
    setenv("LOSSD_THREADS", "many", 1);
    ck_assert_int_eq(read2(NULL, NULL), OPTIONS_INVALID);
    ck_assert_ptr_nonnull(strstr(message, "LOSSD_THREADS: \"many\""));
}
END_TEST

START_TEST(options_help_ignores_other_errors)
{
    setenv("LOSSD_THREADS", "many", 1);
    ck_assert_int_eq(read2("--help", NULL), OPTIONS_HELP);
    ck_assert_int_eq(read2("-h", NULL), OPTIONS_HELP);
    ck_assert_int_eq(read2("--version", NULL), OPTIONS_VERSION);
    ck_assert_int_eq(read2("--print-config", NULL), OPTIONS_INVALID);
}
END_TEST

START_TEST(options_printed_config_reads_back)
{
    ck_assert_int_eq(read4("--listen=[::1]:9, unix:/run/a b", "--max-body=12345",
                           "--allow-unauthenticated", "--token-file=/etc/lossd tokens"),
                     OPTIONS_SERVE);
    struct options before = options;
    FILE *file = fopen(config, "w");
    ck_assert_ptr_nonnull(file);
    options_print(file, &options);
    fclose(file);
    ck_assert_msg(read2("--config", config) == OPTIONS_SERVE, "%s", message);
    ck_assert_str_eq(options.listen.at[0].host, before.listen.at[0].host);
    ck_assert_int_eq(options.listen.at[0].port, before.listen.at[0].port);
    ck_assert_uint_eq(options.listen.count, 2);
    ck_assert(options.listen.at[1].is_unix);
    ck_assert_str_eq(options.listen.at[1].host, "/run/a b");
    ck_assert_uint_eq(options.admin_listen.count, 0);
    ck_assert(options.allow_unauthenticated);
    ck_assert_str_eq(options.token_file, "/etc/lossd tokens");
    ck_assert_uint_eq(options.limits.max_body, before.limits.max_body);
    ck_assert_uint_eq(options.limits.max_decompressed_body, before.limits.max_body);
    ck_assert_int_eq(options.threads, before.threads);
    ck_assert_int_eq(options.io_threads, before.io_threads);
}
END_TEST

START_TEST(options_seconds_may_have_fractions)
{
    ck_assert_int_eq(
        read4("--idle-timeout=0.25", "--header-timeout=3.007", "--min-rate-window", "20"),
        OPTIONS_SERVE);
    ck_assert_int_eq(options.limits.idle_timeout, 250);
    ck_assert_int_eq(options.limits.header_timeout, 3007);
    ck_assert_int_eq(options.limits.min_rate_window, 20000);
    static const char *const wrong[] = {"",   "-1",  "1.",   ".5",    "1.2345",
                                        "1s", "1e3", "0.05", "86401", "9999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(read2("--idle-timeout", wrong[i]), OPTIONS_INVALID);
        ck_assert_msg(strstr(message, "a number of seconds such as 5 or 0.25, from 0.1 to 86400, "
                                      "with at most three decimals") != NULL,
                      "%s", message);
    }
}
END_TEST

START_TEST(options_decompressed_body_limit_defaults_to_max_body)
{
    ck_assert_int_eq(read2("--max-body", "3k"), OPTIONS_SERVE);
    ck_assert_uint_eq(options.limits.max_decompressed_body, 3072);
    ck_assert_int_eq(read4("--max-decompressed-body", "5k", "--max-body", "3k"), OPTIONS_SERVE);
    ck_assert_uint_eq(options.limits.max_decompressed_body, 5120);
    setenv("LOSSD_MAX_DECOMPRESSED_BODY", "7k", 1);
    ck_assert_int_eq(read2("--max-body", "3k"), OPTIONS_SERVE);
    ck_assert_uint_eq(options.limits.max_decompressed_body, 7168);
}
END_TEST

START_TEST(options_printed_config_names_sources)
{
    char text[4096] = "";
    setenv("LOSSD_IO_THREADS", "3", 1);
    ck_assert_int_eq(read2("--threads=5", "--print-config"), OPTIONS_PRINT);
    FILE *file = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(file);
    options_print(file, &options);
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "threads = 5    # --threads\n"));
    ck_assert_ptr_nonnull(strstr(text, "io-threads = 3    # LOSSD_IO_THREADS\n"));
    ck_assert_ptr_nonnull(strstr(text, "log-level = info    # default\n"));
}
END_TEST

/* Returns a number of --help without its unit; k, M and G count as powers of 1000. */
static double bound_of(const char *text, char **end)
{
    static const char units[] = "kMG";
    double bound = strtod(text, end);
    const char *const unit = **end ? strchr(units, **end) : NULL;
    for (const char *power = units; unit && power <= unit; power++)
        bound *= 1000;
    *end += unit != NULL;
    return bound;
}

START_TEST(options_help_ranges_are_not_empty)
{
    char *text, *end;
    size_t size;
    int found = 0;
    FILE *file = open_memstream(&text, &size);
    options_help(file);
    fclose(file);
    for (const char *at = text; (at = strstr(at, " from ")); at++) {
        const double min = bound_of(at + strlen(" from "), &end);
        if (end == at + strlen(" from ") || strncmp(end, " to ", 4) != 0)
            continue;
        const double max = bound_of(end + 4, &end);
        ck_assert_msg(min < max, "%.80s", at);
        found++;
    }
    ck_assert_int_gt(found, 20);
    ck_assert_ptr_nonnull(strstr(text, "1G, from 64 to 1M\n"));
    free(text);
}
END_TEST

START_TEST(options_help_lists_every_option)
{
    char text[16384] = "";
    FILE *file = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(file);
    options_help(file);
    fclose(file);
    static const char *const wanted[] = {"--listen",        "--threads",
                                         "--io-threads",    "--max-body",
                                         "--log-level",     "--log-format",
                                         "--config",        "--print-config",
                                         "--version",       "--help",
                                         "LOSSD_LISTEN",    "LOSSD_THREADS",
                                         "--isa",           "default: the value of --max-body",
                                         "--compress",      "--admin-listen",
                                         "--new-token",     "LOSSD_TOKEN_FILE",
                                         "--allowed-hosts", "--cors-origins",
                                         "--tls-cert",      "--tls-client-ca",
                                         "--seccomp"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        ck_assert_msg(strstr(text, wanted[i]) != NULL, "--help does not name %s", wanted[i]);
}
END_TEST

/* Returns a value that a renamed option accepts. */
static const char *value_for(const struct option_rename *rename)
{
    struct option_match match;
    ck_assert(option_find(rename->name, strlen(rename->name), &match));
    if (match.option->names)
        return match.option->names[1];
    return match.option->type == OPTION_SWITCH ? "on" : "999";
}

/* Checks what --print-config prints for an option that was read from a source. */
static void expect_printed(const struct option_rename *rename, const char *origin)
{
    char *text, line[300];
    size_t size;
    FILE *file = open_memstream(&text, &size);
    options_print(file, &options);
    fclose(file);
    snprintf(line, sizeof line, "\n%s = %s    # %s\n", rename->name, value_for(rename), origin);
    ck_assert_msg(strstr(text, line) != NULL, "%s: not in %s", line, text);
    free(text);
}

START_TEST(options_former_names_set_the_option_from_every_source)
{
    const struct option_rename *const rename = &option_renames[_i];
    char flag[80], line[80], env[OPTION_ENV], origin[80];
    snprintf(flag, sizeof flag, "--%s=%s", rename->old_name, value_for(rename));
    ck_assert_msg(read2(flag, NULL) == OPTIONS_SERVE, "%s", message);
    snprintf(origin, sizeof origin, "--%s", rename->old_name);
    expect_printed(rename, origin);

    setenv(option_env(rename->old_name, env), value_for(rename), 1);
    ck_assert_msg(read2(NULL, NULL) == OPTIONS_SERVE, "%s", message);
    unsetenv(env);
    expect_printed(rename, env);

    write_config(line, (size_t)sprintf(line, "%s = %s\n", rename->old_name, value_for(rename)));
    ck_assert_msg(read2("--config", config) == OPTIONS_SERVE, "%s", message);
    snprintf(origin, sizeof origin, "%s, line 1", config);
    expect_printed(rename, origin);
}
END_TEST

START_TEST(options_given_by_both_names_are_an_error_that_names_both)
{
    const struct option_rename *const rename = &option_renames[_i];
    char old[80], new[80], env[OPTION_ENV];
    snprintf(old, sizeof old, "--%s=%s", rename->old_name, value_for(rename));
    snprintf(new, sizeof new, "--%s=%s", rename->name, value_for(rename));
    ck_assert_int_eq(read2(old, new), OPTIONS_INVALID);
    ck_assert_ptr_nonnull(strstr(message, rename->old_name));
    ck_assert_ptr_nonnull(strstr(message, rename->name));
    ck_assert_int_eq(read2(new, old), OPTIONS_INVALID);
    setenv(option_env(rename->old_name, env), value_for(rename), 1);
    ck_assert_int_eq(read2(new, NULL), OPTIONS_INVALID);
    ck_assert_ptr_nonnull(strstr(message, env));
    unsetenv(env);
    setenv(option_env(rename->name, env), value_for(rename), 1);
    ck_assert_int_eq(read2(old, NULL), OPTIONS_INVALID);
    ck_assert_ptr_nonnull(strstr(message, env));
    unsetenv(env);
}
END_TEST

START_TEST(options_given_twice_by_a_former_name_follow_the_usual_order)
{
    setenv("LOSSD_MAX_EXPANDED", "7k", 1);
    ck_assert_int_eq(read2("--max-expanded=6k", "--max-expanded=5k"), OPTIONS_SERVE);
    ck_assert_uint_eq(options.limits.max_decompressed_body, 5120);
    unsetenv("LOSSD_MAX_EXPANDED");
}
END_TEST

START_TEST(options_help_lists_former_names)
{
    char *text, line[120];
    size_t size;
    FILE *file = open_memstream(&text, &size);
    options_help(file);
    fclose(file);
    for (size_t i = 0; i < option_rename_count; i++) {
        snprintf(line, sizeof line, "use --%s\n", option_renames[i].name);
        ck_assert_msg(strstr(text, line) != NULL, "%s", line);
        snprintf(line, sizeof line, "\n  --%s ", option_renames[i].old_name);
        ck_assert_msg(strstr(text, line) != NULL, "%s", line);
    }
    free(text);
}
END_TEST

START_TEST(cpus_quota_is_rounded_up)
{
    ck_assert_int_eq(cpus_of_quota("150000 100000\n"), 2);
    ck_assert_int_eq(cpus_of_quota("100000 100000"), 1);
    ck_assert_int_eq(cpus_of_quota("1000 100000"), 1);
    ck_assert_int_eq(cpus_of_quota("max 100000"), 0);
    ck_assert_int_eq(cpus_of_quota(""), 0);
    ck_assert_int_eq(cpus_of_quota("5 0"), 0);
    ck_assert_int_ge(cpus_allowed(), 1);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof(array)[0])

Suite *options_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = suite_add_case(suite, "options", 60, setup, teardown);
    CASE_ADD(tcase, options_have_defaults, options_flag_value_may_follow_equals_or_space,
             options_last_flag_wins, options_bare_flag_takes_no_argument,
             options_flag_beats_environment_beats_file, options_environment_names_the_file,
             options_empty_environment_variables_are_ignored, options_file_has_comments_and_blanks,
             options_environment_errors_name_the_variable, options_help_ignores_other_errors,
             options_printed_config_reads_back, options_seconds_may_have_fractions,
             options_decompressed_body_limit_defaults_to_max_body,
             options_printed_config_names_sources, options_help_lists_every_option,
             options_help_ranges_are_not_empty,
             options_given_twice_by_a_former_name_follow_the_usual_order,
             options_help_lists_former_names, cpus_quota_is_rounded_up);
    tcase_add_loop_test(tcase, options_bytes_have_suffixes, 0, COUNT(sizes));
    tcase_add_loop_test(tcase, options_errors_are_one_line, 0, COUNT(mistakes));
    tcase_add_loop_test(tcase, options_config_file_errors_name_the_line, 0, COUNT(bad_files));
    tcase_add_loop_test(tcase, options_former_names_set_the_option_from_every_source, 0,
                        (int)option_rename_count);
    tcase_add_loop_test(tcase, options_given_by_both_names_are_an_error_that_names_both, 0,
                        (int)option_rename_count);
    return suite;
}
