/*
 * The library of faults.h, loaded before the C library by LD_PRELOAD. Each function that can fail
 * counts its calls, and fails if the test has selected the call; otherwise it calls the function of
 * the next library.
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
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct faults none; /* used if no test shares memory */
static struct faults *faults = &none;

/* Sets `next` to the function of this name in the next library. */
#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    if (!next)                                                                                     \
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

/* True while the sanitizers look up the stack of a thread that starts: if an allocation fails then,
 * they end the program. They do so before thread-local storage of any other model exists. */
static __thread bool is_spared __attribute__((tls_model("initial-exec")));

/* If the test stalls calls of this kind in this thread, waits until `stall_ms` have passed, or the
   test sets it to 0. */
static void stall(enum fault_kind kind)
{
    char name[16] = "";
    if (!(atomic_load(&faults->stall_kinds) & kind) ||
        pthread_getname_np(pthread_self(), name, sizeof name) != 0 ||
        strncmp(name, faults->stall_thread, strlen(faults->stall_thread)) != 0)
        return;
    atomic_fetch_add(&faults->stalls, 1);
    for (int waited = 0; waited < atomic_load(&faults->stall_ms); waited += 10)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Counts a call. Returns true with errno set if it must fail. */
static bool fails(enum fault_kind kind)
{
    if (!is_spared && atomic_load_explicit(&faults->stall_kinds, memory_order_relaxed) != 0)
        stall(kind);
    if (is_spared || !(atomic_load_explicit(&faults->kinds, memory_order_relaxed) & kind))
        return false;
    const unsigned long long call = atomic_fetch_add(&faults->calls, 1) + 1,
                             first = atomic_load(&faults->first);
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
    void *memory =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED)
        return;
    struct faults *const shared = memory;
    void *frame;
    if (atomic_load(&shared->trace))
        backtrace(&frame, 1); /* the first call loads libgcc, which allocates */
    atomic_fetch_add(&shared->blocks, atomic_load(&none.blocks)); /* allocated before */
    faults = shared;
}

/* ---- Memory ---- */

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add_explicit(&faults->blocks, 1, memory_order_relaxed);
    return block;
}

/* Memory for the allocations that dlsym makes; it is never freed. */
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
    return (uintptr_t)block >= (uintptr_t)early &&
           (uintptr_t)block < (uintptr_t)early + sizeof early;
}

/* The functions of the next library. The first call looks up all of them, because dlsym itself
 * allocates and frees memory. The address sanitizer allocates before thread-local storage exists;
 * until then there is only one thread. */
static struct {
    __typeof__(&malloc) malloc;
    __typeof__(&calloc) calloc;
    __typeof__(&realloc) realloc;
    __typeof__(&aligned_alloc) aligned_alloc;
    __typeof__(&memalign) memalign;
    __typeof__(&posix_memalign) posix_memalign;
    __typeof__(&free) free;
    bool looked_for, known;
} next_memory;

#define LOOK_FOR(name) next_memory.name = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Returns true if the functions are known, false during the look-up. */
static bool knows_memory(void)
{
    if (next_memory.looked_for)
        return next_memory.known;
    next_memory.looked_for = true;
    LOOK_FOR(malloc);
    LOOK_FOR(calloc);
    LOOK_FOR(realloc);
    LOOK_FOR(aligned_alloc);
    LOOK_FOR(memalign);
    LOOK_FOR(posix_memalign);
    LOOK_FOR(free);
    next_memory.known = true;
    return true;
}

EXPORT void *malloc(size_t size)
{
    if (!knows_memory())
        return take_early(size);
    return fails(FAULT_MEMORY) ? NULL : counted(next_memory.malloc(size));
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!knows_memory())
        return take_early(count * size);
    return fails(FAULT_MEMORY) ? NULL : counted(next_memory.calloc(count, size));
}

EXPORT void free(void *block)
{
    if (!block || is_early(block))
        return;
    atomic_fetch_sub_explicit(&faults->blocks, 1, memory_order_relaxed);
    next_memory.free(block);
}

EXPORT void *realloc(void *block, size_t size)
{
    if (!knows_memory() || fails(FAULT_MEMORY))
        return NULL;
    void *const moved = next_memory.realloc(block, size);
    return block ? moved : counted(moved);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return !knows_memory() || fails(FAULT_MEMORY)
               ? NULL
               : counted(next_memory.aligned_alloc(alignment, size));
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return !knows_memory() || fails(FAULT_MEMORY) ? NULL
                                                  : counted(next_memory.memalign(alignment, size));
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size)
{
    if (!knows_memory() || fails(FAULT_MEMORY))
        return ENOMEM;
    const int error = next_memory.posix_memalign(block, alignment, size);
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

/* The leak sanitizer recognizes allocations of the dynamic loader by their caller, which is now
 * this library. */
EXPORT const char *__lsan_default_suppressions(void);
EXPORT const char *__lsan_default_suppressions(void)
{
    return "leak:ld-linux";
}
EXPORT const char *__lsan_default_options(void);
EXPORT const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

/* ---- Threads ---- */

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    NEXT(pthread_create);
    return fails(FAULT_THREAD) ? EAGAIN : next(thread, attributes, run, argument);
}

EXPORT int pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes)
{
    NEXT(pthread_getattr_np);
    is_spared = true;
    const int error = next(thread, attributes);
    is_spared = false;
    return error;
}

/* ---- Sockets and polling ---- */

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

EXPORT ssize_t recvfrom(int fd, void *bytes, size_t size, int flags, struct sockaddr *peer,
                        socklen_t *len)
{
    NEXT(recvfrom);
    return fails(FAULT_RECEIVE) ? -1 : next(fd, bytes, size, flags, peer, len);
}

EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl);
    return operation == EPOLL_CTL_ADD && fails(FAULT_EPOLL) ? -1
                                                            : next(epoll, operation, fd, event);
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
    void *const argument = va_arg(arguments, void *); /* or an int */
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

/* ---- Files ---- */

EXPORT int fsync(int fd)
{
    NEXT(fsync);
    return fails(FAULT_SYNC) ? -1 : next(fd);
}

EXPORT int fdatasync(int fd)
{
    NEXT(fdatasync);
    return fails(FAULT_SYNC) ? -1 : next(fd);
}

EXPORT int syncfs(int fd)
{
    NEXT(syncfs);
    return fails(FAULT_SYNC) ? -1 : next(fd);
}
