/* What lossctl says of itself, made from the tables of commands.h and from the descriptors of the
 * losses. */
#ifndef LOSSCTL_CLI_HELP_H
#define LOSSCTL_CLI_HELP_H

#include <stdio.h>

#include "cli/arguments.h"

/* lossctl --help */
void help_program(FILE *out);
/* lossctl COMMAND --help; of a loss, if one was named, also what it takes. */
void help_command(FILE *out, const struct arguments *arguments);

/* lossctl --man: lossctl(1), for man to show. */
void help_man(FILE *out);

#endif
