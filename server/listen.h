/*
 * The listening sockets, and the thread that accepts from them.
 *
 * libmicrohttpd could accept by itself, but not stop doing so safely: in 0.9.75 MHD_quiesce_daemon with a thread pool races
 * with the pool (both take the socket out of the worker's epoll set, and whoever comes second aborts the process), which would
 * turn a SIGTERM under load into a crash. So connections are accepted here and handed over by MHD_add_connection. That also
 * makes several listening sockets possible: a name such as "localhost" is served on every address that it stands for.
 */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    LISTEN_HOST = 256, /* bytes of a host, with its NUL */
    LISTEN_MAX = 8,    /* addresses that one host may stand for; further ones are not used */
};

/* "127.0.0.1:8080" or "[::1]:8080", taken apart. */
struct listen_address {
    char host[LISTEN_HOST];
    int port; /* 0: a free one */
};

/* Takes ADDRESS:PORT apart; false if it is not of that form. Looks nothing up. */
bool listen_parse(const char *text, struct listen_address *address);

struct listener;

/* Binds every address of the host, without listening yet: a client is refused until listener_start. NULL with one line in
   `message` if no address could be had. */
struct listener *listener_open(const struct listen_address *address, char *message, size_t size);

/* The port that was bound. */
int listener_port(const struct listener *listener);

/* Whom connections are handed to, on the listener's own thread. */
struct listener_taker {
    bool (*has_room)(void *context); /* asked before each; while it has none, clients wait in the kernel's queue */
    void (*adopt)(void *context, int fd, const struct sockaddr *peer, socklen_t len); /* owns the non-blocking socket */
    void *context;
};

/* Listens, and hands every connection over on a thread of its own. False with one line in `message` if that cannot be. */
bool listener_start(struct listener *listener, const struct listener_taker *taker, char *message, size_t size);

/* Hands over what the kernel has accepted already, and closes the listening sockets: further clients are refused. */
void listener_stop(struct listener *listener);

/* Frees it, having stopped it if need be. NULL is let be. */
void listener_close(struct listener *listener);

#endif
