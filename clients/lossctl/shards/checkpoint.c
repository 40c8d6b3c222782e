#include "shards/checkpoint.h"
#include "files/input.h"
#include "files/output.h"
#include "files/replacement.h"
#include "shards/gradient_names.h"
#include "json/scanner.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char format[] = "lossd-checkpoint-1", gradients[] = "gradients in NAME";

enum exit_code checkpoint_init(struct checkpoint *checkpoint, const char *path, double every,
                               int rank, struct gradient_files *files, uint64_t k, uint64_t n)
{
    struct buffer *const head = &checkpoint->head;
    *checkpoint = (struct checkpoint){
        .path = path, .every = every, .files = files, .written = evaluation_clock()};
    buffer_printf(&checkpoint->own, "%s.rank%d", path, rank);
    buffer_append(&checkpoint->own, "", 1);
    buffer_printf(head, "%s\npart %" PRIu64 " of %" PRIu64 "\n", format, k, n);
    gradient_files_describe(files, head);
    shard_batch_describe_files(files->batch, SHARD_WITH_TIMES, head);
    return checkpoint->own.failed || head->failed ? fail_memory() : EXIT_OK;
}

void checkpoint_free(struct checkpoint *checkpoint)
{
    buffer_free(&checkpoint->own);
    buffer_free(&checkpoint->head);
}

/* ---- Reading ---- */

/* Reports that a line of the checkpoint, `then`, is not that of this evaluation, `now`. */
static enum exit_code differs(const char *path, const char *then, const char *now)
{
    return fail(EXIT_INPUT,
                "%s is the checkpoint of another evaluation: '%.*s' then, '%.*s' now; --restart "
                "discards it",
                path, (int)strcspn(then, "\n"), then, (int)strcspn(now, "\n"), now);
}

static enum exit_code fail_not_checkpoint(const char *path)
{
    return fail(EXIT_INPUT, "%s is not a checkpoint; choose another name", path);
}

/* Reads the suffix of unfinished files from the line at *text, and moves *text past the line. If
   files->suffix is already set, both must be the same. */
static enum exit_code check_suffix(const struct checkpoint *checkpoint, const char *path,
                                   const char **text)
{
    struct gradient_files *const files = checkpoint->files;
    char line[sizeof gradients + GRADIENT_SUFFIX], own[sizeof line];
    const size_t len = strcspn(*text, "\n");
    const char *const suffix = line + sizeof gradients - 1;
    snprintf(line, sizeof line, "%.*s", (int)len, *text);
    snprintf(own, sizeof own, "%s%s", gradients, files->suffix);
    if (strncmp(line, gradients, sizeof gradients - 1) != 0 || !gradient_is_suffix(suffix) ||
        len != strlen(line) || (*files->suffix && strcmp(line, own) != 0))
        return differs(path, *text, own);
    memcpy(files->suffix, suffix, sizeof files->suffix);
    *text += len + 1;
    return EXIT_OK;
}

/* Finds the partial result in the text of a checkpoint, after checking the lines before it. */
static enum exit_code check_head(const struct checkpoint *checkpoint, const char *path,
                                 const char *text, const char **result)
{
    const struct buffer *const head = &checkpoint->head;
    if (strncmp(text, format, sizeof format - 1) != 0)
        return fail_not_checkpoint(path);
    for (size_t at = 0; at < head->len;) {
        const char *const line = head->data + at;
        const size_t len = (size_t)((const char *)memchr(line, '\n', head->len - at) - line) + 1;
        if (strncmp(text, line, len) != 0)
            return differs(path, text, line);
        text += len;
        at += len;
    }
    const enum exit_code code =
        checkpoint->files->count > 0 ? check_suffix(checkpoint, path, &text) : EXIT_OK;
    if (code != EXIT_OK)
        return code;
    if (*text != '{')
        return differs(path, text, "{");
    *result = text;
    return EXIT_OK;
}

