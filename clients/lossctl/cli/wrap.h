/* Line wrapping for text output. */
#ifndef LOSSCTL_CLI_WRAP_H
#define LOSSCTL_CLI_WRAP_H

#include <stdio.h>

/* Prints `text` in lines of at most 100 columns, then a newline. The first line begins at column
   `at`, the others are indented by `indent`. A newline in the text begins a paragraph. */
void wrap_print(FILE *out, const char *text, int at, int indent);

#endif
