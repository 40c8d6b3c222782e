/*
 * Limits of the cgroup of this process (container, systemd slice) and of its ancestors.
 */
#ifndef SERVER_SYSTEM_CGROUP_H
#define SERVER_SYSTEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* Finds the first line in a file that starts with `prefix`. Copies the rest of that line, without
   the newline. Returns false if there is no such line. */
bool cgroup_read_line(const char *path, const char *prefix, char *line, size_t size);

/* Calls `see` with the first line of the file `name` in the cgroup of this process and in each
   ancestor. `controller`: a cgroup v1 controller such as "memory"; NULL for cgroup v2. */
void cgroup_for_each(const char *controller, const char *name,
                     void (*see)(void *context, const char *line), void *context);

#endif
