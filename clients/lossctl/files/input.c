#include "files/input.h"
#include "cli/progress.h"
#include "formats/npy.h"
#include "memory/block_cache.h"
#include "json/scanner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char out_of_memory[] = "insufficient memory for this file";

/* ---- Reading ---- */

/* Reads a descriptor to its end into the file's bytes. */
static enum exit_code read_all(struct input_file *file, int fd, size_t expected)
{
    enum { MAX_READ = 1 << 24 };
    size_t room = expected + 2; /* enough to detect the end of the file without growing */
    progress_begin("reading %s", file->label);
    for (ssize_t got = 1; got > 0; file->len += got > 0 ? (size_t)got : 0) {
        if (file->len + 1 >= room)
            room = 2 * room + (1 << 16);
        if (room > file->size) {
            char *const bytes = block_cache_resize(file->bytes, file->size, room);
            if (!bytes)
                return fail(EXIT_FAILED, "%s: %s", file->label, out_of_memory);
            file->bytes = bytes;
            file->size = room;
        }
        const size_t left = file->size - file->len - 1;
        do
            got = read(fd, file->bytes + file->len, left < MAX_READ ? left : MAX_READ);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return fail(EXIT_INPUT, "cannot read %s: %s", file->label, strerror(errno));
        progress_set((double)file->len, (double)expected);
    }
    progress_end();
    file->bytes[file->len] = '\0';
    return EXIT_OK;
}

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

const char *input_label(const char *path)
{
    return is_stdin(path) ? "standard input" : path;
}

enum exit_code input_file_read(struct input_file *file, const char *path)
{
    struct stat status;
    *file = (struct input_file){.path = strdup(path), .format = FILE_UNKNOWN};
    if (!file->path)
        return fail_memory();
    file->label = input_label(file->path);
    const int fd = is_stdin(path) ? STDIN_FILENO : open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        const int why = errno;
        if (fd > STDIN_FILENO)
            close(fd);
        return fail(EXIT_INPUT, "cannot read %s: %s", file->label, strerror(why));
    }
    const enum exit_code code =
        read_all(file, fd, S_ISREG(status.st_mode) ? (size_t)status.st_size : 0);
    if (!is_stdin(path))
        close(fd);
    return code;
}

void input_file_free(struct input_file *file)
{
    archive_close(&file->archive);
    block_cache_free(file->bytes, file->size);
    free(file->path);
    *file = (struct input_file){.path = NULL};
}

/* Returns the file at `path`. Reads it the first time. On failure, returns NULL and sets *code. */
static const struct input_file *open_file(struct input_files *files, const char *path,
                                          enum file_format format, enum exit_code *code)
{
    struct loss_error error;
    for (int i = 0; i < files->count; i++)
        if (strcmp(files->file[i].path, path) == 0)
            return &files->file[i];
    struct input_file *const file = &files->file[files->count];
    *code = input_file_read(file, path);
    file->format = format;
    if (*code == EXIT_OK && file->format == FILE_UNKNOWN)
        file->format = file_format_of_path(path);
    if (*code == EXIT_OK && file->format == FILE_UNKNOWN)
        file->format = file_format_of_bytes(file->bytes, file->len);
    if (*code == EXIT_OK && file->format == FILE_SAFETENSORS &&
        archive_open(&file->archive, file->bytes, file->len, &error) != LOSS_OK)
        *code = fail_error(file->label, &error);
    if (*code == EXIT_OK) {
        files->count++;
        return file;
    }
    input_file_free(file);
    return NULL;
}

void input_files_free(struct input_files *files)
{
    for (int i = 0; i < files->count; i++)
        input_file_free(&files->file[i]);
    files->count = 0;
}

/* Returns true if `path` names a file, in which case a colon in it has no meaning. */
static bool exists(const char *path)
{
    return strcmp(path, "-") == 0 || access(path, F_OK) == 0;
}

/* Opens the file of a specification. Sets *member to the name after the last colon, or to NULL. */
static const struct input_file *open_spec(struct input_files *files, const char *spec,
                                          const char **member, enum exit_code *code)
{
    char path[4096];
    *member = NULL;
    const enum file_format format = exists(spec) ? FILE_UNKNOWN : file_format_of_prefix(&spec);
    const char *const colon = exists(spec) ? NULL : strrchr(spec, ':');
    if (strlen(spec) >= sizeof path) {
        *code = fail(EXIT_USAGE, "'%.40s...' is too long for a file name", spec);
        return NULL;
    }
    snprintf(path, sizeof path, "%.*s", (int)(colon ? colon - spec : (ptrdiff_t)strlen(spec)),
             spec);
    if (colon && exists(path))
        *member = colon + 1;
    return open_file(files, *member ? path : spec, format, code);
}

