/*
 * Rate limits, by the generic cell rate algorithm (GCRA). One time is stored for each client: when
 * its full burst will be available again. Each request moves this time forward by 1/rate. A request
 * that would move it further ahead than the burst allows is rejected.
 *
 * The clients are stored in a hash table of fixed size. A new client replaces the client with the
 * earliest time in its set. If that time has not passed, the replaced client gets its burst back
 * early.
 */
#include "admission/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SETS = 1 << 14, WAYS = 4 };

struct client {
    uint64_t key;
    int64_t full; /* when the full burst is available again, in nanoseconds */
};

struct rate_limit {
    pthread_mutex_t mutex;
    int64_t interval, ahead; /* nanoseconds per request, and per burst less its first request */
    uint64_t seed;
    struct client client[SETS][WAYS];
};

struct rate_limit *rate_limit_new(unsigned rate, unsigned burst)
{
    struct rate_limit *limit = calloc(1, sizeof *limit);
    if (!limit)
        return NULL;
    limit->interval = 1000000000 / (int64_t)rate;
    limit->ahead = limit->interval * ((int64_t)burst - 1);
    if (getrandom(&limit->seed, sizeof limit->seed, GRND_NONBLOCK) < 0)
        limit->seed = (uintptr_t)limit;
    pthread_mutex_init(&limit->mutex, NULL);
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    if (limit)
        pthread_mutex_destroy(&limit->mutex);
    free(limit);
}

static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* Returns the entry of a client. If it has none, replaces the entry of another client. */
static struct client *find(struct rate_limit *limit, uint64_t key)
{
    struct client *const set = limit->client[mix(key ^ limit->seed) % SETS];
    struct client *entry = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full < entry->full)
            entry = &set[i];
    }
    *entry = (struct client){.key = key};
    return entry;
}

int64_t rate_limit_take(struct rate_limit *limit, uint64_t client, int64_t now_ns)
{
    pthread_mutex_lock(&limit->mutex);
    struct client *const entry = find(limit, client);
    const int64_t full = entry->full > now_ns ? entry->full : now_ns,
                  early = full - now_ns - limit->ahead;
    if (early <= 0)
        entry->full = full + limit->interval;
    pthread_mutex_unlock(&limit->mutex);
    return early > 0 ? early : 0;
}

uint64_t rate_limit_key(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return mix(hash);
}
