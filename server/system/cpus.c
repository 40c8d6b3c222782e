/*
 * Available CPUs: the affinity mask (taskset, cpusets) and the CPU quota of the cgroup
 * (containers).
 */
#include "system/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

#include "system/cgroup.h"

enum {
    CPUS_MASK_MAX = 1 << 16, /* size of the largest affinity mask to try, in CPUs */
};

static int affinity(void)
{
    /* The kernel rejects masks smaller than its own, so enlarge the mask until the kernel accepts
       it. */
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
    long long quota = strtoll(text, &end, 10); /* 0 if there are no digits, as in "max" */
    long long period = strtoll(end, NULL, 10);
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? 0 : (int)cpus;
}

/* Lowers *min_cpus to the quota of a cgroup. 0 means no quota. */
static void read_quota(void *context, const char *line)
{
    int *const min_cpus = context;
    const int cpus = cpus_of_quota(line);
    if (cpus > 0 && (*min_cpus == 0 || cpus < *min_cpus))
        *min_cpus = cpus;
}

int cpus_allowed(void)
{
    int mask = affinity();
    int limit = 0;
    cgroup_for_each(NULL, "cpu.max", read_quota, &limit);
    return limit > 0 && limit < mask ? limit : mask;
}
