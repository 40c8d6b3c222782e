/* Writes what `--version` prints. */
#ifndef PROTO_FORMATS_VERSION_H
#define PROTO_FORMATS_VERSION_H

#include <stdio.h>

/* Writes the name and version of a program, the compiler, `libraries` ("libcurl 7.88.1"), and the
   instruction sets that the program is built for, best first, with the one in use. */
void version_print(FILE *out, const char *program, const char *libraries);

#endif
