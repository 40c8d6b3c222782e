#include "files/replacement.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Names ---- */

enum { DIGITS = 16 }; /* of the random number, in hexadecimal */

bool replacement_is_suffix(const char *text)
{
    return *text == '.' && strspn(text + 1, "0123456789abcdef") == DIGITS &&
           strcmp(text + 1 + DIGITS, ".part") == 0;
}

/* Writes the path FOLDER/NAMESUFFIX, or NAMESUFFIX if the folder is "". Returns false and sets
   errno if it is too long. */
static bool set_path(char to[PATH_MAX], const char *folder, const char *name, const char *suffix)
{
    const int len = snprintf(to, PATH_MAX, "%s%s%s%s", folder, *folder ? "/" : "", name, suffix);
    if (len < PATH_MAX)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

/* Returns the folder of a file, in `copy`. */
static const char *folder_of(const char *path, char copy[PATH_MAX])
{
    snprintf(copy, PATH_MAX, "%s", path);
    return dirname(copy);
}

/* Replaces the path of a symbolic link by its target. Returns false and sets errno on failure. */
static bool follow_link(char path[PATH_MAX])
{
    char target[PATH_MAX], copy[PATH_MAX];
    const ssize_t len = readlink(path, target, sizeof target - 1);
    if (len < 0)
        return false;
    target[len] = '\0';
    return set_path(path, *target == '/' ? "" : folder_of(path, copy), target, "");
}

/* Returns true if a link is one of /proc, such as /proc/self/fd/1: its target is not a path. */
static bool is_of_proc(const struct stat *link)
{
    struct stat proc;
    return stat("/proc", &proc) == 0 && proc.st_dev == link->st_dev;
}

/* Finds the file that is replaced: sets `target`, after following symbolic links, and `direct`.
   Returns false and sets errno on failure. */
static bool find_target(struct replacement *replacement, const char *path)
{
    enum { MAX_LINKS = 40 };
    struct stat status;
    replacement->direct = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    if (!set_path(replacement->target, "", path, ""))
        return false;
    for (int i = 0; i < MAX_LINKS; i++) {
        if (replacement->direct || lstat(replacement->target, &status) != 0 ||
            !S_ISLNK(status.st_mode))
            return true;
        replacement->direct = is_of_proc(&status);
        if (!replacement->direct && !follow_link(replacement->target))
            return false;
    }
    errno = ELOOP;
    return false;
}

/* ---- Writing ---- */

bool replacement_begin(struct replacement *replacement, const char *path)
{
    char suffix[32];
    uint64_t random;
    if (!find_target(replacement, path))
        return false;
    if (replacement->direct) {
        replacement->file = fopen(path, "we");
        return replacement->file;
    }
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return false;
    snprintf(suffix, sizeof suffix, ".%016" PRIx64 ".part", random);
    if (!set_path(replacement->temporary, "", replacement->target, suffix))
        return false;
    replacement->file = fopen(replacement->temporary, "wxe");
    return replacement->file;
}

bool replacement_sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool ok = fsync(fd) == 0 || errno == EINVAL; /* some file systems do not support it */
    const int why = errno;
    close(fd);
    errno = why;
    return ok;
}

/* Waits until the name of the target is on disk. */
static bool sync_name(const struct replacement *replacement)
{
    char copy[PATH_MAX];
    return replacement_sync_folder(folder_of(replacement->target, copy));
}

bool replacement_end(struct replacement *replacement, bool written, bool sync)
{
    const bool replace = !replacement->direct;
    bool ok = written && (!sync || !replace || fsync(fileno(replacement->file)) == 0);
    int why = errno;
    if (fclose(replacement->file) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && replace && rename(replacement->temporary, replacement->target) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok && replace)
        unlink(replacement->temporary);
    errno = why;
    return ok && (!replace || !sync || sync_name(replacement));
}

/* ---- Leftovers ---- */

void replacement_remove_leftovers(const char *path)
{
    struct replacement replacement;
    char copy[PATH_MAX];
    if (!find_target(&replacement, path) || replacement.direct)
        return;
    const char *const slash = strrchr(replacement.target, '/');
    const char *const name = slash ? slash + 1 : replacement.target;
    const size_t len = strlen(name);
    DIR *const folder = opendir(folder_of(replacement.target, copy));
    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strncmp(entry->d_name, name, len) == 0 && replacement_is_suffix(entry->d_name + len))
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
}
