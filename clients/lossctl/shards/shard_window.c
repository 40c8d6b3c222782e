#include "shards/shard_window.h"
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct shard_window *windows; /* open ones; changes only while no other thread computes */

/* ---- Truncated files ---- */

static struct iovec text_of(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

/* Calls only functions that are safe in a signal handler. */
static void report(const char *path)
{
    static const char reason[] = ": became shorter, or could not be read, during the evaluation\n";
    const bool bar = !progress_is_disabled() && isatty(STDERR_FILENO);
    const struct iovec line[] = {text_of(bar ? "\r\033[K" : ""), text_of("lossctl: "),
                                 text_of(path), text_of(reason)};
    if (writev(STDERR_FILENO, line, sizeof line / sizeof line[0]) < 0)
        return; /* nothing can be done about it here */
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    static atomic_flag reported = ATOMIC_FLAG_INIT;
    const char *const at = info->si_addr;
    (void)context;
    for (const struct shard_window *w = windows; w; w = w->next) {
        const char *const pages = w->pages;
        if (!pages || at < pages || at >= pages + w->len)
            continue;
        while (atomic_flag_test_and_set(&reported))
            pause(); /* another thread ends the process */
        report(w->path);
        _exit(EXIT_INPUT);
    }
    signal(number, SIG_DFL); /* the access is repeated, and ends the process */
}

static void catch_sigbus(void)
{
    static bool caught;
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    if (!caught)
        sigaction(SIGBUS, &action, NULL);
    caught = true;
}

/* ---- Stamps ---- */

static enum exit_code cannot_read(const char *path, int why)
{
    return fail(EXIT_INPUT, "cannot read %s: %s", path, strerror(why));
}

static struct shard_stamp stamp_of(const struct stat *status)
{
    return (struct shard_stamp){(uint64_t)status->st_size, status->st_mtim};
}

enum exit_code shard_stamp_read(struct shard_stamp *stamp, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return cannot_read(path, errno);
    if (!S_ISREG(status.st_mode))
        return fail(EXIT_INPUT, "%s is not a regular file", path);
    *stamp = stamp_of(&status);
    return EXIT_OK;
}

bool shard_stamp_same(const struct shard_stamp *a, const struct shard_stamp *b)
{
    return a->size == b->size && a->modified.tv_sec == b->modified.tv_sec &&
           a->modified.tv_nsec == b->modified.tv_nsec;
}

/* ---- Windows ---- */

/* Returns true if the open file has its stamp. */
static bool is_unchanged(const struct shard_window *window)
{
    struct stat status;
    if (fstat(window->fd, &status) != 0)
        return false;
    const struct shard_stamp now = stamp_of(&status);
    return shard_stamp_same(&now, &window->stamp);
}

enum exit_code shard_window_fail_changed(const char *path)
{
    return fail(EXIT_INPUT, "%s has changed during the evaluation", path);
}

static enum exit_code map(struct shard_window *window, uint64_t offset, size_t len, bool ahead)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), skip = offset % page;
    if (len == 0)
        return EXIT_OK;
    void *const pages =
        mmap(NULL, skip + len, PROT_READ, MAP_SHARED, window->fd, (off_t)(offset - skip));
    if (pages == MAP_FAILED)
        return cannot_read(window->path, errno);
    window->pages = pages;
    window->len = skip + len;
    window->data = (const char *)pages + skip;
    /* Advice about reading ahead; the result does not depend on it. */
    madvise(window->pages, window->len, MADV_SEQUENTIAL);
    if (ahead)
        madvise(window->pages, window->len, MADV_WILLNEED);
    return EXIT_OK;
}

enum exit_code shard_window_open(struct shard_window *window, const char *path,
                                 const struct shard_stamp *stamp, uint64_t offset, size_t len,
                                 bool ahead)
{
    catch_sigbus();
    *window = (struct shard_window){
        .data = "", .path = path, .stamp = *stamp, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (window->fd < 0) {
        const int why = errno;
        window->path = NULL;
        return cannot_read(path, why);
    }
    enum exit_code code =
        is_unchanged(window) ? map(window, offset, len, ahead) : shard_window_fail_changed(path);
    if (code == EXIT_OK) {
        window->next = windows;
        windows = window;
        return EXIT_OK;
    }
    close(window->fd);
    window->path = NULL;
    return code;
}

const char *shard_window_close(struct shard_window *window)
{
    if (!window->path)
        return NULL;
    struct shard_window **at = &windows;
    while (*at != window)
        at = &(*at)->next;
    *at = window->next;
    const char *const path = window->path;
    const bool unchanged = is_unchanged(window);
    if (window->pages)
        munmap(window->pages, window->len);
    close(window->fd);
    *window = (struct shard_window){.path = NULL};
    return unchanged ? NULL : path;
}
