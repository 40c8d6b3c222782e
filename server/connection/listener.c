/*
 * The listening sockets and the thread that accepts connections.
 */
#include "connection/listener.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "connection/sockets.h"
#include "observe/log.h"
#include "system/watchdog.h"
#include "util/clock.h"

enum {
    LISTEN_PAUSE_MS = 100, /* pause of a socket after the connection limit or an error */
    LISTEN_BURST = 64,     /* maximum number of connections accepted on a socket in a row */
};

/* One listening socket. */
struct listening {
    int fd;
    const struct listen_address *listen_address;
    int64_t resume; /* clock_ms at which the pause ends; 0: not paused */
};

struct listener {
    struct sockets sockets[LISTEN_MAX];
    struct listen_address listen_address[LISTEN_MAX]; /* one for each element of `sockets` */
    size_t count;
    struct listening listening[LISTEN_MAX * SOCKETS_MAX]; /* all listening sockets */
    size_t listening_count;
    bool secure;
    int stop; /* eventfd that stops the thread */
    bool running;
    pthread_t thread;
    struct listener_callbacks callbacks;
};

struct listener *listener_new(bool secure, char *message, size_t size)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        snprintf(message, size, "insufficient memory for the listener");
        return NULL;
    }
    listener->secure = secure;
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->stop >= 0)
        return listener;
    snprintf(message, size, "cannot create an eventfd for the listener: %s", strerror(errno));
    free(listener);
    return NULL;
}

/* Returns true if one more address can be added; otherwise writes a one-line reason to `message`.
 */
static bool can_add_address(const struct listener *listener, char *message, size_t size)
{
    if (listener->count < LISTEN_MAX)
        return true;
    snprintf(message, size, "cannot listen on more than %d addresses", LISTEN_MAX);
    return false;
}

static void add_address(struct listener *listener, bool admin)
{
    const struct sockets *sockets = &listener->sockets[listener->count];
    listener->listen_address[listener->count++] =
        (struct listen_address){.address = sockets->address,
                                .loopback = sockets->loopback,
                                .admin = admin,
                                .secure = listener->secure && !admin && !sockets->address.is_unix};
}

bool listener_bind(struct listener *listener, const struct address *address, unsigned permissions,
                   bool admin, char *message, size_t size)
{
    if (!can_add_address(listener, message, size) ||
        !sockets_bind(&listener->sockets[listener->count], address, permissions, message, size))
        return false;
    add_address(listener, admin);
    return true;
}

bool listener_inherit(struct listener *listener, int fd, bool admin, char *message, size_t size)
{
    if (can_add_address(listener, message, size) &&
        sockets_inherit(&listener->sockets[listener->count], fd, message, size)) {
        add_address(listener, admin);
        return true;
    }
    close(fd);
    return false;
}

const struct listen_address *listener_address_at(const struct listener *listener, size_t i)
{
    return i < listener->count ? &listener->listen_address[i] : NULL;
}

/* ---- Accepting ---- */

/* Accepts at most `max_accepts` pending connections on one socket. Returns false if the socket must
   pause. */
static bool accept_waiting(struct listener *listener, const struct listening *listening,
                           int max_accepts)
{
    const struct listener_callbacks *callbacks = &listener->callbacks;
    for (int accepted = 0; accepted < max_accepts;) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        if (!callbacks->has_room(callbacks->context, listening->listen_address))
            return false;
        int fd =
            accept4(listening->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            callbacks->adopt(callbacks->context, fd, (struct sockaddr *)&peer, len,
                             listening->listen_address);
            accepted++;
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO && errno != EPERM) {
            /* Not specific to this client, such as a lack of descriptors or memory. */
            log_message(LOG_LEVEL_WARNING, "cannot accept a connection: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

/* Fills the poll set with the sockets that are not paused. Returns the milliseconds until the first
   pause ends, or -1 if no socket is paused. Each socket pauses separately, so admin addresses keep
   accepting while the others are at their limit. */
static int fill_wait(struct listener *listener, struct pollfd wait[])
{
    const int64_t now = clock_ms();
    int64_t pause = -1;
    wait[0] = (struct pollfd){.fd = listener->stop, .events = POLLIN};
    for (size_t i = 0; i < listener->listening_count; i++) {
        struct listening *const listening = &listener->listening[i];
        if (listening->resume <= now)
            listening->resume = 0;
        else if (pause < 0 || listening->resume - now < pause)
            pause = listening->resume - now;
        wait[i + 1] =
            (struct pollfd){.fd = listening->resume > 0 ? -1 : listening->fd, .events = POLLIN};
    }
    return (int)pause;
}

static void *run(void *argument)
{
    struct listener *listener = argument;
    struct pollfd wait[LISTEN_MAX * SOCKETS_MAX + 1];
    for (;;) {
        const int pause_ms = fill_wait(listener, wait);
        if (poll(wait, listener->listening_count + 1, pause_ms) < 0)
            continue;
        const bool stop = wait[0].revents != 0;
        watchdog_begin(WATCHDOG_ACCEPT, "accepting connections");
        for (size_t i = 0; i < listener->listening_count; i++) {
            struct listening *const listening = &listener->listening[i];
            if ((stop || wait[i + 1].revents != 0) &&
                !accept_waiting(listener, listening, stop ? INT_MAX : LISTEN_BURST))
                listening->resume = clock_ms() + LISTEN_PAUSE_MS;
        }
        watchdog_end();
        if (stop)
            return NULL;
    }
}

/* Calls listen() on every socket. This is harmless for inherited sockets, which already listen. */
static bool listen_all(struct listener *listener, char *message, size_t size)
{
    for (size_t i = 0; i < listener->count; i++) {
        const struct sockets *sockets = &listener->sockets[i];
        for (size_t j = 0; j < sockets->count; j++) {
            if (listen(sockets->fd[j], SOMAXCONN) != 0) {
                /* With SO_REUSEADDR, two sockets can be bound to the same port until one of them
                   listens. */
                char text[ADDRESS_TEXT];
                snprintf(message, size, "cannot listen on %s: %s",
                         address_text(&sockets->address, text), strerror(errno));
                return false;
            }
            listener->listening[listener->listening_count++] = (struct listening){
                .fd = sockets->fd[j], .listen_address = &listener->listen_address[i]};
        }
    }
    return true;
}

bool listener_start(struct listener *listener, const struct listener_callbacks *callbacks,
                    char *message, size_t size)
{
    listener->callbacks = *callbacks;
    if (!listen_all(listener, message, size))
        return false;
    int error = pthread_create(&listener->thread, NULL, run, listener);
    if (error != 0)
        snprintf(message, size, "cannot start the thread that accepts connections: %s",
                 strerror(error));
    listener->running = error == 0;
    return listener->running;
}

void listener_stop(struct listener *listener, int64_t grace_ms)
{
    if (listener->running) {
        for (size_t i = 0; i < listener->count; i++)
            sockets_reject_new(&listener->sockets[i]);
        nanosleep(&(struct timespec){grace_ms / 1000, grace_ms % 1000 * 1000000}, NULL);
        eventfd_write(listener->stop, 1);
        pthread_join(listener->thread, NULL);
        listener->running = false;
    }
    for (size_t i = 0; i < listener->count; i++)
        sockets_close(&listener->sockets[i]);
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    listener_stop(listener, 0);
    close(listener->stop);
    free(listener);
}
