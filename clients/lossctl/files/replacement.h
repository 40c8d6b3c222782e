/*
 * Files that are replaced atomically: the new content is written to a temporary file in the same
 * folder, FILE.RANDOM.part, which is then renamed. A process that is killed leaves the old content,
 * and perhaps the temporary file.
 *
 * The target of a symbolic link is replaced, not the link. A path that is not a regular file, such
 * as a device or /dev/stdout, is written directly.
 */
#ifndef LOSSCTL_FILES_REPLACEMENT_H
#define LOSSCTL_FILES_REPLACEMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

struct replacement {
    FILE *file; /* owned; write the new content to it */

    /* private */
    bool direct; /* `file` is the target itself, not a temporary file */
    char target[PATH_MAX], temporary[PATH_MAX];
};

/* Opens the temporary file for `path`, or `path` itself if it is written directly. On failure,
   returns false and sets errno. On success, call replacement_end(). */
bool replacement_begin(struct replacement *replacement, const char *path);
/* Closes the temporary file, and renames it if `written`, otherwise removes it. With `sync`, waits
   until the content is on disk before renaming, so that even a crash of the system leaves the old
   or the new content; then waits until the new name is on disk. On failure, returns false and sets
   errno; if `written` is false, returns false and keeps errno. */
bool replacement_end(struct replacement *replacement, bool written, bool sync);

/* Removes the temporary files for `path`: those that killed processes have left, and those that are
   being written. Ignores errors. */
void replacement_remove_leftovers(const char *path);
/* Returns true if `text` is the suffix of a temporary file, ".RANDOM.part". */
bool replacement_is_suffix(const char *text);

/* Waits until the names in a folder are on disk, where the file system supports that. Returns false
   and sets errno on failure. */
bool replacement_sync_folder(const char *path);

#endif
