/* Writes manual pages in man(7) format. */
#ifndef PROTO_FORMATS_ROFF_H
#define PROTO_FORMATS_ROFF_H

#include <stdio.h>

/* Writes text. Backslashes, hyphens, and points and quotes at the start of a line are escaped. A
   newline starts a paragraph. */
void roff_text(FILE *out, const char *text);

/* Writes a line of text, escaped in the same way, without breaking it. */
void roff_line(FILE *out, const char *text);

/* Writes the description of an option: its name, without the leading "--" that this function
   writes, in bold, its value (may be NULL) in italics, and the text indented below. */
void roff_option(FILE *out, const char *name, const char *value, const char *text);

/* Writes the head of a page: its name ("LOSSD"), section, version and a one-line summary. */
void roff_head(FILE *out, const char *name, int section, const char *version, const char *summary);

#endif
