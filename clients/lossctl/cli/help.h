/* Help texts, made from the tables in commands.h and the descriptors of the losses. */
#ifndef LOSSCTL_CLI_HELP_H
#define LOSSCTL_CLI_HELP_H

#include <stdio.h>

#include "cli/arguments.h"

/* Prints `lossctl --help`. */
void help_print_program(FILE *out);
/* Prints `lossctl --version`. */
void help_print_version(FILE *out);
/* Prints `lossctl COMMAND --help`, with the options of the losses named on the command line. */
void help_print_command(FILE *out, const struct arguments *arguments);

#endif
