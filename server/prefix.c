/*
 * The first bytes of an answer, sent before the rest.
 */
#include "prefix.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char prefix[] = "HTTP/1.";

/* Bytes of it that were sent, by descriptor. */
static atomic_uchar *sent;
static size_t sent_count;

bool prefix_open(size_t files)
{
    sent = calloc(files, sizeof *sent);
    sent_count = sent ? files : 0;
    return sent != NULL;
}

void prefix_close(void)
{
    free(sent);
    sent = NULL;
    sent_count = 0;
}

void prefix_begin(int fd)
{
    atomic_store(&sent[fd], 0);
}

void prefix_send(int fd)
{
    const size_t at = atomic_load(&sent[fd]);
    if (prefix[at] == '\0')
        return;
    if (sendto(fd, &prefix[at], 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1)
        atomic_store(&sent[fd], (unsigned char)(at + 1));
}

/* How many of the bytes that are about to be sent were sent before; they count as sent from now
   on. */
static size_t take_sent(int fd, const char *bytes, size_t len)
{
    if (fd < 0 || (size_t)fd >= sent_count || atomic_load(&sent[fd]) == 0)
        return 0;
    const size_t before = atomic_load(&sent[fd]), taken = before < len ? before : len;
    assert(memcmp(bytes, prefix, taken) == 0); /* libmicrohttpd sends a status line in one piece */
    (void)bytes;
    atomic_store(&sent[fd], (unsigned char)(before - taken));
    return taken;
}

typedef ssize_t send_function(int fd, const void *bytes, size_t len, int flags);
typedef ssize_t sendmsg_function(int fd, const struct msghdr *message, int flags);

/* In place of the C library's, for libmicrohttpd: its calls are bound to this one, since a
   program's own functions come before those of its libraries. */
__attribute__((visibility("default"))) ssize_t send(int fd, const void *bytes, size_t len,
                                                    int flags)
{
    static _Atomic(send_function *) library;
    if (!library)
        library = (send_function *)dlsym(RTLD_NEXT, "send");
    const size_t before = take_sent(fd, bytes, len);
    if (before == 0)
        return library(fd, bytes, len, flags);
    const ssize_t more =
        before < len ? library(fd, (const char *)bytes + before, len - before, flags) : 0;
    return (ssize_t)before + (more > 0 ? more : 0);
}

/* Likewise. Of a message whose first bytes were sent before, it sends no more than the first
   part. */
__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
                                                       int flags)
{
    static _Atomic(sendmsg_function *) library;
    if (!library)
        library = (sendmsg_function *)dlsym(RTLD_NEXT, "sendmsg");
    const bool begun = fd >= 0 && (size_t)fd < sent_count && atomic_load(&sent[fd]) > 0;
    if (begun && message->msg_iovlen > 0)
        return send(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags);
    return library(fd, message, flags);
}
