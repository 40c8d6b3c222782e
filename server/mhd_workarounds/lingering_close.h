/*
 * Closing a connection whose client is still sending, without losing the answer.
 *
 * A request is often refused from its headers alone (too large, no such loss) while the client is
 * in the midst of sending its body. If the socket were closed then, the unread bytes would make the
 * kernel answer with a reset, and a reset makes the client's kernel throw away the answer that it
 * has received but not yet handed over: the client sees "connection reset by peer" in place of the
 * 413. So the sending half alone is closed, and what still comes is read and thrown away until the
 * client closes too or its time is up. libmicrohttpd has no such thing; here a thread of our own
 * does it on a duplicate of the socket.
 */
#ifndef SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H
#define SERVER_MHD_WORKAROUNDS_LINGERING_CLOSE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LINGER_MAX = 256
}; /* connections that can linger at a time; for a further one the oldest is closed */

struct lingerer;

/* NULL with one line in `message` if that cannot be. */
struct lingerer *linger_start(char *message, size_t size);

/* Takes over a duplicate of `fd`, a socket whose answer has been handed to the kernel; `fd` itself
   stays the caller's to close. From any thread. Where it cannot (no descriptors), it does nothing.
 */
void linger_add(struct lingerer *linger, int fd);

/* Waits a moment for those that linger, closes what is left, ends the thread and frees all. NULL is
 * let be. */
void linger_stop(struct lingerer *linger);

#endif
