/*
 * Determines the available memory.
 */
#include "system/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "system/cgroup.h"

/* Lowers *min_bytes to the limit of a cgroup. "max" means no limit. */
static void read_limit(void *context, const char *line)
{
    size_t *const min_bytes = context;
    char *end;
    const unsigned long long bytes = strtoull(line, &end, 10);
    if (end != line && bytes > 0 && bytes < *min_bytes)
        *min_bytes = (size_t)bytes;
}

size_t memory_allowed(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    size_t min_bytes = pages > 0 && size > 0 ? (size_t)pages * (size_t)size : (size_t)1 << 30;
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < min_bytes)
        min_bytes = (size_t)space.rlim_cur;
    cgroup_for_each(NULL, "memory.max", read_limit, &min_bytes);
    cgroup_for_each(NULL, "memory.high", read_limit, &min_bytes);
    cgroup_for_each("memory", "memory.limit_in_bytes", read_limit, &min_bytes);
    return min_bytes;
}
