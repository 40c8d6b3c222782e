/*
 * Closes a connection whose client is still sending, without losing the response.
 *
 * The server often rejects a request after its headers (too large, unknown loss) while the client
 * still sends the body. If it closed the socket then, the kernel would answer the unread bytes with
 * a reset. The client's kernel then discards a response that the client has not read yet, and the
 * client sees "connection reset by peer" instead of the 413. So the server closes only the sending
 * half, and discards what it receives until the client closes too or a timeout expires.
 * libmicrohttpd does not support this; a separate thread does it on a duplicate of the socket.
 */
#ifndef SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H
#define SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LINGER_MAX = 256 /* connections that linger at a time; one more closes the oldest */
};

struct lingerer;

/* Starts the thread. On failure, returns NULL and writes a one-line reason to `message`. */
struct lingerer *lingering_close_start(char *message, size_t size);

/* Lets a duplicate of the socket `fd` linger. The response must have been passed to the kernel. The
   caller still owns and closes `fd`. No-op if no descriptor is available. Thread-safe. */
void lingering_close_add(struct lingerer *linger, int fd);

/* Waits at most two seconds for lingering connections, closes the others, ends the thread and frees
   everything. No-op if NULL. */
void lingering_close_stop(struct lingerer *linger);

#endif
