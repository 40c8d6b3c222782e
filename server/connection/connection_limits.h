/*
 * Counting connections: all of them, and those of each address.
 *
 * They are counted here and not by libmicrohttpd, whose own limit must never be reached: 0.9.75
 * forgets to unlock a mutex where a connection that was added from outside is one too many, and the
 * I/O thread stands still for good. Counting by descriptor makes up for the connections that it
 * closes without a word, where memory has run out: their number comes again.
 */
#ifndef SERVER_CONNECTION_CONNECTION_LIMITS_H
#define SERVER_CONNECTION_CONNECTION_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum { CONNECTIONS_FILES = 1 << 16 }; /* descriptors that are numbered higher cannot be counted */

struct connections;

/* At most `most` in all, and `most_each` of one address (0: any number). NULL where memory has run
 * out. */
struct connections *connections_new(unsigned most, unsigned most_each);
void connections_free(struct connections *connections);

/* Whether there is room for one more, where there may be so many `beyond` the most. */
bool connections_room(struct connections *connections, unsigned beyond);
/* How many there are, and how many there may be. */
unsigned connections_count(struct connections *connections);
unsigned connections_most(const struct connections *connections);
/* Counts a connection by its descriptor, below CONNECTIONS_FILES, and the key of its address
   (client_key.h; 0: none). False, and it is not counted, if there are too many of that address. */
bool connections_add(struct connections *connections, int fd, uint64_t key);
/* A connection is no more; one that is not counted is let be. */
void connections_remove(struct connections *connections, int fd);

#endif
