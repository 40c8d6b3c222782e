/* lossctl: the command line client of lossd. */
#include "cli/arguments.h"
#include "cli/help.h"
#include "cli/man.h"
#include "cli/progress.h"
#include "ranks/launcher.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static enum exit_code run(const struct arguments *arguments)
{
    if (arguments->value[OPT_HELP]) {
        help_print_command(stdout, arguments);
        return EXIT_OK;
    }
    if (arguments->value[OPT_QUIET])
        progress_disable();
    return arguments->command->run(arguments);
}

/* Rejects a command that each of several ranks would run from beginning to end. */
static enum exit_code check_ranks(const struct arguments *arguments,
                                  const struct launcher *launcher)
{
    char text[LAUNCHER_TEXT];
    if (!launcher->name || arguments->value[OPT_HELP] || arguments->command->ranks != RANKS_REFUSED)
        return EXIT_OK;
    return fail(EXIT_USAGE,
                "%s, which would each run all of `lossctl %s`; only `lossctl eval` divides its "
                "work among ranks",
                launcher_describe(launcher, text), arguments->command->name);
}

static enum exit_code read_and_run(int argc, char *argv[])
{
    static struct arguments arguments; /* too large for the stack */
    const struct launcher launcher = launcher_find();
    fail_hold(launcher.rank > 0); /* only rank 0 reports an invalid command line */
    enum exit_code code = arguments_read(&arguments, argc, argv);
    if (code == EXIT_OK)
        code = check_ranks(&arguments, &launcher);
    if (code != EXIT_OK) {
        launcher_let_rank_0_print(&launcher);
    } else {
        fail_hold(launcher.rank > 0 && arguments.command->ranks == RANKS_TOGETHER);
        code = run(&arguments);
    }
    arguments_free(&arguments);
    return code;
}

int main(int argc, char *argv[])
{
    enum exit_code code = EXIT_OK;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is reported below */
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0))
        help_print_program(stdout);
    else if (argc >= 2 && strcmp(argv[1], "--man") == 0)
        man_print(stdout);
    else if (argc >= 2 && strcmp(argv[1], "--version") == 0)
        help_print_version(stdout);
    else
        code = read_and_run(argc, argv);
    /* If an earlier write failed, its errno is lost. */
    const int why = fflush(stdout) != 0 ? errno : 0;
    if ((why != 0 || ferror(stdout)) && code == EXIT_OK)
        code = fail(EXIT_FAILED, "cannot write to standard output%s%s", why ? ": " : "",
                    why ? strerror(why) : "");
    return (int)code;
}
