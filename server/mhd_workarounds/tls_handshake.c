/*
 * Suspends TLS handshakes.
 */
#include "mhd_workarounds/tls_handshake.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { HANDSHAKE_EVENTS = 64 };

/* The TLS connection of a descriptor. */
struct handshake {
    struct MHD_Connection *connection; /* NULL: none */
    bool waits;                        /* suspended */
};

/* Global, because gnutls_handshake only gets the session. */
static struct {
    pthread_mutex_t mutex; /* protects the members below */
    struct handshake *list;
    size_t files;
    int epoll, stop; /* `stop`: an eventfd */
    bool running;    /* handshakes may be suspended */
    pthread_t thread;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Resumes a connection. No-op if it is not suspended. The mutex must be locked. */
static void resume(int fd)
{
    struct handshake *handshake = &all.list[fd];
    if (!handshake->waits)
        return;
    handshake->waits = false;
    epoll_ctl(all.epoll, EPOLL_CTL_DEL, fd, NULL);
    MHD_resume_connection(handshake->connection);
}

static void *run(void *unused)
{
    (void)unused;
    struct epoll_event events[HANDSHAKE_EVENTS];
    for (;;) {
        const int count = epoll_wait(all.epoll, events, HANDSHAKE_EVENTS, -1);
        pthread_mutex_lock(&all.mutex);
        const bool over = !all.running;
        for (int i = 0; i < count && !over; i++) {
            if (events[i].data.fd != all.stop)
                resume(events[i].data.fd);
        }
        pthread_mutex_unlock(&all.mutex);
        if (over)
            return NULL;
    }
}

static void forget(void)
{
    if (all.epoll >= 0)
        close(all.epoll);
    if (all.stop >= 0)
        close(all.stop);
    free(all.list);
    all.list = NULL;
    all.files = 0;
}

bool handshake_start(size_t files, char *message, size_t size)
{
    all.list = calloc(files, sizeof *all.list);
    all.files = all.list ? files : 0;
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = all.stop};
    int error = all.list && all.epoll >= 0 && all.stop >= 0 &&
                        epoll_ctl(all.epoll, EPOLL_CTL_ADD, all.stop, &event) == 0
                    ? 0
                    : errno;
    all.running = error == 0;
    if (error == 0)
        error = pthread_create(&all.thread, NULL, run, NULL);
    if (error == 0)
        return true;
    all.running = false;
    snprintf(message, size, "cannot start the TLS handshake thread: %s", strerror(error));
    forget();
    return false;
}

void handshake_begin(int fd, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&all.mutex);
    all.list[fd] = (struct handshake){.connection = connection};
    pthread_mutex_unlock(&all.mutex);
}

void handshake_end(int fd)
{
    pthread_mutex_lock(&all.mutex);
    if ((size_t)fd < all.files)
        all.list[fd] = (struct handshake){.connection = NULL};
    pthread_mutex_unlock(&all.mutex);
}

void handshake_stop(void)
{
    pthread_mutex_lock(&all.mutex);
    const bool running = all.running;
    all.running = false;
    for (int fd = 0; running && (size_t)fd < all.files; fd++)
        resume(fd);
    pthread_mutex_unlock(&all.mutex);
    if (!running)
        return;
    eventfd_write(all.stop, 1);
    pthread_join(all.thread, NULL);
    pthread_mutex_lock(&all.mutex);
    forget();
    pthread_mutex_unlock(&all.mutex);
}

/* Suspends the connection of a session until its socket is ready. On failure the I/O thread spins,
   as without this workaround. */
static void wait_for_client(gnutls_session_t session)
{
    const int fd = gnutls_transport_get_int(session);
    struct epoll_event event = {
        .events = gnutls_record_get_direction(session) == 1 ? EPOLLOUT : EPOLLIN | EPOLLRDHUP,
        .data.fd = fd};
    pthread_mutex_lock(&all.mutex);
    struct handshake *handshake =
        all.running && fd >= 0 && (size_t)fd < all.files ? &all.list[fd] : NULL;
    if (handshake && handshake->connection &&
        epoll_ctl(all.epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
        handshake->waits = true;
        MHD_suspend_connection(handshake->connection);
    }
    pthread_mutex_unlock(&all.mutex);
}

/* Replaces GnuTLS's function for libmicrohttpd, and calls the original. */
__attribute__((visibility("default"))) int gnutls_handshake(gnutls_session_t session)
{
    typedef int function(gnutls_session_t session);
    static _Atomic(function *) library;
    if (!library)
        library = (function *)dlsym(RTLD_NEXT, "gnutls_handshake"); /* linked, so never NULL */
    const int result = library(session);
    if (result == GNUTLS_E_AGAIN)
        wait_for_client(session);
    return result;
}
