/*
 * The listening sockets, and the thread that accepts from them.
 */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

enum {
    LISTEN_PORT_TRIES = 16, /* free ports to try until one is free on every address of the host */
    LISTEN_PAUSE_MS = 100,  /* before accepting again where there was no room for more */
};

struct listener {
    int fd[LISTEN_MAX];
    size_t count;
    int port;
    int stop; /* an eventfd: stop accepting */
    bool running;
    pthread_t thread;
    struct listener_taker taker;
};

bool listen_parse(const char *text, struct listen_address *address)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    const char *host = text;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (bracketed) {
        host++;
        len -= 2;
    }
    /* A colon in the host without brackets is an IPv6 address of which nobody can say where the port begins. */
    if (len == 0 || len >= sizeof address->host || (memchr(host, ':', len) && !bracketed) || memchr(host, ' ', len))
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    long port = strtol(colon + 1, NULL, 10);
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || port > 65535)
        return false;
    memcpy(address->host, host, len);
    address->host[len] = '\0';
    address->port = (int)port;
    return true;
}

/* ---- binding ------------------------------------------------------------------------------------------------------ */

static void set_port(struct sockaddr *address, int port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {0}};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* Whether an address is [::], which is to serve IPv4 too. */
static bool is_any6(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
}

/* A socket bound to one address, -1 with errno if that cannot be. */
static int bind_one(const struct addrinfo *found, int port)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1;
    int only6 = !is_any6(found->ai_addr);
    bool set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
               (found->ai_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof only6) == 0);
    set_port(found->ai_addr, port);
    if (set && bind(fd, found->ai_addr, found->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void close_all(struct listener *listener)
{
    while (listener->count > 0)
        close(listener->fd[--listener->count]);
}

/* Binds all addresses that this machine has to the same port. Returns 0, or the error number of what went wrong; then nothing
   is bound. */
static int bind_all(struct listener *listener, const struct addrinfo *found, int port)
{
    int missing = 0;
    for (; found && listener->count < LISTEN_MAX; found = found->ai_next) {
        int fd = bind_one(found, port);
        if (fd >= 0) {
            listener->fd[listener->count++] = fd;
            port = port_of(fd);
        } else if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) {
            missing = errno; /* "localhost" is also ::1 where there is no IPv6: the other address will do */
        } else {
            int error = errno;
            close_all(listener);
            return error;
        }
    }
    listener->port = port;
    return listener->count > 0 ? 0 : missing;
}

struct listener *listener_open(const struct listen_address *address, char *message, size_t size)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        snprintf(message, size, "no memory to listen");
        return NULL;
    }
    listener->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener->stop < 0) {
        snprintf(message, size, "cannot listen: %s", strerror(errno));
        goto failed;
    }
    int failure = getaddrinfo(address->host, NULL, &hints, &found);
    if (failure != 0) {
        snprintf(message, size, "cannot listen on %s: %s", address->host,
                 failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
        goto failed;
    }
    int error = bind_all(listener, found, address->port);
    for (int tries = 1; error == EADDRINUSE && address->port == 0 && tries < LISTEN_PORT_TRIES; tries++)
        error = bind_all(listener, found, address->port);
    freeaddrinfo(found);
    if (error == 0)
        return listener;
    snprintf(message, size, "cannot listen on %s port %d: %s%s", address->host, address->port, strerror(error),
             error == EADDRINUSE ? "; is another server running there? choose another port with --listen" : "");
failed:
    listener_close(listener);
    return NULL;
}

int listener_port(const struct listener *listener)
{
    return listener->port;
}

/* ---- accepting ---------------------------------------------------------------------------------------------------- */

/* Accepts whatever waits on one socket. False where there is no room for more at the moment. */
static bool accept_waiting(struct listener *listener, int from)
{
    const struct listener_taker *taker = &listener->taker;
    while (taker->has_room(taker->context)) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(from, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            taker->adopt(taker->context, fd, (struct sockaddr *)&peer, len);
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO && errno != EPERM) {
            /* not the trouble of that one client alone: no descriptors or no memory left */
            log_message(LOG_LEVEL_WARNING, "cannot accept a connection: %s", strerror(errno));
            return false;
        }
    }
    return false;
}

static void *run(void *argument)
{
    struct listener *listener = argument;
    struct pollfd wait[LISTEN_MAX + 1];
    bool paused = false;
    for (;;) {
        wait[0] = (struct pollfd){.fd = listener->stop, .events = POLLIN};
        for (size_t i = 0; i < listener->count; i++)
            wait[i + 1] = (struct pollfd){.fd = paused ? -1 : listener->fd[i], .events = POLLIN};
        if (poll(wait, listener->count + 1, paused ? LISTEN_PAUSE_MS : -1) < 0)
            continue;
        bool stop = wait[0].revents != 0;
        paused = false;
        for (size_t i = 0; i < listener->count; i++)
            paused |= (stop || wait[i + 1].revents != 0) && !accept_waiting(listener, listener->fd[i]);
        if (stop)
            return NULL;
    }
}

bool listener_start(struct listener *listener, const struct listener_taker *taker, char *message, size_t size)
{
    listener->taker = *taker;
    for (size_t i = 0; i < listener->count; i++) {
        if (listen(listener->fd[i], SOMAXCONN) != 0) {
            /* Another socket can have been bound to the same port with SO_REUSEADDR until one of the two listens. */
            snprintf(message, size, "cannot listen on port %d: %s", listener->port, strerror(errno));
            return false;
        }
    }
    int error = pthread_create(&listener->thread, NULL, run, listener);
    if (error != 0)
        snprintf(message, size, "cannot start the thread that accepts connections: %s", strerror(error));
    listener->running = error == 0;
    return listener->running;
}

void listener_stop(struct listener *listener)
{
    if (listener->running) {
        eventfd_write(listener->stop, 1);
        pthread_join(listener->thread, NULL);
        listener->running = false;
    }
    close_all(listener);
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    listener_stop(listener);
    if (listener->stop >= 0)
        close(listener->stop);
    free(listener);
}
