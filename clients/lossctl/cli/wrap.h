/* Text in lines that people can read. */
#ifndef LOSSCTL_CLI_WRAP_H
#define LOSSCTL_CLI_WRAP_H

#include <stdio.h>

/* Prints words in lines of at most 100 columns, all but the first indented, and a newline at the
   end. The first begins at column `at`. A newline in the text begins a paragraph. */
void print_wrapped(FILE *out, const char *text, int at, int indent);

#endif
