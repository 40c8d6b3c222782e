/*
 * Counts connections. The hash table of addresses has twice as many slots as there can be
 * connections, so it never fills up and adding a connection allocates nothing.
 */
#include "connection/connection_limits.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

enum { SLOTS = 2 * CONNECTIONS_FILES };

/* A slot for an address that has connections. It is empty if `count` is 0. */
struct slot {
    uint64_t key;
    unsigned count;
};

struct connections {
    pthread_mutex_t mutex;
    unsigned max, max_per_address, count;
    uint64_t seed; /* random, so that clients cannot choose addresses that collide */
    bool is_counted[CONNECTIONS_FILES];
    uint64_t key[CONNECTIONS_FILES]; /* by descriptor */
    struct slot slot[SLOTS];
};

struct connections *connections_new(unsigned max, unsigned max_per_address)
{
    struct connections *connections = calloc(1, sizeof *connections);
    if (!connections)
        return NULL;
    connections->max = max;
    connections->max_per_address = max_per_address;
    if (getrandom(&connections->seed, sizeof connections->seed, GRND_NONBLOCK) < 0)
        connections->seed = (uintptr_t)connections;
    pthread_mutex_init(&connections->mutex, NULL);
    return connections;
}

void connections_free(struct connections *connections)
{
    if (connections)
        pthread_mutex_destroy(&connections->mutex);
    free(connections);
}

/* ---- Addresses; the mutex is locked ---- */

static size_t home(const struct connections *connections, uint64_t key)
{
    uint64_t hash = (key ^ connections->seed) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(hash >> 32) % SLOTS;
}

/* Returns the slot of an address, or the empty slot where it would be inserted. */
static size_t find(const struct connections *connections, uint64_t key)
{
    size_t at = home(connections, key);
    while (connections->slot[at].count > 0 && connections->slot[at].key != key)
        at = (at + 1) % SLOTS;
    return at;
}

/* Moves displaced entries back towards their home slots after a removal, as linear probing
   requires. */
static void close_gap(struct connections *connections, size_t gap)
{
    for (size_t at = (gap + 1) % SLOTS; connections->slot[at].count > 0; at = (at + 1) % SLOTS) {
        const size_t from = home(connections, connections->slot[at].key);
        if ((at - from + SLOTS) % SLOTS < (at - gap + SLOTS) % SLOTS)
            continue;
        connections->slot[gap] = connections->slot[at];
        connections->slot[at].count = 0;
        gap = at;
    }
}

static bool add_address(struct connections *connections, uint64_t key)
{
    struct slot *const slot = &connections->slot[find(connections, key)];
    if (connections->max_per_address > 0 && slot->count >= connections->max_per_address)
        return false;
    slot->key = key;
    slot->count++;
    return true;
}

static void remove_address(struct connections *connections, uint64_t key)
{
    const size_t at = find(connections, key);
    if (--connections->slot[at].count == 0)
        close_gap(connections, at);
}

static void forget(struct connections *connections, int fd)
{
    if (!connections->is_counted[fd])
        return;
    connections->is_counted[fd] = false;
    connections->count--;
    if (connections->key[fd] != 0)
        remove_address(connections, connections->key[fd]);
}

/* ---- Interface ---- */

bool connections_room(struct connections *connections, unsigned beyond)
{
    pthread_mutex_lock(&connections->mutex);
    const bool room = connections->count < connections->max + beyond;
    pthread_mutex_unlock(&connections->mutex);
    return room;
}

unsigned connections_count(struct connections *connections)
{
    pthread_mutex_lock(&connections->mutex);
    const unsigned count = connections->count;
    pthread_mutex_unlock(&connections->mutex);
    return count;
}

unsigned connections_max(const struct connections *connections)
{
    return connections->max;
}

bool connections_add(struct connections *connections, int fd, uint64_t key)
{
    pthread_mutex_lock(&connections->mutex);
    forget(connections, fd);
    const bool added = key == 0 || add_address(connections, key);
    if (added) {
        connections->is_counted[fd] = true;
        connections->key[fd] = key;
        connections->count++;
    }
    pthread_mutex_unlock(&connections->mutex);
    return added;
}

void connections_remove(struct connections *connections, int fd)
{
    pthread_mutex_lock(&connections->mutex);
    forget(connections, fd);
    pthread_mutex_unlock(&connections->mutex);
}
