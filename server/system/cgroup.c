/*
 * Reads the limits of cgroups.
 */
#include "system/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { CGROUP_PATH = 4096 }; /* size of a cgroup path */

bool cgroup_read_line(const char *path, const char *prefix, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool found = false;
    while (!found && fgets(line, (int)size, file))
        found = strncmp(line, prefix, strlen(prefix)) == 0;
    fclose(file);
    if (!found)
        return false;
    memmove(line, line + strlen(prefix), strlen(line) - strlen(prefix) + 1);
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* Returns true if a line of /proc/self/cgroup, "4:cpu,memory:/path", lists a controller. */
static bool is_about(const char *line, const char *controller)
{
    const char *at = strchr(line, ':');
    const size_t len = strlen(controller);
    while (at && (*at == ':' || *at == ',') && strncmp(at + 1, controller, len) != 0)
        at = strpbrk(at + 1, ",:");
    return at && (*at == ':' || *at == ',') && (at[1 + len] == ':' || at[1 + len] == ',');
}

/* Writes the path of the cgroup of this process, such as "/system.slice", or "/" for the root.
   Returns false if it has none. */
static bool own_group(const char *controller, char *group, size_t size)
{
    char line[CGROUP_PATH];
    bool found = false;
    if (!controller)
        return cgroup_read_line("/proc/self/cgroup", "0::", group, size);
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *const path = strchr(line, '/');
        found = path && is_about(line, controller);
        if (found)
            snprintf(group, size, "%.*s", (int)strcspn(path, "\n"), path);
    }
    if (file)
        fclose(file);
    return found;
}

void cgroup_for_each(const char *controller, const char *name,
                     void (*see)(void *context, const char *line), void *context)
{
    char group[CGROUP_PATH];
    if (!own_group(controller, group, sizeof group))
        return;
    for (;;) {
        char path[CGROUP_PATH + 96], line[64];
        snprintf(path, sizeof path, "/sys/fs/cgroup%s%s%s/%s", controller ? "/" : "",
                 controller ? controller : "", group, name);
        if (cgroup_read_line(path, "", line, sizeof line))
            see(context, line);
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}
