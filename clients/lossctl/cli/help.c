#include "cli/help.h"
#include "cli/wrap.h"
#include "formats/version.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { COLUMN = 30 }; /* where descriptions begin */

/* Prints an option and its value in one column, and its description in the other. */
static void print_option(FILE *out, const char *name, const char *value, const char *doc)
{
    char flag[96];
    const int len =
        snprintf(flag, sizeof flag, "--%s%s%s", name, value ? " " : "", value ? value : "");
    if (len < COLUMN - 3)
        fprintf(out, "  %-*s ", COLUMN - 3, flag);
    else
        fprintf(out, "  %s\n%*s", flag, COLUMN, "");
    wrap_print(out, doc, COLUMN, COLUMN);
}

/* Writes the description of an option and its environment variable. */
static void option_doc(enum option_id option, char *doc, size_t size)
{
    const char *const env = option_specs[option].env;
    snprintf(doc, size, "%s%s%s", option_specs[option].doc, env ? "; environment: " : "",
             env ? env : "");
}

void help_print_program(FILE *out)
{
    fprintf(out,
            "lossctl " LOSS_VERSION ": evaluate loss functions, with or without a lossd server\n\n"
            "usage: lossctl COMMAND [arguments] [--option value]...\n\n");
    for (int i = 0; i < command_count; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(out, "  %-*s ", COLUMN - 3, usage);
        wrap_print(out, commands[i].summary, COLUMN, COLUMN);
    }
    fprintf(out, "\n`lossctl COMMAND --help` prints the options of a command, `lossctl --version` "
                 "the version,\n`lossctl --man` the manual page.\n"
                 "\nexit status\n");
    for (int code = 0; code < EXIT_COUNT; code++)
        fprintf(out, "  %d  %s\n", code, exit_meanings[code]);
}

void help_print_version(FILE *out)
{
    char libraries[64];
    snprintf(libraries, sizeof libraries, "libcurl %s",
             curl_version_info(CURLVERSION_NOW)->version);
    version_print(out, "lossctl", libraries);
}

static void print_loss_options(FILE *out, const struct command *command,
                               const struct loss_descriptor *loss)
{
    struct loss_option option;
    fprintf(out, "\noptions of %s\n", loss->name);
    for (int place = 0; loss_option_at(loss, place, &option); place++)
        if (loss_option_applies(command, &option))
            print_option(out, option.option, option.value, option.doc);
}

void help_print_command(FILE *out, const struct arguments *a)
{
    const struct command *const command = a->command;
    fprintf(out, "usage: lossctl %s%s%s [--option value]...\n\n", command->name,
            *command->arguments ? " " : "", command->arguments);
    wrap_print(out, command->doc, 0, 0);
    for (int i = 0; command->loss_options && i < a->count; i++)
        print_loss_options(out, command, a->loss[i]);
    fprintf(out, "\noptions\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        char doc[400];
        if (!command_takes(command, (enum option_id)i))
            continue;
        option_doc((enum option_id)i, doc, sizeof doc);
        print_option(out, option_specs[i].name, option_specs[i].value, doc);
    }
    if (command->examples)
        fprintf(out, "\nexamples\n");
    for (const char *line = command->examples; line && *line;
         line += strcspn(line, "\n"), line += *line == '\n')
        fprintf(out, "  %.*s\n", (int)strcspn(line, "\n"), line);
}
