/*
 * Fair queueing, with intrusive lists.
 */
#include "compute/fair_queue.h"

#include <stdlib.h>

struct client_queue {
    struct client_queue *next,
        *previous; /* in the list of used queues, or (`next` only) of free queues */
    uint64_t key;
    int64_t used; /* virtual time */
    struct fair_queue_entry *first, *last;
    size_t entries;
    bool running; /* the last entry taken belongs to this client */
};

struct fair_queue {
    size_t entries, max_entries, clients;
    int64_t virtual_time; /* where new clients start; never decreases */
    struct client_queue *first, *last, *free;
    struct client_queue *running;
    size_t queues, first_unused; /* index of the first queue that was never used */
    struct client_queue
        queue[]; /* one per entry, and two more for the entry that runs and may be added again */
};

enum { EXTRA_QUEUES = 2 };

/* ---- Clients ---- */

static bool is_idle(const struct client_queue *client)
{
    return client->entries == 0 && !client->running;
}

static void release(struct fair_queue *fair_queue, struct client_queue *client)
{
    *(client->previous ? &client->previous->next : &fair_queue->first) = client->next;
    *(client->next ? &client->next->previous : &fair_queue->last) = client->previous;
    client->next = fair_queue->free;
    fair_queue->free = client;
}

/* Releases the queues of clients that have no jobs and no more virtual time than a new client. */
static void release_idle(struct fair_queue *fair_queue)
{
    for (struct client_queue *client = fair_queue->first, *next; client; client = next) {
        next = client->next;
        if (is_idle(client) && client->used <= fair_queue->virtual_time)
            release(fair_queue, client);
    }
}

static void advance(struct fair_queue *fair_queue, int64_t time)
{
    if (time > fair_queue->virtual_time)
        fair_queue->virtual_time = time;
}

/* Forgets how much time clients have used. Called when no entry is waiting or running. */
static void forget_all(struct fair_queue *fair_queue)
{
    for (const struct client_queue *client = fair_queue->first; client; client = client->next)
        advance(fair_queue, client->used);
    release_idle(fair_queue);
}

static struct client_queue *find_queue(const struct fair_queue *fair_queue, uint64_t key)
{
    for (struct client_queue *client = fair_queue->first; client; client = client->next)
        if (client->key == key)
            return client;
    return NULL;
}

/* Returns an unused queue. There are more queues than clients with a waiting or running entry. If
   idle clients have all other queues, takes that of the idle client that has used the least
   time. */
static struct client_queue *unused_queue(struct fair_queue *fair_queue)
{
    if (!fair_queue->free && fair_queue->first_unused < fair_queue->queues)
        return &fair_queue->queue[fair_queue->first_unused++];
    if (!fair_queue->free) {
        struct client_queue *least_used = NULL;
        for (struct client_queue *client = fair_queue->first; client; client = client->next)
            if (is_idle(client) && (!least_used || client->used < least_used->used))
                least_used = client;
        release(fair_queue, least_used);
    }
    struct client_queue *const client = fair_queue->free;
    fair_queue->free = client->next;
    return client;
}

/* Returns the queue of a client, for an entry to be added. */
static struct client_queue *queue_of(struct fair_queue *fair_queue, uint64_t key)
{
    struct client_queue *client = find_queue(fair_queue, key);
    if (client) {
        if (is_idle(client) && client->used < fair_queue->virtual_time)
            client->used = fair_queue->virtual_time;
        return client;
    }
    client = unused_queue(fair_queue);
    *client = (struct client_queue){
        .key = key, .used = fair_queue->virtual_time, .previous = fair_queue->last};
    *(fair_queue->last ? &fair_queue->last->next : &fair_queue->first) = client;
    fair_queue->last = client;
    return client;
}

/* Returns the queue with the most entries; if there are several, the newest. */
static struct client_queue *longest(const struct fair_queue *fair_queue)
{
    struct client_queue *found = fair_queue->first;
    for (struct client_queue *client = fair_queue->first; client; client = client->next)
        if (client->entries >= found->entries)
            found = client;
    return found;
}

/* ---- Entries ---- */

static int64_t rank_of(const struct fair_queue_entry *entry)
{
    const int64_t max_cost_ns = FAIR_QUEUE_OVERTAKE_NS / FAIR_QUEUE_SLACK;
    return entry->queued +
           FAIR_QUEUE_SLACK * (entry->cost_ns < max_cost_ns ? entry->cost_ns : max_cost_ns);
}

static void insert(struct fair_queue *fair_queue, struct fair_queue_entry *entry)
{
    struct client_queue *const client = queue_of(fair_queue, entry->client);
    entry->queue = client;
    entry->rank = rank_of(entry);
    struct fair_queue_entry *before = client->last;
    while (before && before->rank > entry->rank)
        before = before->previous;
    entry->previous = before;
    entry->next = before ? before->next : client->first;
    *(before ? &before->next : &client->first) = entry;
    *(entry->next ? &entry->next->previous : &client->last) = entry;
    fair_queue->entries++;
    fair_queue->clients += client->entries++ == 0;
}