/* ---- JSON ---- */

/* Finds the value of a key of the object at `text`. Returns NULL if there is no such key, or if the
   object is malformed. Sets *at to the place of that error, or to NULL. */
static const char *find_member(const char *text, const char *name, const char **at)
{
    char key[256];
    const char *found = NULL;
    *at = NULL;
    for (text = json_blank(text + 1, NULL); *text == '"';) {
        const char *const end = json_skip_string(text, at);
        if (!end)
            return NULL;
        const bool matches =
            json_decode_string(text, end, key, sizeof key) && strcmp(key, name) == 0;
        text = json_blank(end, NULL);
        *at = text;
        if (*text != ':')
            return NULL;
        text = json_blank(text + 1, NULL);
        if (matches && !found)
            found = text;
        if (!(text = json_skip_value(text, NULL, at)))
            return NULL;
        text = json_blank(text, NULL);
        if (*text == ',')
            text = json_blank(text + 1, NULL);
    }
    *at = *text == '}' ? NULL : text;
    return *at ? NULL : found;
}

static enum exit_code bad_json(const struct input_file *file, const char *at)
{
    char byte[JSON_BYTE_TEXT];
    return fail(EXIT_INPUT, "%s: invalid JSON at %s (byte %td)", file->label,
                json_byte_text(at, file->bytes + file->len, byte), at - file->bytes);
}

/* Finds the value of a tensor in a file: the member `name` of its object, or the whole file if that
   is a tensor, unless the member was selected by name (`named`). Sets *found to NULL if there is no
   such member. */
static enum exit_code find_json(const struct input_file *file, const char *name, bool named,
                                const char **found)
{
    const char *at = NULL, *const text = json_begin(file->bytes, NULL);
    *found = NULL;
    const bool is_object = *text == '{';
    const bool is_tensor = is_object && find_member(text, "data", &at);
    if (at)
        return bad_json(file, at);
    if (!named && (!is_object || is_tensor)) {
        *found = text;
        return EXIT_OK;
    }
    if (!is_object)
        return fail(EXIT_INPUT, "%s: not a JSON object, so it does not contain '%s'", file->label,
                    name);
    *found = find_member(text, name, &at);
    return at ? bad_json(file, at) : EXIT_OK;
}

static enum exit_code open_json(struct input *input, const char *name, const char *text)
{
    char path[128] = "";
    struct loss_error error;
    const struct input_file *const file = input->file;
    const char *end;
    struct tensor_json *const json = &input->source.json;
    json_pointer_add(path, sizeof path, name);
    if (tensor_json_scan(json, text, file->bytes, file->bytes + file->len, path, NULL, &end,
                         &error) != LOSS_OK)
        return fail_error(file->label, &error);
    if (text == json_begin(file->bytes, NULL) && json_blank(end, NULL) != file->bytes + file->len)
        return bad_json(file, json_blank(end, NULL));
    input->source.tensor = (struct loss_tensor){.dtype = json->dtype, .rank = json->rank};
    memcpy(input->source.tensor.shape, json->shape, sizeof json->shape);
    return EXIT_OK;
}

/* ---- Opening ---- */

static enum exit_code open_archive(struct input *input, const char *name)
{
    struct loss_error error;
    if (archive_find(&input->file->archive, name, &input->source.tensor, &error) != LOSS_OK)
        return fail_error(input->file->label, &error);
    return EXIT_OK;
}

/* Opens the tensor of a file in a format with a single, unnamed tensor. */
static enum exit_code open_unnamed(struct input *input, enum csv_header header, const char *name)
{
    struct loss_error error;
    const struct input_file *const file = input->file;
    if (file->format == FILE_NPY) {
        if (npy_read(&input->source.tensor, &input->source.swapped, file->bytes, file->len, name,
                     file->bytes, &error) != LOSS_OK)
            return fail_error(file->label, &error);
        return EXIT_OK;
    }
    if (csv_scan(&input->csv, file->bytes, file->len, header, name, &error) != LOSS_OK)
        return fail_error(file->label, &error);
    input->source.tensor = input->csv.shape;
    return EXIT_OK;
}

/* Checks that the tensor `name` can be a whole file. Several tensors can be the same file, but only
   one can be all of standard input: a second "-" is probably a mistake. */
