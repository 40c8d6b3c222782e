/*
 * Loads the library of faults.h into the programs that a test starts.
 */
#include "support/fault_library.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct faults *faults;
static char faults_path[] = "/tmp/lossd-faults-XXXXXX";

/* The library is in the folder of the test program. */
static void find_library(char *path)
{
    const ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 16);
    ck_assert_int_gt(len, 0);
    path[len] = '\0';
    strcpy(strrchr(path, '/') + 1, "faults.so");
}

static void map_faults(void)
{
    strcpy(strrchr(faults_path, '-') + 1, "XXXXXX");
    const int fd = mkstemp(faults_path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, sizeof *faults), 0);
    faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(faults, MAP_FAILED);
    close(fd);
    atomic_store(&faults->error, ENOMEM);
    atomic_store(&faults->trace, getenv("FAULTS_TRACE") != NULL);
}

struct faults *fault_library_begin(void)
{
    char library[PATH_MAX];
    map_faults();
    find_library(library);
    setenv("LD_PRELOAD", library, 1);
    setenv("LOSSD_FAULTS", faults_path, 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 0);
    return faults;
}

void fault_library_end(void)
{
    if (!faults)
        return;
    unsetenv("LD_PRELOAD");
    unsetenv("LOSSD_FAULTS");
    munmap(faults, sizeof *faults);
    unlink(faults_path);
    faults = NULL;
}
