#include "cli/lossctl.h"
#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>

const char *const exit_meanings[EXIT_COUNT] = {
    [EXIT_OK] = "all is well",
    [EXIT_FAILED] = "a limit was missed, a check failed, or memory or disk were wanting",
    [EXIT_USAGE] = "the command line makes no sense",
    [EXIT_UNREACHABLE] = "no server answers there",
    [EXIT_REFUSED] =
        "the server answers, but refuses: no token, too busy, too large, not known to it",
    [EXIT_INPUT] = "a file cannot be read, or its numbers cannot be evaluated",
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
    return fail(EXIT_FAILED, "there is not enough memory");
}

enum exit_code fail_error(const char *where, const struct loss_error *error)
{
    return fail(error->status == LOSS_UNAVAILABLE ? EXIT_FAILED : EXIT_INPUT, "%s%s%s",
                where ? where : "", where ? ": " : "", error->message);
}
