/*
 * Counts connections, in total and per address.
 *
 * libmicrohttpd's own limit must never be reached: 0.9.75 does not unlock a mutex if an externally
 * added connection exceeds its limit, and the I/O thread then hangs forever. It also closes some
 * connections without a callback if memory is insufficient. Connections are therefore counted by
 * descriptor: adding a descriptor again replaces its old entry.
 */
#ifndef SERVER_CONNECTION_CONNECTION_LIMITS_H
#define SERVER_CONNECTION_CONNECTION_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum { CONNECTIONS_FILES = 1 << 16 }; /* descriptors must be less than this */

struct connections;

/* Allows at most `max` connections in total and `max_per_address` per address (0: no limit).
   Returns NULL if memory is insufficient. */
struct connections *connections_new(unsigned max, unsigned max_per_address);
void connections_free(struct connections *connections);

/* Returns true if one more connection stays within the maximum plus `beyond`. */
bool connections_room(struct connections *connections, unsigned beyond);
/* Return the current and the maximum number of connections. */
unsigned connections_count(struct connections *connections);
unsigned connections_max(const struct connections *connections);
/* Counts a connection. `fd` must be less than CONNECTIONS_FILES; `key` is the key of its address
   (client_key.h; 0: none). If the address has reached its limit, returns false and does not count
   the connection. */
bool connections_add(struct connections *connections, int fd, uint64_t key);
/* Stops counting a connection. No-op if it is not counted. */
void connections_remove(struct connections *connections, int fd);

#endif
