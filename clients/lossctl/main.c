/* lossctl: what lossd offers, from the command line. */
#include "cli/arguments.h"
#include "cli/help.h"
#include "cli/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static enum exit_code run(int argc, char *argv[])
{
    static struct arguments arguments; /* large */
    const enum exit_code code = arguments_read(&arguments, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.value[OPT_HELP]) {
        help_command(stdout, &arguments);
        return EXIT_OK;
    }
    if (arguments.value[OPT_QUIET])
        progress_silence();
    return arguments.command->run(&arguments);
}

int main(int argc, char *argv[])
{
    enum exit_code code = EXIT_OK;
    signal(SIGPIPE, SIG_IGN); /* whoever reads our output may have had enough: that shows below */
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0))
        help_program(stdout);
    else if (argc >= 2 && strcmp(argv[1], "--man") == 0)
        help_man(stdout);
    else if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        printf("lossctl " LOSS_VERSION "\n");
    else
        code = run(argc, argv);
    const int why = fflush(stdout) != 0
                        ? errno
                        : 0; /* an earlier write may have failed, whose reason is no longer known */
    if ((why != 0 || ferror(stdout)) && code == EXIT_OK)
        code = fail(EXIT_FAILED, "cannot write to standard output%s%s", why ? ": " : "",
                    why ? strerror(why) : "");
    return (int)code;
}
