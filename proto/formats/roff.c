#include "formats/roff.h"

#include <ctype.h>
#include <stdbool.h>

enum { LINE = 66 }; /* columns; the next word then starts a new line */

/* Writes a byte, escaped so that it does not start a request (at column 0) or an escape. */
static void put(FILE *out, char c, int column)
{
    if (column == 0 && (c == '.' || c == '\''))
        fputs("\\&", out);
    if (c == '\\')
        fputs("\\e", out);
    else if (c == '-')
        fputs("\\-", out);
    else
        fputc(c, out);
}

void roff_text(FILE *out, const char *text)
{
    for (int column = 0; *text; text++) {
        const bool ends = *text == '\n' || (*text == ' ' && column > LINE);
        if (ends)
            fputs(*text == '\n' ? "\n.PP\n" : "\n", out);
        else
            put(out, *text, column);
        column = ends ? 0 : column + 1;
    }
    fputc('\n', out);
}

void roff_line(FILE *out, const char *text)
{
    for (int column = 0; *text; text++)
        put(out, *text, column++);
    fputc('\n', out);
}

void roff_option(FILE *out, const char *name, const char *value, const char *text)
{
    fputs(".TP\n\\fB\\-\\-", out);
    for (const char *at = name; *at; at++)
        put(out, *at, 1);
    fputs("\\fR", out);
    if (value && *value)
        fprintf(out, " \\fI%s\\fR", value);
    fputc('\n', out);
    roff_text(out, text);
}

void roff_head(FILE *out, const char *name, int section, const char *version, const char *summary)
{
    fprintf(out,
            ".\\\" Written by the program itself, with --man.\n.TH %s %d \"\" \"%s\"\n.SH NAME\n",
            name, section, version);
    for (const char *at = name; *at; at++)
        fputc(tolower((unsigned char)*at), out);
    fputs(" \\- ", out);
    roff_text(out, summary);
}
