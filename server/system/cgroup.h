/*
 * The control groups (containers, systemd slices) that this process is in, whose limits all bind.
 */
#ifndef SERVER_SYSTEM_CGROUP_H
#define SERVER_SYSTEM_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/* The first line of a file that starts with `prefix`, without it and the newline; false if there is
 * none. */
bool cgroup_read_line(const char *path, const char *prefix, char *line, size_t size);

/* Shows the first line of the file of that name in our own group and in each above it. `controller`
   is that of version 1 of control groups ("memory"), where there is one; NULL: of version 2. */
void cgroup_for_each(const char *controller, const char *name,
                     void (*see)(void *context, const char *line), void *context);

#endif
