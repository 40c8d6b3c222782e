/* Tells the unfinished files of one run from those of others. */
#include "evaluation/sha256.h"
#include "shards/gradient_names.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ".EVALUATION-RUN.part": both are 8 hexadecimal digits. */
enum { DIGITS = 8, RUN_AT = 1 + DIGITS + 1 };
static const char last[] = ".part";

static bool are_digits(const char *text)
{
    return strspn(text, "0123456789abcdef") >= DIGITS;
}

bool gradient_is_suffix(const char *text)
{
    return strlen(text) == GRADIENT_SUFFIX - 1 && text[0] == '.' && are_digits(text + 1) &&
           text[RUN_AT - 1] == '-' && are_digits(text + RUN_AT) &&
           strcmp(text + RUN_AT + DIGITS, last) == 0;
}

enum exit_code gradient_files_begin_run(struct gradient_files *files,
                                        const struct buffer *evaluation)
{
    struct sha256 hash;
    char text[SHA256_TEXT];
    uint32_t run;
    if (evaluation->failed)
        return fail_memory();
    sha256_begin(&hash);
    sha256_add(&hash, evaluation->data, evaluation->len);
    sha256_end(&hash, text);
    if (getrandom(&run, sizeof run, 0) != sizeof run)
        return fail(EXIT_FAILED, "cannot read random numbers: %s", strerror(errno));
    snprintf(files->suffix, sizeof files->suffix, ".%.8s-%08x%s", text, run, last);
    return EXIT_OK;
}

/* ---- Folders ---- */

/* Returns the suffix of a name if it is that of an unfinished file; else NULL. */
static const char *suffix_of(const char *name)
{
    const size_t len = strlen(name);
    const char *const suffix = len < GRADIENT_SUFFIX ? "" : name + len + 1 - GRADIENT_SUFFIX;
    return gradient_is_suffix(suffix) ? suffix : NULL;
}

/* Removes the files of a folder whose suffixes begin with the first `len` bytes of `suffix`. */
static void remove_from(const char *folder, const char *suffix, size_t len)
{
    DIR *const dir = opendir(folder);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *const other = suffix_of(entry->d_name);
        if (other && strncmp(other, suffix, len) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

void gradient_files_remove_run(const struct gradient_files *files, const char *suffix)
{
    for (int i = 0; i < files->count; i++)
        remove_from(files->output[i].folder, suffix, GRADIENT_SUFFIX - 1);
}

void gradient_files_remove_leftovers(const struct gradient_files *files)
{
    for (int i = 0; i < files->count; i++)
        remove_from(files->output[i].folder, files->suffix, RUN_AT);
}

bool gradient_find_other(const struct gradient_output *output, const struct shard *shard,
                         char *path)
{
    const char *const name = gradient_base_name(shard->path);
    const size_t len = strlen(name);
    bool found = false;
    DIR *const dir = opendir(output->folder);
    if (!dir)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(dir));)
        if (strncmp(entry->d_name, name, len) == 0 && gradient_is_suffix(entry->d_name + len))
            found = gradient_name(output, shard, entry->d_name + len, path) == EXIT_OK;
    closedir(dir);
    return found;
}