static enum exit_code claim_whole(struct input_files *files, const struct input_file *file,
                                  const char *name)
{
    if (strcmp(file->path, "-") != 0)
        return EXIT_OK;
    if (files->standard_input && strcmp(files->standard_input, name) != 0)
        return fail(
            EXIT_USAGE,
            "standard input cannot be both %s and %s; read one from a file, or select both by "
            "name, as -:%s, from JSON or safetensors",
            files->standard_input, name, name);
    files->standard_input = name;
    return EXIT_OK;
}

static enum exit_code open_archive_member(struct input *input, struct input_files *files,
                                          const char *member, const char *name)
{
    const struct archive *const archive = &input->file->archive;
    const char *const only = member || archive_has(archive, name) ? NULL : archive_only(archive);
    const enum exit_code code = only ? claim_whole(files, input->file, name) : EXIT_OK;
    if (code != EXIT_OK)
        return code;
    if (only)
        member = only;
    return open_archive(input, member ? member : name);
}

static enum exit_code open_json_member(struct input *input, struct input_files *files,
                                       const char *member, const char *name)
{
    const struct input_file *const file = input->file;
    const char *text;
    enum exit_code code = find_json(file, member ? member : name, member != NULL, &text);
    if (code == EXIT_OK && !text)
        code = fail(EXIT_INPUT, "%s: the object does not contain '%s'", file->label,
                    member ? member : name);
    if (code == EXIT_OK && text == json_begin(file->bytes, NULL))
        code = claim_whole(files, file, name);
    return code == EXIT_OK ? open_json(input, name, text) : code;
}

enum exit_code input_open(struct input *input, struct input_files *files, const char *spec,
                          const char *name)
{
    enum exit_code code = EXIT_OK;
    const char *member;
    *input = (struct input){.file = open_spec(files, spec, &member, &code)};
    if (!input->file)
        return code;
    input->present = true;
    switch (input->file->format) {
    case FILE_SAFETENSORS:
        return open_archive_member(input, files, member, name);
    case FILE_JSON:
        return open_json_member(input, files, member, name);
    default:
        if (member)
            return fail(EXIT_USAGE,
                        "%s: a %s file contains one unnamed tensor; '%s' cannot select one",
                        input->file->label, file_format_names[input->file->format], member);
        code = claim_whole(files, input->file, name);
        return code == EXIT_OK ? open_unnamed(input, files->header, name) : code;
    }
}

enum exit_code input_open_batch(struct input *input, struct input_files *files, const char *spec,
                                const char *name)
{
    enum exit_code code = EXIT_OK;
    const char *member, *text = NULL;
    const struct input_file *const file = open_spec(files, spec, &member, &code);
    *input = (struct input){.present = false};
    if (!file)
        return code;
    if (file->format != FILE_SAFETENSORS && file->format != FILE_JSON)
        return fail(
            EXIT_USAGE,
            "%s is not a batch; it must be a safetensors or JSON file, in which tensors have names",
            file->label);
    if (file->format == FILE_JSON)
        code = find_json(file, name, true, &text);
    if (code != EXIT_OK ||
        !(text || (file->format == FILE_SAFETENSORS && archive_has(&file->archive, name))))
        return code;
    if (text && strncmp(text, "null", 4) == 0) /* as in requests: not given */
        return EXIT_OK;
    input->present = true;
    input->file = file;
    return text ? open_json(input, name, text) : open_archive(input, name);
}

enum exit_code input_decode(struct input *input, enum loss_dtype dtype, const char *name,
                            int threads)
{
    struct loss_error error;
    char path[128] = "";
    struct loss_tensor *const tensor = &input->source.tensor;
    if (tensor->data)
        return EXIT_OK;
    tensor->dtype = dtype;
    input->decoded_size = loss_tensor_bytes(tensor) + 1; /* never 0 bytes */
    input->decoded = block_cache_resize(NULL, 0, input->decoded_size);
    if (!input->decoded)
        return fail(EXIT_FAILED, "%s: %s", input->file->label, out_of_memory);
    json_pointer_add(path, sizeof path, name);
    progress_begin("decoding %s", input->file->label);
    const enum loss_status status =
        input->file->format == FILE_CSV
            ? csv_decode(&input->csv, dtype, input->decoded, name, &error)
            : tensor_json_decode(&input->source.json, dtype, input->decoded, input->file->bytes,
                                 path, threads, NULL, &error);
    progress_end();
    if (status != LOSS_OK)
        return fail_error(input->file->label, &error);
    tensor->data = input->decoded;
    return EXIT_OK;
}

void input_free(struct input *input)
{
    block_cache_free(input->decoded, input->decoded_size);
    input->decoded = NULL;
}
