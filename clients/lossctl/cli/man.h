/* The manual page lossctl(1), made from the tables that --help uses. */
#ifndef LOSSCTL_CLI_MAN_H
#define LOSSCTL_CLI_MAN_H

#include <stdio.h>

/* Prints the page as roff. */
void man_print(FILE *out);

#endif
