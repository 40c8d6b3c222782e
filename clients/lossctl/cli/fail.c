#include "cli/fail.h"
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>

const char *const exit_meanings[EXIT_COUNT] = {
    [EXIT_OK] = "success",
    [EXIT_FAILED] = "a limit was missed, a check failed, or memory or disk space ran out",
    [EXIT_USAGE] = "the command line is invalid",
    [EXIT_UNREACHABLE] = "the server does not respond",
    [EXIT_REFUSED] =
        "the server responds with an error: no token, overloaded, too large, not found",
    [EXIT_INPUT] = "a file cannot be read, or its values cannot be evaluated",
};

enum exit_code fail(enum exit_code code, const char *format, ...)
{
    va_list args;
    progress_end();
    fputs("lossctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
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
