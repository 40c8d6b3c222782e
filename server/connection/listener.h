/*
 * The listening sockets, and the thread that accepts from them.
 *
 * libmicrohttpd could accept by itself, but not stop doing so safely: in 0.9.75 MHD_quiesce_daemon
 * with a thread pool races with the pool (both take the socket out of the worker's epoll set, and
 * whoever comes second aborts the process), which would turn a SIGTERM under load into a crash. So
 * connections are accepted here and handed over by MHD_add_connection. That also makes several
 * listening sockets possible: a name such as "localhost" is served on every address that it stands
 * for, and there may be several addresses, Unix sockets, and an address of its own for those who
 * look after the server.
 */
#ifndef SERVER_CONNECTION_LISTENER_H
#define SERVER_CONNECTION_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "connection/address.h"

enum { LISTEN_MAX = 16 }; /* addresses */

/* Where connections come in: one for each address. */
struct entrance {
    struct address address; /* with the port that was bound */
    bool loopback; /* only this machine can reach it: an address such as 127.0.0.1, or a Unix socket
                    */
    bool admin;    /* of --admin-listen: health and metrics alone */
    bool secure;   /* TLS is spoken there */
};

struct listener;

/* One that has no addresses yet. `secure`: TLS is spoken on Internet addresses, but for admin ones.
 * NULL with one line in `message` if that cannot be. */
struct listener *listener_new(bool secure, char *message, size_t size);

/* Binds an address, without listening yet: a client is refused until listener_start. The file of a
   Unix socket gets these permissions. False with one line in `message` if that cannot be. */
bool listener_bind(struct listener *listener, const struct address *address, unsigned permissions,
                   bool admin, char *message, size_t size);

/* Takes over a socket that listens already, which is closed in any case. False with one line in
 * `message` if it is none. */
bool listener_inherit(struct listener *listener, int fd, bool admin, char *message, size_t size);

/* The entrances in the order in which they were added, NULL behind the last. They live as long as
 * the listener. */
const struct entrance *listener_entrance(const struct listener *listener, size_t i);

/* Whom connections are handed to, on the listener's own thread. */
struct listener_taker {
    /* Asked before each; while it has none, clients wait in the kernel's queue. */
    bool (*has_room)(void *context, const struct entrance *entrance);
    /* Owns the non-blocking socket. */
    void (*adopt)(void *context, int fd, const struct sockaddr *peer, socklen_t len,
                  const struct entrance *entrance);
    void *context;
};

/* Listens, and hands every connection over on a thread of its own. False with one line in `message`
 * if that cannot be. */
bool listener_start(struct listener *listener, const struct listener_taker *taker, char *message,
                    size_t size);

/* Lets nobody begin to connect any more, hands over for so many milliseconds those who had begun,
   and closes the listening sockets: whoever could connect is served, and further clients are
   refused. */
void listener_stop(struct listener *listener, int64_t grace_ms);

/* Frees it, having stopped it if need be. NULL is let be. */
void listener_close(struct listener *listener);

#endif
