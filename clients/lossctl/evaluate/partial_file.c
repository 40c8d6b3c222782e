#include "evaluate/partial_file.h"
#include "files/input.h"
#include "files/output.h"
#include "files/replacement.h"
#include "json/object_reader.h"
#include "json/scanner.h"

#include <inttypes.h>
#include <string.h>

/* ---- Reading ---- */

static enum exit_code fail_not_partial(const struct input_file *file)
{
    return fail(EXIT_INPUT,
                "%s: neither a partial result nor a response that contains one; send requests "
                "with \"partial\": true",
                file->label);
}

/* Members that tell what an object is. */
struct members {
    bool format;         /* it has a "format": it is a partial result */
    const char *partial; /* the value of "partial": it contains a partial result; NULL: none */
};

static enum loss_status find_member(struct object_reader *json, void *context)
{
    struct members *const found = context;
    const bool partial = strcmp(json->key, "partial") == 0;
    if (partial && found->partial)
        return object_reader_malformed(json, json->at, "duplicate field 'partial'");
    if (partial)
        found->partial = json->at;
    found->format |= strcmp(json->key, "format") == 0;
    return object_reader_validate(json);
}

static enum exit_code read_json(const struct input_file *file, struct partial *partial)
{
    struct object_reader json;
    struct loss_error error;
    struct members found = {.partial = NULL};
    object_reader_begin(&json, file->bytes, file->len, NULL, &error);
    if (object_reader_document(&json, find_member, &found) != LOSS_OK)
        return fail_error(file->label, &error);
    if (!found.format && !found.partial)
        return fail_not_partial(file);
    json.at = found.format ? json_begin(file->bytes, NULL) : found.partial;
    return partial_read(&json, partial) == LOSS_OK ? EXIT_OK : fail_error(file->label, &error);
}

/* Reads the text in the metadata of a safetensors response. */
static enum exit_code read_archive(const struct input_file *file, struct partial *partial)
{
    struct archive archive;
    struct object_reader json;
    struct loss_error error;
    enum exit_code code = EXIT_OK;
    if (archive_open(&archive, file->bytes, file->len, &error) != LOSS_OK)
        return fail_error(file->label, &error);
    const char *const text = archive_metadata(&archive, "partial");
    if (text) {
        object_reader_begin(&json, text, strlen(text), NULL, &error);
        json.body = NULL; /* byte offsets in the text are not those in the file */
        if (partial_read(&json, partial) != LOSS_OK)
            code = fail_error(file->label, &error);
    } else {
        code = fail_not_partial(file);
    }
    archive_close(&archive);
    return code;
}

enum exit_code partial_file_read(const char *path, struct partial *partial)
{
    struct input_file file;
    enum exit_code code = input_file_read(&file, path);
    if (code == EXIT_OK && file.len == 0)
        code = fail(EXIT_INPUT, "%s: the file is empty", file.label);
    else if (code == EXIT_OK)
        code = archive_begins(file.bytes, file.len) ? read_archive(&file, partial)
                                                    : read_json(&file, partial);
    input_file_free(&file);
    return code;
}

/* ---- Merging ---- */

static enum exit_code add_file(struct partial_merger *merger, const char *path,
                               struct partial *partial)
{
    struct loss_error error;
    const enum exit_code code = partial_file_read(path, partial);
    if (code != EXIT_OK)
        return code;
    return partial_merger_add(merger, partial, &error) == LOSS_OK
               ? EXIT_OK
               : fail_error(input_label(path), &error);
}

static enum exit_code finish(struct partial_merger *merger, const char *const path[])
{
    struct partial_overlap overlap;
    struct loss_error error;
    if (partial_merger_finish(merger, &overlap, &error) == LOSS_OK)
        return EXIT_OK;
    if (overlap.second == 0)
        return fail_error(NULL, &error);
    return fail(EXIT_INPUT, "%s: rows %" PRIu64 " to %" PRIu64 " are also in %s",
                input_label(path[overlap.second]), overlap.rows.first, overlap.rows.end - 1,
                input_label(path[overlap.first]));
}

enum exit_code partial_files_merge(struct partial_merger *merger, const char *const path[],
                                   int count)
{
    struct partial partial = {.loss = NULL};
    enum exit_code code = EXIT_OK;
    bool standard = false;
    merger->first_name = input_label(path[0]);
    for (int i = 0; i < count && code == EXIT_OK; i++) {
        const bool again = standard && strcmp(path[i], "-") == 0;
        standard |= strcmp(path[i], "-") == 0;
        code = again ? fail(EXIT_USAGE, "standard input is given twice")
                     : add_file(merger, path[i], &partial);
    }
    partial_free(&partial);
    return code == EXIT_OK ? finish(merger, path) : code;
}

/* ---- Writing ---- */

enum exit_code partial_file_write(const char *path, const struct partial *partial)
{
    struct buffer text = {0};
    partial_append(partial, &text);
    buffer_text(&text, "\n");
    if (strcmp(path, "-") != 0)
        replacement_remove_leftovers(path);
    const enum exit_code code = output_write_text(path, &text);
    buffer_free(&text);
    return code;
}
