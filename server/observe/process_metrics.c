/*
 * Metrics of this process, read when they are exported, mostly from /proc. Values that cannot be
 * read are omitted.
 */
#include "observe/process_metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loss.h"

/* Fields of /proc/self/stat, numbered as in proc(5). */
enum { STAT_THREADS = 20, STAT_START = 22, STAT_VIRTUAL = 23, STAT_RESIDENT = 24 };

static double stat_field(int field)
{
    char text[1024];
    FILE *const file = fopen("/proc/self/stat", "re");
    if (!file)
        return NAN;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = strrchr(text, ')'); /* end of the second field, which may contain spaces */
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    uint64_t value = 0;
    return at && sscanf(at, " %" SCNu64, &value) == 1 ? (double)value : NAN;
}

static double started; /* computed once, so that it does not change when the clock is set */

/* The kernel reports the start time relative to boot. */
static double start_time(void)
{
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    const double machine =
        (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9;
    return machine + stat_field(STAT_START) / (double)sysconf(_SC_CLK_TCK);
}

static double cpu_seconds(void)
{
    struct timespec used;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0
               ? (double)used.tv_sec + (double)used.tv_nsec / 1e9
               : NAN;
}

/* Since Linux 6.2, the size of /proc/self/fd is the number of open files. On older kernels, the
   entries must be counted. */
static double count_open_files(void)
{
    struct stat about;
    if (stat("/proc/self/fd", &about) == 0 && about.st_size > 0)
        return (double)about.st_size;
    DIR *const directory = opendir("/proc/self/fd");
    if (!directory)
        return NAN;
    double count = -1; /* excludes the descriptor of the directory itself */
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static double max_open_files(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
}

static char build_labels[160]; /* filled at startup, after the instruction set is chosen */

enum { CPU, START, RESIDENT, VIRTUAL, OPEN_FILES, MAX_FILES, THREADS, BUILD, SOURCES };

static double read_value(void *context, size_t index)
{
    (void)context;
    switch (index) {
    case CPU:
        return cpu_seconds();
    case START:
        return started;
    case RESIDENT:
        return stat_field(STAT_RESIDENT) * (double)sysconf(_SC_PAGESIZE);
    case VIRTUAL:
        return stat_field(STAT_VIRTUAL);
    case OPEN_FILES:
        return count_open_files();
    case MAX_FILES:
        return max_open_files();
    case THREADS:
        return stat_field(STAT_THREADS);
    case BUILD:
        return 1;
    default:
        return NAN;
    }
}

static const struct metric_source sources[SOURCES] = {
    [CPU] = {"process_cpu_seconds_total", METRIC_COUNTER, "CPU time used by the process.", NULL,
             read_value},
    [START] = {"process_start_time_seconds", METRIC_GAUGE,
               "Unix time at which the process started.", NULL, read_value},
    [RESIDENT] = {"process_resident_memory_bytes", METRIC_GAUGE, "Resident memory of the process.",
                  NULL, read_value},
    [VIRTUAL] = {"process_virtual_memory_bytes", METRIC_GAUGE, "Virtual memory of the process.",
                 NULL, read_value},
    [OPEN_FILES] = {"process_open_fds", METRIC_GAUGE, "Open file descriptors.", NULL, read_value},
    [MAX_FILES] = {"process_max_fds", METRIC_GAUGE, "Maximum number of open file descriptors.",
                   NULL, read_value},
    [THREADS] = {"process_threads", METRIC_GAUGE, "Threads of the process.", NULL, read_value},
    [BUILD] = {"lossd_build_info", METRIC_GAUGE, "Always 1; labels describe the build.",
               build_labels, read_value},
};

bool process_metrics_add(struct metrics *metrics)
{
    started = start_time();
    snprintf(build_labels, sizeof build_labels,
             "version=\"" LOSS_VERSION "\",compiler=\"" __VERSION__ "\",isa=\"%s\"", loss_isa());
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, NULL);
}
