#include "shards/shard_spec.h"
#include "number/number.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- Prefix ---- */

/* Advances *text past the prefix of a format. Returns SHARD_DETECT if there is none, or if a file
   has the name *text, prefix included. */
static enum shard_format skip_prefix(const char **text)
{
    static const struct {
        const char *prefix;
        enum shard_format format;
    } prefixes[] = {{"npy:", SHARD_NPY}, {"safetensors:", SHARD_SAFETENSORS}, {"raw:", SHARD_RAW}};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0] && !exists(*text); i++)
        if (begins(*text, prefixes[i].prefix)) {
            *text += strlen(prefixes[i].prefix);
            return prefixes[i].format;
        }
    return SHARD_DETECT;
}

bool shard_spec_matches(const char *text)
{
    const bool raw = skip_prefix(&text) == SHARD_RAW;
    return raw || (!exists(text) && (*text == '@' || strpbrk(text, "*?[")));
}

static enum exit_code bad_raw(const char *text)
{
    return fail(EXIT_USAGE,
                "'%s' does not describe raw numbers; write raw:DTYPE,(*,DIM,...):PATH, in which * "
                "is the dimension of the rows: raw:float32,(*,10):dump-*.bin",
                text);
}

/* Reads a shape such as (*,10). Returns the text after it, or NULL if it is not one. */
static const char *read_raw_shape(struct shard_spec *spec, const char *at)
{
    struct loss_tensor *const raw = &spec->raw;
    spec->raw_axis = -1;
    if (*at++ != '(')
        return NULL;
    while (*at != ')') {
        int64_t size = 0;
        if (raw->rank == LOSS_MAX_RANK)
            return NULL;
        if (*at == '*' && spec->raw_axis < 0) {
            spec->raw_axis = raw->rank;
            at++;
        } else if (*at == '*' || number_read_i64(at, &size, &at) != NUMBER_OK || size < 1) {
            return NULL;
        }
        raw->shape[raw->rank++] = (size_t)size;
        if (*at == ',')
            at++;
        else if (*at != ')')
            return NULL;
    }
    return spec->raw_axis < 0 ? NULL : at + 1;
}

/* Reads "float32,(*,10):" and advances *at past it. */
static enum exit_code read_raw(struct shard_spec *spec, const char **at, const char *text)
{
    char name[16];
    const size_t len = strcspn(*at, ",");
    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), *at);
    spec->raw = (struct loss_tensor){.dtype = loss_dtype_find(name)};
    if ((*at)[len] != ',' || spec->raw.dtype == LOSS_ANY)
        return bad_raw(text);
    const char *const end = read_raw_shape(spec, *at + len + 1);
    if (!end || *end != ':')
        return bad_raw(text);
    *at = end + 1;
    return EXIT_OK;
}

static enum exit_code read_prefix(struct shard_spec *spec, const char **at)
{
    const char *const text = *at;
    spec->format = skip_prefix(at);
    return spec->format == SHARD_RAW ? read_raw(spec, at, text) : EXIT_OK;
}

/* ---- Files ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds a path of `len` bytes. Returns false if memory runs out. */
static bool add_path(struct shard_spec *spec, const char *path, size_t len)
{
    if ((spec->count & (spec->count - 1)) == 0) { /* grows at powers of two */
        char **const more =
            realloc(spec->path, (spec->count ? 2 * spec->count : 1) * sizeof *spec->path);
        if (!more)
            return false;
        spec->path = more;
    }
    spec->path[spec->count] = strndup(path, len);
    return spec->path[spec->count] && ++spec->count;
}

static enum exit_code add_pattern(struct shard_spec *spec, const char *pattern)
{
    glob_t found;
    enum exit_code code = EXIT_OK;
    const int status = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (status == GLOB_NOSPACE)
        code = fail_memory();
    for (size_t i = 0; status == 0 && i < found.gl_pathc && code == EXIT_OK; i++)
        if (!add_path(spec, found.gl_pathv[i], strlen(found.gl_pathv[i])))
            code = fail_memory();
    if (status == 0)
        globfree(&found);
    if (spec->count > 1)
        qsort(spec->path, spec->count, sizeof *spec->path, by_bytes);
    return code;
}

/* Refuses a list that contains a path twice: its rows would count twice. */
static enum exit_code check_list(const struct shard_spec *spec, const char *list)
{
    enum exit_code code = EXIT_OK;
    char **const sorted = malloc((spec->count + 1) * sizeof *sorted);
    if (!sorted)
        return fail_memory();
    if (spec->count > 0)
        memcpy(sorted, spec->path, spec->count * sizeof *sorted);
    qsort(sorted, spec->count, sizeof *sorted, by_bytes);
    for (size_t i = 1; i < spec->count && code == EXIT_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            code = fail(EXIT_INPUT, "%s contains %s twice", list, sorted[i]);
    free(sorted);
    return code;
}

static enum exit_code add_list(struct shard_spec *spec, const char *list)
{
    FILE *const file = fopen(list, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    enum exit_code code = EXIT_OK;
    if (!file)
        return fail(EXIT_INPUT, "cannot read %s: %s", list, strerror(errno));
    while (code == EXIT_OK && (len = getline(&line, &room, file)) >= 0) {
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len > 0 && !add_path(spec, line, (size_t)len))
            code = fail_memory();
    }
    if (code == EXIT_OK && ferror(file))
        code = fail(EXIT_INPUT, "cannot read %s: %s", list, strerror(errno));
    free(line);
    fclose(file);
    if (code == EXIT_OK && spec->count == 0)
        return fail(EXIT_INPUT, "%s contains no paths", list);
    return code == EXIT_OK ? check_list(spec, list) : code;
}

/* Adds the files of a path, pattern or list without a name after it. Finds none if a pattern
   matches no file; a path that does not exist is reported when it is read. */
static enum exit_code add_files(struct shard_spec *spec, const char *text)
{
    if (*text == '@' && !exists(text))
        return exists(text + 1) ? add_list(spec, text + 1) : EXIT_OK;
    if (!exists(text) && strpbrk(text, "*?["))
        return add_pattern(spec, text);
    if (exists(text) && !add_path(spec, text, strlen(text)))
        return fail_memory();
    return EXIT_OK;
}

static enum exit_code not_found(const char *text)
{
    if (*text == '@')
        return fail(EXIT_INPUT, "cannot read the list %s: %s", text + 1, strerror(ENOENT));
    if (strpbrk(text, "*?["))
        return fail(EXIT_INPUT, "no file matches '%s'", text);
    return fail(EXIT_INPUT, "cannot read %s: %s", text, strerror(ENOENT));
}

enum exit_code shard_spec_read(struct shard_spec *spec, const char *text)
{
    *spec = (struct shard_spec){.format = SHARD_DETECT};
    enum exit_code code = read_prefix(spec, &text);
    if (code == EXIT_OK)
        code = add_files(spec, text);
    const char *const colon = strrchr(text, ':');
    if (code == EXIT_OK && spec->count == 0 && colon && colon[1]) {
        char *const path = strndup(text, (size_t)(colon - text));
        spec->member = colon + 1;
        code = path ? add_files(spec, path) : fail_memory();
        free(path);
    }
    return code == EXIT_OK && spec->count == 0 ? not_found(text) : code;
}

void shard_spec_free(struct shard_spec *spec)
{
    for (size_t i = 0; i < spec->count; i++)
        free(spec->path[i]);
    free(spec->path);
    *spec = (struct shard_spec){.count = 0};
}
