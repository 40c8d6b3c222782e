/* Text for manual pages (man(7)), as programs write it of themselves. */
#ifndef PROTO_FORMATS_ROFF_H
#define PROTO_FORMATS_ROFF_H

#include <stdio.h>

/* Writes words that mean nothing to troff: backslashes, hyphens, and points and quotes at the
   beginning of a line are escaped. A newline in the text begins a paragraph. */
void roff_text(FILE *out, const char *text);

/* The same for one line that is not to be broken. */
void roff_line(FILE *out, const char *text);

/* Writes a paragraph that explains an option: its name in bold, what it takes in italics, and the
 * text indented below. */
void roff_option(FILE *out, const char *name, const char *value, const char *text);

/* Writes the head of a page: its name ("LOSSD"), section, version and a line of what it is about.
 */
void roff_head(FILE *out, const char *name, int section, const char *version, const char *summary);

#endif