/* Reads the partial result of the file at `path`. */
static enum exit_code read_file(const struct checkpoint *checkpoint, const char *path,
                                struct partial *partial)
{
    struct input_file file;
    struct object_reader json;
    struct loss_error error;
    const char *text = NULL;
    enum exit_code code = input_file_read(&file, path);
    if (code == EXIT_OK)
        code = check_head(checkpoint, path, file.bytes, &text);
    if (code == EXIT_OK) {
        object_reader_begin(&json, file.bytes, file.len, NULL, &error);
        json.at = text;
        if (partial_read(&json, partial) != LOSS_OK)
            code = fail_error(path, &error);
    }
    input_file_free(&file);
    return code;
}

/* Adds the checkpoint at `path` to a merger, unless `known`, if not NULL, contains all its rows.
   Appends its rows to `rows`, if not NULL. */
static enum exit_code add_file(const struct checkpoint *checkpoint, const char *path,
                               struct partial_merger *merger, const struct buffer *known,
                               struct buffer *rows)
{
    struct loss_error error;
    struct partial partial = {.loss = NULL};
    enum exit_code code = read_file(checkpoint, path, &partial);
    const bool skip = code == EXIT_OK && known && row_set_contains(known, &partial.rows);
    if (code == EXIT_OK && !skip && partial_merger_add(merger, &partial, &error) != LOSS_OK)
        code = fail(EXIT_INPUT,
                    "%s is the checkpoint of another evaluation: %s; --restart discards it", path,
                    error.message);
    if (code == EXIT_OK && rows)
        buffer_append(rows, partial.rows.data, partial.rows.len);
    partial_free(&partial);
    return code == EXIT_OK && rows && rows->failed ? fail_memory() : code;
}

/* ---- Files of ranks ---- */

/* Finds the files whose names begin with FILE.rankR. Call globfree() in any case. */
static enum exit_code find_ranks(const struct checkpoint *checkpoint, glob_t *found)
{
    struct buffer pattern = {0};
    *found = (glob_t){.gl_pathc = 0};
    for (const char *c = checkpoint->path; *c; c++) { /* the name is not a pattern */
        if (strchr("*?[\\", *c))
            buffer_text(&pattern, "\\");
        buffer_append(&pattern, c, 1);
    }
    buffer_append(&pattern, ".rank[0-9]*", sizeof ".rank[0-9]*");
    const int status = pattern.failed ? GLOB_NOSPACE : glob(pattern.data, 0, NULL, found);
    buffer_free(&pattern);
    return status == GLOB_NOSPACE ? fail_memory() : EXIT_OK;
}

static const char *skip_digits(const char *text)
{
    return text + strspn(text, "0123456789");
}

/* Returns what comes after FILE.rankR in a name that find_ranks() has found. */
static const char *after_rank(const struct checkpoint *checkpoint, const char *path)
{
    return skip_digits(path + strlen(checkpoint->path) + strlen(".rank"));
}

/* Returns true if a name that find_ranks() has found is that of a rank. */
static bool is_rank(const struct checkpoint *checkpoint, const char *path)
{
    return *after_rank(checkpoint, path) == '\0';
}

/* Returns true if a name that find_ranks() has found is that of a temporary file. */
static bool is_temporary(const struct checkpoint *checkpoint, const char *path)
{
    return replacement_is_suffix(after_rank(checkpoint, path));
}

/* Removes the files of ranks, and temporary files. */
static void remove_ranks(const struct checkpoint *checkpoint, const glob_t *found)
{
    for (size_t i = 0; i < found->gl_pathc; i++)
        if (is_rank(checkpoint, found->gl_pathv[i]) || is_temporary(checkpoint, found->gl_pathv[i]))
            unlink(found->gl_pathv[i]);
    replacement_remove_leftovers(checkpoint->path);
}

void checkpoint_remove(const struct checkpoint *checkpoint)
{
    glob_t found;
    if (find_ranks(checkpoint, &found) == EXIT_OK)
        remove_ranks(checkpoint, &found);
    globfree(&found);
    unlink(checkpoint->path);
}

/* Returns true if the file at `path` begins as a checkpoint does, or does not exist. */
static bool is_checkpoint(const char *path)
{
    char begin[sizeof format - 1];
    FILE *const file = fopen(path, "re");
    if (!file)
        return errno == ENOENT;
    const bool same = fread(begin, 1, sizeof begin, file) == sizeof begin &&
                      memcmp(begin, format, sizeof begin) == 0;
    fclose(file);
    return same;
}

