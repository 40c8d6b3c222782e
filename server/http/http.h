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
    const char *address; /* "127.0.0.1:8080": the server's, if a request has no Host; borrowed */
    bool has_admin;      /* there are admin addresses */
    bool has_plain;      /* there are other addresses without TLS */
    bool has_secure;     /* there are other addresses with TLS */
    struct auth *access; /* borrowed; outlives the server */
    int io_threads;
    struct limits limits;
    bool compress;             /* responses, if Accept-Encoding allows it */
    struct executor *executor; /* borrowed; outlives the server */
    struct lingerer *linger;   /* likewise */
    struct metrics *metrics;   /* likewise */
};

struct http;

/* Starts the I/O threads. Raises the soft limit on descriptors to what the connections need. On
   failure, returns NULL and writes a one-line reason to `message`. */
struct http *http_start(const struct http_settings *settings, char *message, size_t size);

/* Returns true if there is room for another connection. Admin addresses have some room of their
   own. A callback of listener_taker. */
bool http_has_room(void *http, const struct listen_address *listen_address);

/* Serves the connection of a non-blocking socket, and takes ownership of the socket. `entrance` is
   borrowed. A callback of listener_taker. Call it from one thread only. */
void http_adopt(void *http, int fd, const struct sockaddr *peer, socklen_t len,
                const struct listen_address *listen_address);

/* Makes /readyz respond with 503, and closes each connection after its next response. Requests are
   still served. */
void http_announce_end(struct http *http);

/* Calls http_announce_end, then waits until all requests in progress are complete, including those
   in transit on keep-alive connections; cancels them after --drain-timeout. Call it once no more
   connections are accepted. */
void http_drain(struct http *http);

/* Closes all connections, ends the I/O threads and frees the server. The executor must have been
   stopped: no connection may be waiting for it. No-op if NULL. */
void http_stop(struct http *http);

#endif
