/*
 * The system call filter.
 */
#include "system/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* The system calls that serving needs, as shown by strace -f of the test suites, and calls that the
   C library may use instead on other kernels or processors, or after errors. */
static const char *const calls[] = {
    /* Connections. */
    "accept", "accept4", "close", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "fcntl",
    "getpeername", "getsockname", "getsockopt", "ioctl", "poll", "ppoll", "recvfrom", "recvmsg",
    "sendmsg", "sendto", "setsockopt", "shutdown",
    /* Files: tokens, certificates, the log, /proc for metrics, removal of Unix sockets. */
    "fstat", "fstatfs", "getdents64", "lseek", "lstat", "newfstatat", "open", "openat", "pread64",
    "read", "readlink", "readlinkat", "readv", "stat", "statx", "unlink", "unlinkat", "write",
    "writev",
    /* Memory. */
    "brk", "madvise", "mremap", "munmap",
    /* Threads. */
    "clone", "clone3", "exit", "exit_group", "futex", "gettid", "membarrier", "prctl", "rseq",
    "sched_getaffinity", "sched_setaffinity", "sched_yield", "set_robust_list", "set_tid_address",
    "sigaltstack",
    /* Signals and time. */
    "clock_getres", "clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep",
    "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "tgkill", "time",
    /* Properties of process and system. */
    "getpid", "getrandom", "getrlimit", "getrusage", "prlimit64", "sysinfo", "uname"};

/* Allows a call, with at most one condition. Ignores calls that do not exist on this processor.
   Returns 0 or a negative error number. */
static int allow(scmp_filter_ctx filter, const char *call, const struct scmp_arg_cmp *condition)
{
    const int number = seccomp_syscall_resolve_name(call);
    if (number == __NR_SCMP_ERROR)
        return 0;
    const int error =
        seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, condition ? 1 : 0, condition);
    return error == -EDOM ? 0 : error;
}

static int allow_all(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp is_unix = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
    const struct scmp_arg_cmp unwritable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0);
    const struct scmp_arg_cmp unexecutable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof calls / sizeof *calls; i++)
        error = allow(filter, calls[i], NULL);
    if (error == 0)
        error = allow(filter, "socket", &is_unix);
    if (error == 0)
        error = allow(filter, "mmap", &unwritable);
    if (error == 0)
        error = allow(filter, "mmap", &unexecutable);
    return error == 0 ? allow(filter, "mprotect", &unexecutable) : error;
}

bool sandbox_enter(char *message, size_t size)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int error = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
    if (error == 0)
        error = allow_all(filter);
    if (error == 0)
        error = seccomp_load(filter); /* also sets no_new_privs */
    if (filter)
        seccomp_release(filter);
    if (error == 0)
        return true;
    snprintf(message, size,
             "cannot install the system call filter: %s; use --seccomp off to run without it",
             strerror(-error));
    return false;
}
