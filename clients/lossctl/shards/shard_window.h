/*
 * Parts of files in memory: mapped, not read, so that the kernel can drop their pages. A file that
 * changes while it is mapped is an error: if it becomes shorter, the kernel sends SIGBUS, whose
 * handler names the file and ends the process with EXIT_INPUT.
 */
#ifndef LOSSCTL_SHARDS_SHARD_WINDOW_H
#define LOSSCTL_SHARDS_SHARD_WINDOW_H

#include <time.h>

#include "cli/fail.h"

/* The size and time of a file. If either differs later, the file has changed. */
struct shard_stamp {
    uint64_t size; /* bytes */
    struct timespec modified;
};

struct shard_window {
    const char *data; /* the mapped bytes; not NULL even if there are none */

    /* private */
    const char *path; /* borrowed */
    struct shard_stamp stamp;
    int fd;
    void *pages; /* NULL if the window is closed, or empty */
    size_t len;
    struct shard_window *next; /* of the open windows */
};

/* Reads the stamp of a regular file. */
enum exit_code shard_stamp_read(struct shard_stamp *stamp, const char *path);
bool shard_stamp_same(const struct shard_stamp *a, const struct shard_stamp *b);

/* Maps `len` bytes from `offset` on. Borrows `path`. With `ahead`, the kernel starts to read the
   bytes. Returns EXIT_INPUT if the file cannot be mapped, or if its stamp is not `stamp`. The
   window must not be moved until it is closed. */
enum exit_code shard_window_open(struct shard_window *window, const char *path,
                                 const struct shard_stamp *stamp, uint64_t offset, size_t len,
                                 bool ahead);
/* Unmaps. Returns the path of the file if it has changed since the window was opened, else NULL.
   No-op if the window is {0} or closed. */
const char *shard_window_close(struct shard_window *window);
/* Reports that a file has changed. */
enum exit_code shard_window_fail_changed(const char *path);

#endif
