/*
 * The listening sockets and the thread that accepts connections.
 *
 * libmicrohttpd can accept connections, but cannot stop safely: in 0.9.75, MHD_quiesce_daemon races
 * with the thread pool. Both remove the socket from the worker's epoll set, and the second removal
 * aborts the process. A SIGTERM under load could therefore crash the server. So this module accepts
 * connections and passes them to MHD_add_connection. This also allows several listening sockets:
 * all addresses of a name such as "localhost", several addresses, Unix sockets, and a separate
 * admin address.
 */
#ifndef SERVER_CONNECTION_LISTENER_H
#define SERVER_CONNECTION_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "connection/address.h"

enum { LISTEN_MAX = 16 }; /* maximum number of addresses */

/* An address that accepts connections. */
struct listen_address {
    struct address address; /* includes the port that was bound */
    bool loopback; /* reachable only from this machine, such as 127.0.0.1 or a Unix socket */
    bool admin;    /* from --admin-listen: serves only health checks and metrics */
    bool secure;   /* uses TLS */
};

struct listener;

/* Creates a listener without addresses. `secure`: IP addresses use TLS, except admin addresses. On
   failure, returns NULL and writes a one-line reason to `message`. */
struct listener *listener_new(bool secure, char *message, size_t size);

/* Binds an address without listening: connections are refused until listener_start. The file of a
   Unix socket gets the mode `permissions`. On failure, returns false and writes a one-line reason
   to `message`. */
bool listener_bind(struct listener *listener, const struct address *address, unsigned permissions,
                   bool admin, char *message, size_t size);

/* Takes ownership of a socket that already listens. On failure, closes it, returns false and writes
 * a one-line reason to `message`. */
bool listener_inherit(struct listener *listener, int fd, bool admin, char *message, size_t size);

/* Returns the i-th address in the order in which they were added, or NULL after the last. Owned by
 * the listener. */
const struct listen_address *listener_address_at(const struct listener *listener, size_t i);

/* Receives the accepted connections, on the listener thread. */
struct listener_callbacks {
    /* Called before each accept. While it returns false, new connections wait in the kernel's
       queue. */
    bool (*has_room)(void *context, const struct listen_address *listen_address);
    /* Takes ownership of `fd`, which is non-blocking. */
    void (*adopt)(void *context, int fd, const struct sockaddr *peer, socklen_t len,
                  const struct listen_address *listen_address);
    void *context;
};

/* Listens on all addresses and starts the thread that accepts connections. On failure, returns
 * false and writes a one-line reason to `message`. */
bool listener_start(struct listener *listener, const struct listener_callbacks *callbacks,
                    char *message, size_t size);

/* Drops new connection attempts, accepts the connections already in progress for `grace_ms`
   milliseconds, then closes the listening sockets. Every established connection is served; later
   attempts are refused. */
void listener_stop(struct listener *listener, int64_t grace_ms);

/* Stops the listener if it is running, and frees it. No-op if NULL. */
void listener_close(struct listener *listener);

#endif
