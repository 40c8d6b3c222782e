/*
 * The HTTP server: libmicrohttpd's threads, and what becomes of each request between its first
 * header and its last byte.
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
    const char *address; /* where clients find the server, "127.0.0.1:8080", for those that do not
                            say; borrowed */
    bool has_admin;      /* there is an admin address */
    bool has_plain;      /* there are others, without TLS */
    bool has_secure;     /* and with it */
    struct auth *access; /* borrowed; outlives the server */
    int io_threads;
    struct limits limits;
    bool compress;             /* answers, for those who take it */
    struct executor *executor; /* borrowed; outlives the server */
    struct lingerer *linger;   /* likewise */
    struct metrics *metrics;   /* likewise */
};

struct http;

/* Starts the I/O threads. Raises the soft limit on descriptors as far as the connections need. NULL
   with one line in `message` if that cannot be. */
struct http *http_start(const struct http_settings *settings, char *message, size_t size);

/* Whether another connection can be served at the moment. A few more can where they are for health
   and metrics. Of a listener_taker. */
bool http_has_room(void *http, const struct entrance *entrance);

/* Serves a connection, given as a non-blocking socket that belongs to the server from now on; the
   entrance is borrowed. Of a listener_taker, to be called from one thread only. */
void http_adopt(void *http, int fd, const struct sockaddr *peer, socklen_t len,
                const struct entrance *entrance);

/* From now on /readyz answers 503, and every connection is closed after its next answer; all else
 * goes on. */
void http_announce_end(struct http *http);

/* The same, to be called when no more connections come. Returns when all requests that are under
   way have been answered, those among them that were on their way on connections that were kept,
   however long the executor computes; or when clients have taken too long to send or read. */
void http_drain(struct http *http);

/* Closes all connections, ends the I/O threads and frees the server. The executor must have been
   stopped: no connection may be waiting for it. NULL is let be. */
void http_stop(struct http *http);

#endif
