#include "cli/fail.h"
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const exit_meanings[EXIT_COUNT] = {
    [EXIT_OK] = "success",
    [EXIT_FAILED] = "a limit was missed, a check failed, or memory or disk space ran out",
    [EXIT_USAGE] = "the command line is invalid",
    [EXIT_UNREACHABLE] = "the server does not respond",
    [EXIT_REFUSED] =
        "the server responds with an error: no token, overloaded, too large, not found",
    [EXIT_INPUT] = "a file cannot be read, or its values cannot be evaluated",
};

static bool holding, held;
static char *held_line; /* NULL if memory ran out */

static void print(const char *line)
{
    progress_end();
    fprintf(stderr, "lossctl: %s\n", line ? line : "insufficient memory");
}

void fail_hold(bool hold)
{
    holding = hold;
}

void fail_show(void)
{
    if (held)
        print(held_line);
    free(held_line);
    held_line = NULL;
    held = false;
}

enum exit_code fail(enum exit_code code, const char *format, ...)
{
    va_list args;
    char *line = NULL;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0)
        line = NULL;
    va_end(args);
    if (holding && !held) {
        held = true;
        held_line = line;
        return code;
    }
    if (!holding)
        print(line);
    free(line);
    return code;
}

enum exit_code fail_memory(void)
{
    return fail(EXIT_FAILED, "insufficient memory");
}

enum exit_code fail_error(const char *where, const struct loss_error *error)
{
    return fail(error->status == LOSS_UNAVAILABLE ? EXIT_FAILED : EXIT_INPUT, "%s%s%s",
                where ? where : "", where ? ": " : "", error->message);
}
