/*
 * The HTTP server: libmicrohttpd's I/O threads, and each request from its headers to the end of its
 * response.
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "admission/limits.h"
#include "auth/auth.h"
#include "compute/executor.h"
#include "connection/listener.h"
#include "mhd_workarounds/lingering_close.h"
#include "observe/metrics.h"

struct http_settings {
    const char
        *address;   /* host of requests without a Host header, such as "127.0.0.1:8080"; borrowed */
    bool has_admin; /* there are admin addresses */
    bool has_plain; /* there are non-admin addresses without TLS */
    bool has_secure;   /* there are non-admin addresses with TLS */
    struct auth *auth; /* borrowed; outlives the server */
    int io_threads;
    struct limits limits;
    bool compress;             /* compress responses if Accept-Encoding allows it */
    struct executor *executor; /* borrowed; outlives the server */
    struct lingerer *linger;   /* likewise */
    struct metrics *metrics;   /* likewise */
};

struct http;

/* Starts the I/O threads. Raises the soft limit on open files as far as the connections need it. On
   failure, returns NULL and writes a one-line reason to `message`. */
struct http *http_start(const struct http_settings *settings, char *message, size_t size);

/* Returns true if another connection can be accepted. Admin addresses may exceed --max-connections
   by a few. Callback of listener_callbacks. */
bool http_has_room(void *http, const struct listen_address *listen_address);

/* Serves the connection of a non-blocking socket. Takes ownership of the socket and borrows
   `listen_address`. Callback of listener_callbacks. Must be called from one thread only. */
void http_adopt(void *http, int fd, const struct sockaddr *peer, socklen_t len,
                const struct listen_address *listen_address);

/* Makes /readyz respond with 503, and closes each connection after its next response. Requests are
   still served. */
void http_set_draining(struct http *http);

/* Calls http_set_draining, then waits until all requests in progress are complete, including
   requests in transit on keep-alive connections. Cancels them after --drain-timeout. Call it when
   no more connections are accepted. */
void http_drain(struct http *http);

/* Closes all connections, stops the I/O threads and frees the server. The executor must have been
   stopped, so that no connection is waiting for it. No-op if NULL. */
void http_stop(struct http *http);

#endif
