/*
 * Limits the request rate of each client: an average rate, with bursts after a pause.
 */
#ifndef SERVER_ADMISSION_RATE_LIMIT_H
#define SERVER_ADMISSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

/* Allows each client `rate` requests per second on average, and up to `burst` at once; both are at
   least 1. Returns NULL if memory is insufficient. */
struct rate_limit *rate_limit_new(unsigned rate, unsigned burst);

/* No-op if NULL. */
void rate_limit_free(struct rate_limit *limit);

/* Counts a request of a client at time `now_ns` of a monotonic clock. Returns 0 if it is allowed.
   Otherwise does not count it and returns the number of nanoseconds until it would be allowed.
   Thread-safe. */
int64_t rate_limit_take(struct rate_limit *limit, uint64_t client, int64_t now_ns);

/* Returns the key of a client with a name. client_key.h returns the key of an address. */
uint64_t rate_limit_key(const char *name);

#endif
