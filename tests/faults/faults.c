/*
 * The library of faults.h: LD_PRELOADed, it comes before the C library. Every function here counts its call, fails where it is
 * asked to, and is the next library's otherwise.
 */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct faults none; /* where there is no test */
static struct faults *faults = &none;

/* The next library's function of that name. */
#define NEXT(name)                                                                                                             \
    static __typeof__(&name) next;                                                                                             \
    if (!next)                                                                                                                 \
    next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void trace(void)
{
    static __thread bool tracing;
    void *frames[24];
    if (tracing)
        return;
    tracing = true;
    const int count = backtrace(frames, 24);
    static const char title[] = "fault:\n";
    const ssize_t ignored = write(STDERR_FILENO, title, sizeof title - 1);
    (void)ignored;
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    tracing = false;
}

/* Counts a call; true if it is to fail, with errno set. */
static bool fails(enum fault_kind kind)
{
    if (!(atomic_load_explicit(&faults->kinds, memory_order_relaxed) & kind))
        return false;
    const unsigned long long call = atomic_fetch_add(&faults->calls, 1) + 1, first = atomic_load(&faults->first);
    if (first == 0 || call < first || (call > first && !atomic_load(&faults->all)))
        return false;
    atomic_fetch_add(&faults->faults, 1);
    if (atomic_load(&faults->trace))
        trace();
    errno = atomic_load(&faults->error);
    return true;
}

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("LOSSD_FAULTS");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    void *frame;
    backtrace(&frame, 1); /* loads what it needs, now */
    if (memory == MAP_FAILED)
        return;
    struct faults *const shared = memory;
    atomic_fetch_add(&shared->blocks, atomic_load(&none.blocks)); /* that were taken before */
    faults = shared;
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add_explicit(&faults->blocks, 1, memory_order_relaxed);
    return block;
}

/* What dlsym takes while it looks for malloc itself: little, and never given back. */
static char early[4096];
static size_t early_len;

static void *take_early(size_t size)
{
    const size_t at = (early_len + 15) & ~(size_t)15;
    if (size > sizeof early - at)
        _exit(127);
    early_len = at + size;
    return early + at;
}

static bool is_early(const void *block)
{
    return (uintptr_t)block >= (uintptr_t)early && (uintptr_t)block < (uintptr_t)early + sizeof early;
}

static __thread bool looking;

#define NEXT_MEMORY(name, size)                                                                                                \
    static __typeof__(&name) next;                                                                                             \
    if (!next && looking)                                                                                                      \
        return take_early(size);                                                                                               \
    if (!next) {                                                                                                               \
        looking = true;                                                                                                        \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                                     \
        looking = false;                                                                                                       \
    }

EXPORT void *malloc(size_t size)
{
    NEXT_MEMORY(malloc, size);
    return fails(FAULT_MEMORY) ? NULL : counted(next(size));
}

EXPORT void *calloc(size_t count, size_t size)
{
    NEXT_MEMORY(calloc, count * size);
    return fails(FAULT_MEMORY) ? NULL : counted(next(count, size));
}

EXPORT void free(void *block)
{
    NEXT(free);
    if (!block || is_early(block))
        return;
    atomic_fetch_sub_explicit(&faults->blocks, 1, memory_order_relaxed);
    next(block);
}

EXPORT void *realloc(void *block, size_t size)
{
    NEXT(realloc);
    if (fails(FAULT_MEMORY))
        return NULL;
    void *const moved = next(block, size);
    return block ? moved : counted(moved);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    NEXT(aligned_alloc);
    return fails(FAULT_MEMORY) ? NULL : counted(next(alignment, size));
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    NEXT(memalign);
    return fails(FAULT_MEMORY) ? NULL : counted(next(alignment, size));
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    NEXT(posix_memalign);
    if (fails(FAULT_MEMORY))
        return ENOMEM;
    const int error = next(block, alignment, size);
    if (error == 0)
        counted(*block);
    return error;
}

EXPORT void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    NEXT(mmap);
    return fails(FAULT_MEMORY) ? MAP_FAILED : next(at, size, protection, flags, fd, offset);
}

EXPORT void *mremap(void *block, size_t size, size_t to, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    void *const at = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    NEXT(mremap);
    return fails(FAULT_MEMORY) ? MAP_FAILED : next(block, size, to, flags, at);
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    NEXT(pthread_create);
    return fails(FAULT_THREAD) ? EAGAIN : next(thread, attributes, run, argument);
}

/* ---- sockets and what waits for them ------------------------------------------------------------------------------ */

EXPORT int accept4(int fd, struct sockaddr *peer, socklen_t *len, int flags)
{
    NEXT(accept4);
    return fails(FAULT_ACCEPT) ? -1 : next(fd, peer, len, flags);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    NEXT(send);
    return fails(FAULT_SEND) ? -1 : next(fd, bytes, len, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg);
    return fails(FAULT_SEND) ? -1 : next(fd, message, flags);
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t count)
{
    NEXT(sendfile64);
    return fails(FAULT_SEND) ? -1 : next(out, in, offset, count);
}

EXPORT ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *peer, socklen_t *len)
{
    NEXT(recvfrom);
    return fails(FAULT_RECEIVE) ? -1 : next(fd, bytes, size, flags, peer, len);
}

EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl);
    return operation == EPOLL_CTL_ADD && fails(FAULT_EPOLL) ? -1 : next(epoll, operation, fd, event);
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
    NEXT(epoll_wait);
    return fails(FAULT_WAIT) ? -1 : next(epoll, events, count, timeout);
}

EXPORT int poll(struct pollfd *waits, nfds_t count, int timeout)
{
    NEXT(poll);
    return fails(FAULT_WAIT) ? -1 : next(waits, count, timeout);
}

EXPORT int eventfd(unsigned count, int flags)
{
    NEXT(eventfd);
    return fails(FAULT_EVENT) ? -1 : next(count, flags);
}

EXPORT int epoll_create1(int flags)
{
    NEXT(epoll_create1);
    return fails(FAULT_EVENT) ? -1 : next(flags);
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *const argument = va_arg(arguments, void *); /* an int fits where a pointer does */
    va_end(arguments);
    NEXT(fcntl);
    const bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    return duplicates && fails(FAULT_DUPLICATE) ? -1 : next(fd, command, argument);
}

EXPORT int socket(int family, int type, int protocol)
{
    NEXT(socket);
    return fails(FAULT_SOCKET) ? -1 : next(family, type, protocol);
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    NEXT(bind);
    return fails(FAULT_SOCKET) ? -1 : next(fd, address, len);
}

EXPORT int listen(int fd, int backlog)
{
    NEXT(listen);
    return fails(FAULT_SOCKET) ? -1 : next(fd, backlog);
}

EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    NEXT(setsockopt);
    return fails(FAULT_SOCKET) ? -1 : next(fd, level, option, value, len);
}
