#include "support/command.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { COMMAND = 4096, CACHED = 16 };

bool command_succeeds(const char *command)
{
    char whole[COMMAND];
    return snprintf(whole, sizeof whole, "{ %s; } </dev/null >/dev/null 2>&1", command) < COMMAND &&
           system(whole) == 0; /* NOLINT(cert-env33-c): commands of the tests */
}

bool command_succeeds_cached(const char *command)
{
    static struct {
        const char *command;
        bool succeeds;
    } known[CACHED];
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(known[i].command, command) == 0)
            return known[i].succeeds;
    const bool succeeds = command_succeeds(command);
    if (count < CACHED) {
        known[count].command = command;
        known[count++].succeeds = succeeds;
    }
    return succeeds;
}

bool numpy_is_there(void)
{
    return command_succeeds_cached("/usr/bin/python3 -c 'import numpy'");
}

int command_run(char *printed, size_t size, const char *format, ...)
{
    char command[COMMAND], rest[4096];
    va_list arguments;
    va_start(arguments, format);
    const int len = vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    ck_assert_int_lt(len, COMMAND);
    FILE *const output = popen(command, "r"); /* NOLINT(cert-env33-c): likewise */
    ck_assert_ptr_nonnull(output);
    printed[fread(printed, 1, size - 1, output)] = '\0';
    while (fread(rest, 1, sizeof rest, output) > 0)
        ;
    const int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool npm_packages_are_there(const char *folder)
{
    char command[COMMAND];
    return snprintf(command, sizeof command,
                    "cd %s && { test -d node_modules || npm ci --ignore-scripts --no-audit "
                    "--no-fund --fetch-retries=1; }",
                    folder) < COMMAND &&
           command_succeeds(command);
}

bool browser_is_there(void)
{
    return command_succeeds(
        "command -v node && { test -x \"$CHROMIUM\" || test -x /usr/bin/chromium-headless-shell || "
        "test -x /usr/bin/chromium; }");
}
