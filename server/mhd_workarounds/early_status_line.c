/*
 * Sends the first bytes of responses early.
 */
#include "mhd_workarounds/early_status_line.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char prefix[] = "HTTP/1.";

/* By descriptor: how many bytes have been sent early, and how many of these have been omitted from
   the response so far. */
static struct early {
    atomic_uchar sent, omitted;
} * early;
static size_t early_count;

bool early_status_line_open(size_t files)
{
    early = calloc(files, sizeof *early);
    early_count = early ? files : 0;
    return early != NULL;
}

void early_status_line_close(void)
{
    free(early);
    early = NULL;
    early_count = 0;
}

void early_status_line_end(int fd)
{
    atomic_store(&early[fd].sent, 0);
    atomic_store(&early[fd].omitted, 0);
}

void early_status_line_send(int fd)
{
    const size_t at = atomic_load(&early[fd].sent);
    if (prefix[at] == '\0')
        return;
    if (sendto(fd, &prefix[at], 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1)
        atomic_store(&early[fd].sent, (unsigned char)(at + 1));
}

static bool is_early(int fd)
{
    return fd >= 0 && (size_t)fd < early_count && atomic_load(&early[fd].sent) > 0;
}

/* Returns how many of the next `len` bytes of the response were sent early and must be omitted.
   Returns -1 if they differ from the bytes sent early; the response then cannot be sent. */
static ssize_t omit_sent(int fd, const char *bytes, size_t len)
{
    if (!is_early(fd))
        return 0;
    const size_t sent = atomic_load(&early[fd].sent), before = atomic_load(&early[fd].omitted);
    const size_t now = sent - before < len ? sent - before : len;
    if (memcmp(bytes, prefix + before, now) != 0)
        return -1;
    if (before + now == sent)
        early_status_line_end(fd);
    else
        atomic_store(&early[fd].omitted, (unsigned char)(before + now));
    return (ssize_t)now;
}

typedef ssize_t send_function(int fd, const void *bytes, size_t len, int flags);
typedef ssize_t sendmsg_function(int fd, const struct msghdr *message, int flags);

/* Replaces libc's send. The dynamic linker searches the program before its libraries, so
   libmicrohttpd calls this function. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *bytes, size_t len,
                                                    int flags)
{
    static _Atomic(send_function *) library;
    if (!library)
        library = (send_function *)dlsym(RTLD_NEXT, "send");
    const ssize_t omitted = omit_sent(fd, bytes, len);
    if (omitted < 0) {
        errno = ECONNRESET; /* libmicrohttpd closes the connection */
        return -1;
    }
    const size_t before = (size_t)omitted;
    if (before == 0)
        return library(fd, bytes, len, flags);
    const ssize_t more =
        before < len ? library(fd, (const char *)bytes + before, len - before, flags) : 0;
    return omitted + (more > 0 ? more : 0);
}

/* Replaces libc's sendmsg. If bytes were sent early, sends only the first buffer of the message,
   like a short write. */
__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
                                                       int flags)
{
    static _Atomic(sendmsg_function *) library;
    if (!library)
        library = (sendmsg_function *)dlsym(RTLD_NEXT, "sendmsg");
    if (is_early(fd) && message->msg_iovlen > 0)
        return send(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags);
    return library(fd, message, flags);
}
