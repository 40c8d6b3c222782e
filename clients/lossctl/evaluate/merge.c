/* lossctl merge: merges partial results in files. */
#include "cli/arguments.h"
#include "evaluate/outcome.h"
#include "evaluate/partial_file.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PRINTED = 8 }; /* intervals of rows */

static void put_rows(const struct partial *total, struct buffer *text)
{
    const size_t count = total->rows.len / sizeof(struct partial_rows);
    buffer_text(text, count > 0 ? "rows       " : "");
    for (size_t i = 0; i < count && i < MAX_PRINTED; i++) {
        struct partial_rows rows;
        memcpy(&rows, total->rows.data + i * sizeof rows, sizeof rows);
        buffer_printf(text, "%s%" PRIu64 " to %" PRIu64, i ? ", " : "", rows.first, rows.end - 1);
    }
    if (count > MAX_PRINTED)
        buffer_printf(text, ", and %zu more interval%s", count - MAX_PRINTED,
                      count - MAX_PRINTED > 1 ? "s" : "");
    buffer_text(text, count > 0 ? "\n" : "");
}

/* Writes the warnings of a partial result, separated by newlines. */
static void set_warnings(const struct partial *total, struct outcome *outcome)
{
    for (size_t i = 0; loss_warning_at(i); i++)
        if (total->warnings >> i & 1) {
            const size_t len = strlen(outcome->warnings);
            snprintf(outcome->warnings + len, sizeof outcome->warnings - len, "%s%s",
                     len ? "\n" : "", loss_warning_at(i));
        }
}

static void put_text(const struct arguments *a, const struct partial *total, struct buffer *text)
{
    struct loss_result result = loss_partial_result(&total->sums, total->reduction);
    struct outcome outcome = {.count = result.count, .nonfinite = result.nonfinite};
    const char *const path = a->value[OPT_PARTIAL];
    outcome.terms = (struct loss_tensor){.data = &result.loss, .dtype = LOSS_FLOAT64};
    if (a->value[OPT_QUIET]) {
        json_append_number(text, result.loss);
        buffer_text(text, "\n");
        return;
    }
    set_warnings(total, &outcome);
    outcome_put_text(&outcome, total->reduction, total->dtype, text);
    put_rows(total, text);
    if (path && strcmp(path, "-") != 0)
        buffer_printf(text, "partial    %s\n", path);
    outcome_put_warnings(&outcome, "warning    ", text);
}

/* Prints the result; to stderr if the partial result goes to standard output. */
static enum exit_code print(const struct arguments *a, const struct partial_merger *merger)
{
    struct buffer text = {0};
    const bool to_stderr = a->value[OPT_PARTIAL] && strcmp(a->value[OPT_PARTIAL], "-") == 0;
    if (to_stderr && a->value[OPT_QUIET])
        return EXIT_OK;
    if (a->value[OPT_JSON])
        partial_merger_append(merger, &text);
    else
        put_text(a, &merger->total, &text);
    const enum exit_code code = text.failed ? fail_memory() : EXIT_OK;
    if (code == EXIT_OK)
        fwrite(text.data, 1, text.len, to_stderr ? stderr : stdout);
    buffer_free(&text);
    return code;
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