/* Removes the unfinished files of gradients that the checkpoint at `path` names. */
static void remove_gradients(const struct checkpoint *checkpoint, const char *path)
{
    char *line = NULL;
    size_t room = 0;
    FILE *const file = fopen(path, "re");
    if (!file)
        return;
    while (getline(&line, &room, file) > 0) {
        const char *const suffix = line + sizeof gradients - 1;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, gradients, sizeof gradients - 1) == 0 && gradient_is_suffix(suffix))
            gradient_files_remove_run(checkpoint->files, suffix);
    }
    free(line);
    fclose(file);
}

enum exit_code checkpoint_discard(const struct checkpoint *checkpoint)
{
    glob_t found;
    if (!is_checkpoint(checkpoint->path))
        return fail_not_checkpoint(checkpoint->path);
    const enum exit_code code = find_ranks(checkpoint, &found);
    for (size_t i = 0; i < found.gl_pathc; i++)
        remove_gradients(checkpoint, found.gl_pathv[i]);
    globfree(&found);
    remove_gradients(checkpoint, checkpoint->path);
    checkpoint_remove(checkpoint);
    return code;
}

/* ---- Loading and writing ---- */

static enum exit_code write_file(const struct checkpoint *checkpoint, const char *path,
                                 const struct partial *result)
{
    struct buffer text = {0};
    buffer_append(&text, checkpoint->head.data, checkpoint->head.len);
    if (checkpoint->files->count > 0)
        buffer_printf(&text, "%s%s\n", gradients, checkpoint->files->suffix);
    partial_append(result, &text);
    buffer_text(&text, "\n");
    const enum exit_code code = text.failed ? fail_memory() : output_write_text(path, &text);
    buffer_free(&text);
    return code;
}

/* Completes a merger, and moves its result to `done`. */
static enum exit_code finish(const struct checkpoint *checkpoint, struct partial_merger *merger,
                             struct partial *done)
{
    struct partial_overlap overlap;
    struct loss_error error;
    if (partial_merger_finish(merger, &overlap, &error) != LOSS_OK)
        return fail(EXIT_INPUT,
                    "the checkpoints %s.rank* contradict each other: %s; --restart "
                    "discards them",
                    checkpoint->path, error.message);
    partial_free(done);
    *done = merger->total;
    merger->total.rows = (struct buffer){.data = NULL};
    return EXIT_OK;
}

enum exit_code checkpoint_load(struct checkpoint *checkpoint, struct partial *done)
{
    struct partial_merger merger;
    struct loss_error error;
    struct buffer known = {0};
    glob_t ranks;
    partial_merger_init(&merger, NULL);
    merger.first_name = "this evaluation";
    enum exit_code code =
        partial_merger_add(&merger, done, &error) == LOSS_OK ? EXIT_OK : fail_error(NULL, &error);
    const enum exit_code searched = find_ranks(checkpoint, &ranks);
    if (code == EXIT_OK)
        code = searched;
    if (code == EXIT_OK && access(checkpoint->path, F_OK) == 0)
        code = add_file(checkpoint, checkpoint->path, &merger, NULL, &known);
    for (size_t i = 0; i < ranks.gl_pathc && code == EXIT_OK; i++)
        if (is_rank(checkpoint, ranks.gl_pathv[i]))
            code = add_file(checkpoint, ranks.gl_pathv[i], &merger, &known, NULL);
    if (code == EXIT_OK)
        code = finish(checkpoint, &merger, done);
    if (code == EXIT_OK && ranks.gl_pathc > 0)
        code = write_file(checkpoint, checkpoint->path, done);
    if (code == EXIT_OK)
        remove_ranks(checkpoint, &ranks);
    globfree(&ranks);
    buffer_free(&known);
    partial_merger_free(&merger);
    return code;
}

bool checkpoint_is_due(const struct checkpoint *checkpoint)
{
    return evaluation_clock() - checkpoint->written >= 1e3 * checkpoint->every;
}

enum exit_code checkpoint_write(struct checkpoint *checkpoint, const struct partial *result)
{
    const enum exit_code code = write_file(checkpoint, checkpoint->own.data, result);
    checkpoint->written = evaluation_clock();
    return code;
}
