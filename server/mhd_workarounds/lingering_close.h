/*
 * Closes a connection whose client is still sending, without losing the response.
 *
 * The server often rejects a request after its headers (too large, unknown loss) while the client
 * still sends the body. If it closed the socket then, the kernel would respond to the unread bytes
 * with a reset. The client's kernel would then discard a response that the client has not read yet,
 * and the client would see "connection reset by peer" instead of the 413. So the server closes only
 * its sending half, and discards what it receives until the client also closes or a timeout
 * expires. libmicrohttpd does not support this, so a separate thread does it on a duplicate of the
 * socket.
 */
#ifndef SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H
#define SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LINGER_MAX = 256 /* maximum number of lingering connections; one more closes the oldest */
};

struct lingerer;

/* Starts the thread. On failure, returns NULL and writes a one-line reason to `message`. */
struct lingerer *lingering_close_start(char *message, size_t size);

/* Adds a duplicate of the socket `fd` to the lingering connections. The response must already have
   been passed to the kernel. The caller keeps ownership of `fd` and closes it. No-op if no
   descriptor is available. Thread-safe. */
void lingering_close_add(struct lingerer *linger, int fd);

/* Waits at most two seconds for lingering connections, closes the remaining ones, stops the thread
   and frees everything. No-op if NULL. */
void lingering_close_stop(struct lingerer *linger);

#endif