void fair_queue_remove(struct fair_queue *fair_queue, struct fair_queue_entry *entry)
{
    struct client_queue *const client = entry->queue;
    *(entry->previous ? &entry->previous->next : &client->first) = entry->next;
    *(entry->next ? &entry->next->previous : &client->last) = entry->previous;
    fair_queue->entries--;
    fair_queue->clients -= --client->entries == 0;
}

/* Returns the number of waiting entries of a client. */
static size_t entries_of(const struct fair_queue *fair_queue, uint64_t key)
{
    const struct client_queue *const client = find_queue(fair_queue, key);
    return client ? client->entries : 0;
}

struct fair_queue_entry *fair_queue_add(struct fair_queue *fair_queue,
                                        struct fair_queue_entry *entry, int64_t now)
{
    struct fair_queue_entry *refused = NULL;
    if (fair_queue->entries == 0 && !fair_queue->running)
        forget_all(fair_queue);
    if (fair_queue->entries >= fair_queue->max_entries) {
        const struct client_queue *const largest = longest(fair_queue);
        if (entries_of(fair_queue, entry->client) + 1 >= largest->entries)
            return entry;
        refused = largest->last;
        fair_queue_remove(fair_queue, refused);
    }
    entry->queued = now;
    insert(fair_queue, entry);
    return refused;
}

void fair_queue_readd(struct fair_queue *fair_queue, struct fair_queue_entry *entry)
{
    insert(fair_queue, entry);
}

/* Returns the virtual time of a client's next turn. */
static int64_t turn_of(const struct client_queue *client)
{
    const int64_t cost = client->first->cost_ns;
    return client->used + (cost < FAIR_QUEUE_COST_MAX_NS ? cost : FAIR_QUEUE_COST_MAX_NS);
}

/* Returns the client whose turn is next, or NULL if no entry is waiting. */
static struct client_queue *next_client(const struct fair_queue *fair_queue)
{
    struct client_queue *next = NULL;
    for (struct client_queue *client = fair_queue->first; client; client = client->next)
        if (client->entries > 0 && (!next || turn_of(client) < turn_of(next)))
            next = client;
    return next;
}

struct fair_queue_entry *fair_queue_take(struct fair_queue *fair_queue)
{
    struct client_queue *const chosen = next_client(fair_queue);
    if (!chosen)
        return NULL;
    struct fair_queue_entry *const entry = chosen->first;
    chosen->running = true;
    fair_queue->running = chosen;
    advance(fair_queue, chosen->used);
    fair_queue_remove(fair_queue, entry);
    return entry;
}

/* Keeps the virtual time at or before the next turn. Otherwise, after a long job, a new client
   would wait until the waiting clients have caught up with that job. */
void fair_queue_charge(struct fair_queue *fair_queue, int64_t ns)
{
    struct client_queue *const client = fair_queue->running;
    client->used += ns;
    client->running = false;
    fair_queue->running = NULL;
    const struct client_queue *const next = next_client(fair_queue);
    advance(fair_queue, next && turn_of(next) < client->used ? turn_of(next) : client->used);
    release_idle(fair_queue);
}

void fair_queue_each(struct fair_queue *fair_queue,
                     void (*visit)(struct fair_queue_entry *entry, void *context), void *context)
{
    for (struct client_queue *client = fair_queue->first, *next; client; client = next) {
        next = client->next;
        for (struct fair_queue_entry *entry = client->first, *after; entry; entry = after) {
            after = entry->next;
            visit(entry, context);
        }
    }
}

/* ---- The queue ---- */

struct fair_queue *fair_queue_new(size_t max_entries)
{
    const size_t queues = max_entries + EXTRA_QUEUES;
    struct fair_queue *const fair_queue =
        calloc(1, sizeof *fair_queue + queues * sizeof fair_queue->queue[0]);
    if (!fair_queue)
        return NULL;
    fair_queue->max_entries = max_entries;
    fair_queue->queues = queues;
    return fair_queue;
}

void fair_queue_free(struct fair_queue *fair_queue)
{
    free(fair_queue);
}

size_t fair_queue_entries(const struct fair_queue *fair_queue)
{
    return fair_queue->entries;
}

size_t fair_queue_clients(const struct fair_queue *fair_queue)
{
    return fair_queue->clients;
}

int64_t fair_queue_oldest(const struct fair_queue *fair_queue)
{
    int64_t oldest = INT64_MAX;
    for (const struct client_queue *client = fair_queue->first; client; client = client->next)
        for (const struct fair_queue_entry *entry = client->first; entry; entry = entry->next)
            oldest = entry->queued < oldest ? entry->queued : oldest;
    return oldest;
}
