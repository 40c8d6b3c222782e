/*
 * Monitors connections: detects clients that have disconnected and clients that are too slow.
 *
 * libmicrohttpd's own timeout applies only to connections without any activity. A client that
 * occasionally sends one byte keeps its connection open forever. With epoll, 0.9.75 also misses
 * some disconnects: it treats a short read as the end of the available data. If a client's last
 * bytes and its FIN arrive together, the FIN is then still unread, and edge-triggered epoll does
 * not report it again. A thread therefore checks every connection periodically and shuts down those
 * whose client has disconnected or exceeded a timeout. libmicrohttpd notices the shutdown.
 *
 * While a client slowly transfers a large body or response, the server keeps memory for it. If
 * other requests lack memory, the connections that use the most memory for the longest time are
 * disconnected until enough memory is available.
 */
#ifndef SERVER_CONNECTION_CONNECTION_MONITOR_H
#define SERVER_CONNECTION_CONNECTION_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admission/limits.h"
#include "observe/rejections.h"

struct monitor;
struct connection_state; /* one connection */

/* What the server is waiting for on a connection. */
enum monitor_phase {
    MONITOR_HEADERS, /* the next request: --idle-timeout until its first byte, then --header-timeout
                      */
    MONITOR_BODY,    /* the body of a request, at --min-body-rate */
    MONITOR_COMPUTING,    /* nothing: the server is computing, or the request waits for memory. The
                           client may have closed its sending half and still wait for the response.
                           early_status_line.h may send the first bytes */
    MONITOR_RESPONSE,     /* the client to read the response, at --min-response-rate */
    MONITOR_DISCONNECTED, /* the connection was disconnected and is about to be closed */
};

/* A periodic callback. Returns how many bytes of memory waiting requests lack, or 0. */
struct monitor_tick {
    size_t (*tick)(void *context);
    void *context;
};

/* The `bytes` of monitor_set_memory for a chunked body, whose length is unknown. For a body of 1
   byte, the result is the same. */
enum { MONITOR_ANY_LENGTH = 1 };

/* Starts the monitor thread. Borrows `limits` and `rejects` until monitor_stop. On failure, returns
 * NULL and writes a one-line reason to `message`. */
struct monitor *monitor_start(const struct limits *limits, struct rejections *rejects,
                              const struct monitor_tick *tick, char *message, size_t size);

/* Starts monitoring a socket, in phase MONITOR_HEADERS. The socket must stay open until
   monitor_remove. `plain`: the connection does not use TLS, so an error response can be written to
   the socket. Returns NULL if memory is insufficient. The connection is then not monitored, and the
   functions below that take a connection accept NULL and do nothing. */
struct connection_state *monitor_add(struct monitor *monitor, int fd, bool plain);
void monitor_remove(struct monitor *monitor, struct connection_state *monitored);

/* Sets the phase of a connection. Returns false if the connection was disconnected; nothing more
   can be sent on it. Must be called on the thread that handles the connection. */
bool monitor_set_phase(struct connection_state *monitored, enum monitor_phase phase);
/* Records that the connection uses `memory` bytes of memory until its body or response of `bytes`
   bytes is transferred. If other requests lack memory and the transfer takes longer than
   --slow-client-memory-timeout, the connection may be disconnected. Call it after each
   monitor_set_phase to a phase that uses memory, and whenever the amount grows, on the same thread
   as monitor_set_phase.
 */
void monitor_set_memory(struct connection_state *monitored, uint64_t bytes, size_t memory);
/* Returns a flag that is set, atomically, when the client is found to have disconnected while the
   server computes, and when the monitor disconnects the connection or cancels its request. The flag
   is valid until monitor_remove. Returns NULL for NULL. */
const bool *monitor_gone_flag(const struct connection_state *monitored);
/* Cancels the requests of all connections in phase MONITOR_COMPUTING by setting their flags. */
void monitor_cancel_requests(struct monitor *monitor);
/* Returns true if a request is likely to arrive soon: a connection has unread data, or is new and
   has not sent a request yet. */
bool monitor_expects_request(struct monitor *monitor);
/* Records that `bytes` bytes of the body have been received, or of the response sent, so far. */
void monitor_progress(struct connection_state *monitored, uint64_t bytes);
/* Returns the HTTP status sent to the client when the connection was disconnected: 408, or 0 if
   none was sent. */
int monitor_status(struct connection_state *monitored);
/* If the connection was disconnected because the client was too slow, returns the name of the limit
   that it violated, one of rejection_names; else returns NULL. */
const char *monitor_reason(struct connection_state *monitored);

/* Stops the thread and frees the monitor; call monitor_remove for every connection first. No-op if
 * NULL. */
void monitor_stop(struct monitor *monitor);

#endif
