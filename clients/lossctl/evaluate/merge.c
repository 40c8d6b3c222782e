/* lossctl merge: merges partial results in files. */
#include "cli/arguments.h"
#include "evaluate/outcome.h"
#include "evaluate/partial_file.h"
#include "files/output.h"
#include "json/tensor_json.h"

#include <stdio.h>
#include <string.h>

static void put_text(const struct arguments *a, const struct partial *total, struct buffer *text)
{
    struct outcome outcome;
    const char *const path = a->value[OPT_PARTIAL];
    outcome_set_partial(&outcome, total);
    if (a->value[OPT_QUIET]) {
        json_append_number(text, outcome.loss);
        buffer_text(text, "\n");
        return;
    }
    outcome_put_text(&outcome, total->reduction, total->dtype, text);
    outcome_put_rows(total, text);
    if (path && strcmp(path, "-") != 0)
        buffer_printf(text, "partial    %s\n", path);
    outcome_put_warnings(&outcome, "warning    ", text);
}

/* Prints the result; to stderr if the partial result goes to standard output. */
static enum exit_code print(const struct arguments *a, const struct partial_merger *merger)
{
    struct buffer text = {0};
    const bool to_stderr = a->value[OPT_PARTIAL] && strcmp(a->value[OPT_PARTIAL], "-") == 0;
    if (a->value[OPT_JSON])
        partial_merger_append(merger, &text);
    else
        put_text(a, &merger->total, &text);
    return output_print(&text, to_stderr, a->value[OPT_QUIET]);
}

enum exit_code command_merge(const struct arguments *a)
{
    struct partial_merger merger;
    const char *const path = a->value[OPT_PARTIAL];
    if (path && *path == '\0')
        return fail(EXIT_USAGE, "--partial is ''; it must be a file name");
    partial_merger_init(&merger, NULL);
    enum exit_code code = partial_files_merge(&merger, a->argument, a->count);
    if (code == EXIT_OK && path)
        code = partial_file_write(path, &merger.total);
    if (code == EXIT_OK)
        code = print(a, &merger);
    partial_merger_free(&merger);
    return code;
}
