/*
 * Limits the request rate of each client: an average rate, and a burst after a pause.
 */
#ifndef SERVER_ADMISSION_RATE_LIMIT_H
#define SERVER_ADMISSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

/* Allows `rate` requests per second of each client, and up to `burst` at once; both are at least 1.
   Returns NULL if memory runs out. */
struct rate_limit *rate_limit_new(unsigned rate, unsigned burst);

/* No-op if NULL. */
void rate_limit_free(struct rate_limit *limit);

/* Counts a request of a client at time `now_ns`, which must not decrease. Returns 0 if it is
   allowed. Otherwise does not count it, and returns the nanoseconds until it would be. */
int64_t rate_limit_take(struct rate_limit *limit, uint64_t client, int64_t now_ns);

/* Returns a client number for a name. Those of addresses come from client_key.h. */
uint64_t rate_limit_key(const char *name);

#endif
