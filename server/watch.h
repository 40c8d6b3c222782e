/*
 * Noticing that a client has gone while the server waits for it.
 *
 * libmicrohttpd 0.9.75 misses that with epoll: it takes a read that came up short for the end of what there is to read, but
 * when the client's last bytes and its FIN arrive together, the FIN is still to be read, and an edge-triggered epoll does not
 * tell twice. The connection, and with it a half-received body, would stay until the idle timeout, and hold up a drain. So a
 * thread looks every now and then whether connections on which the server waits are at their end, and if so shuts them down,
 * which libmicrohttpd does notice.
 */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct watch;
struct watched; /* one connection */

/* NULL with one line in `message` if that cannot be. */
struct watch *watch_start(char *message, size_t size);

/* Watches a socket, which must stay open until watch_remove. NULL where memory has run out: it is not watched then. */
struct watched *watch_add(struct watch *watch, int fd);
void watch_remove(struct watch *watch, struct watched *watched);

/* Says whether the server waits for the client: at first it does. While it does not, a client may well have closed its sending
   half and still wait for the answer. NULL is let be. */
void watch_waits(struct watched *watched, bool waits);

/* Ends the thread and frees all; nothing may be watched any more. NULL is let be. */
void watch_stop(struct watch *watch);

#endif
