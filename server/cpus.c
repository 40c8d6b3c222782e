/*
 * How many CPUs this process may use: the affinity mask (taskset, cpusets) and the CPU quota of the cgroup (containers).
 */
#include "cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CPUS_MASK_MAX = 1 << 16, /* CPUs of the widest affinity mask that is tried */
    CGROUP_PATH = 4096,      /* bytes of the path of a cgroup */
};

static int affinity(void)
{
    /* The kernel refuses a mask that is narrower than its own, so widen it until it is taken. */
    for (int width = CPU_SETSIZE; width <= CPUS_MASK_MAX; width *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)width);
        if (!set)
            return 1;
        size_t bytes = CPU_ALLOC_SIZE((size_t)width);
        int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 1;
}

int cpus_of_quota(const char *text)
{
    char *end;
    long long quota = strtoll(text, &end, 10); /* 0 where there are no digits, as in "max" */
    long long period = strtoll(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? 0 : (int)cpus;
}

/* The first line of a file that starts with `prefix`, without it and the newline; false if there is none. */
static bool line_of_file(const char *path, const char *prefix, char *line, size_t size)
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

/* The smallest quota from our own cgroup up to the root: each of them binds. 0 if there is none. */
static int quota(void)
{
    char group[CGROUP_PATH];
    if (!line_of_file("/proc/self/cgroup", "0::", group, sizeof group))
        return 0;
    int least = 0;
    for (;;) {
        char path[CGROUP_PATH + 32], text[64];
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        int cpus = line_of_file(path, "", text, sizeof text) ? cpus_of_quota(text) : 0;
        if (cpus > 0 && (least == 0 || cpus < least))
            least = cpus;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

int cpus_allowed(void)
{
    int mask = affinity();
    int limit = quota();
    return limit > 0 && limit < mask ? limit : mask;
}
