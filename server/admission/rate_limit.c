/*
 * Rates of requests, by the generic cell rate algorithm: of each client one moment is kept, at
 * which it will have been quiet for long enough to have everything in store again. A request moves
 * it on by 1/rate; one that would move it further ahead than the burst allows is too early.
 *
 * Clients whose moment has passed are as good as unknown, and their places are taken by others.
 * Where all places that a client can have are taken, the one whose moment comes first is forgotten,
 * which is to its advantage.
 */
#include "admission/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SETS = 1 << 14, WAYS = 4 };

struct client {
    uint64_t key;
    int64_t full; /* the moment */
};

struct rate_limit {
    pthread_mutex_t mutex;
    int64_t interval, ahead; /* nanoseconds a request, and those of all but one of a burst */
    uint64_t seed;
    struct client client[SETS][WAYS];
};

struct rate_limit *rate_limit_new(unsigned rate, unsigned burst)
{
    struct rate_limit *rates = calloc(1, sizeof *rates);
    if (!rates)
        return NULL;
    rates->interval = 1000000000 / (int64_t)rate;
    rates->ahead = rates->interval * ((int64_t)burst - 1);
    if (getrandom(&rates->seed, sizeof rates->seed, GRND_NONBLOCK) < 0)
        rates->seed = (uintptr_t)rates;
    pthread_mutex_init(&rates->mutex, NULL);
    return rates;
}

void rate_limit_free(struct rate_limit *rates)
{
    if (rates)
        pthread_mutex_destroy(&rates->mutex);
    free(rates);
}

static uint64_t mix(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* The place of a client, or the one that it is to have. */
static struct client *find(struct rate_limit *rates, uint64_t key)
{
    struct client *const set = rates->client[mix(key ^ rates->seed) % SETS];
    struct client *place = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full < place->full)
            place = &set[i];
    }
    *place = (struct client){.key = key};
    return place;
}

int64_t rate_limit_take(struct rate_limit *rates, uint64_t client, int64_t now_ns)
{
    pthread_mutex_lock(&rates->mutex);
    struct client *const place = find(rates, client);
    const int64_t full = place->full > now_ns ? place->full : now_ns,
                  early = full - now_ns - rates->ahead;
    if (early <= 0)
        place->full = full + rates->interval;
    pthread_mutex_unlock(&rates->mutex);
    return early > 0 ? early : 0;
}

uint64_t rate_limit_key(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return mix(hash);
}
