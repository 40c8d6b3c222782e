#include "cli/wrap.h"

#include <stdbool.h>
#include <string.h>

enum { WIDTH = 100 };

void wrap_print(FILE *out, const char *text, int at, int indent)
{
    for (bool begins = true; *text;) {
        const int len = (int)strcspn(text, " \n");
        if (!begins && at + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (!begins) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", len, text);
        at += len;
        text += len;
        begins = *text == '\n';
        if (begins) {
            fprintf(out, "\n\n%*s", indent, "");
            at = indent;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}
