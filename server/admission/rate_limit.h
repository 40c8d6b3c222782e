/*
 * How many requests a client may make: so many a second on average, and some more at once after a
 * rest.
 */
#ifndef SERVER_ADMISSION_RATE_LIMIT_H
#define SERVER_ADMISSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

/* At most `rate` requests a second of each client, and up to `burst` of them at once; both at
   least 1. NULL where memory has run out. */
struct rate_limit *rate_limit_new(unsigned rate, unsigned burst);
/* NULL is let be. */
void rate_limit_free(struct rate_limit *rates);

/* Counts a request of a client, at a time in nanoseconds that does not go back. 0, or for how many
   nanoseconds it is too early; then it is not counted. */
int64_t rate_limit_take(struct rate_limit *rates, uint64_t client, int64_t now_ns);

/* A number for a client that goes by a name, for rate_limit_take; addresses have theirs from
 * client_key.h. */
uint64_t rate_limit_key(const char *name);

#endif
