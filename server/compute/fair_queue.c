/*
 * Fair queueing, with intrusive lists.
 */
#include "compute/fair_queue.h"

#include <stdlib.h>

struct client_queue {
    struct client_queue *next,
        *previous; /* in the list of used queues, or (`next` only) of free queues */
    uint64_t client;
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

static bool is_idle(const struct client_queue *queue)
{
    return queue->entries == 0 && !queue->running;
}

static void release(struct fair_queue *schedule, struct client_queue *queue)
{
    *(queue->previous ? &queue->previous->next : &schedule->first) = queue->next;
    *(queue->next ? &queue->next->previous : &schedule->last) = queue->previous;
    queue->next = schedule->free;
    schedule->free = queue;
}

/* Releases the queues of clients that have no jobs and no more virtual time than a new client. */
static void release_idle(struct fair_queue *schedule)
{
    for (struct client_queue *queue = schedule->first, *next; queue; queue = next) {
        next = queue->next;
        if (is_idle(queue) && queue->used <= schedule->virtual_time)
            release(schedule, queue);
    }
}

static void advance(struct fair_queue *schedule, int64_t time)
{
    if (time > schedule->virtual_time)
        schedule->virtual_time = time;
}

/* Forgets how much time clients have used. Called when no entry is waiting or running. */
static void forget_all(struct fair_queue *schedule)
{
    for (const struct client_queue *queue = schedule->first; queue; queue = queue->next)
        advance(schedule, queue->used);
    release_idle(schedule);
}

static struct client_queue *find_queue(const struct fair_queue *schedule, uint64_t client)
{
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->client == client)
            return queue;
    return NULL;
}

/* Returns an unused queue. There are more queues than clients with a waiting or running entry. If
   idle clients have all other queues, takes that of the idle client that has used the least
   time. */
static struct client_queue *unused_queue(struct fair_queue *schedule)
{
    if (!schedule->free && schedule->first_unused < schedule->queues)
        return &schedule->queue[schedule->first_unused++];
    if (!schedule->free) {
        struct client_queue *least_used = NULL;
        for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
            if (is_idle(queue) && (!least_used || queue->used < least_used->used))
                least_used = queue;
        release(schedule, least_used);
    }
    struct client_queue *const queue = schedule->free;
    schedule->free = queue->next;
    return queue;
}

/* Returns the queue of a client, for an entry to be added. */
static struct client_queue *queue_of(struct fair_queue *schedule, uint64_t client)
{
    struct client_queue *queue = find_queue(schedule, client);
    if (queue) {
        if (is_idle(queue) && queue->used < schedule->virtual_time)
            queue->used = schedule->virtual_time;
        return queue;
    }
    queue = unused_queue(schedule);
    *queue = (struct client_queue){
        .client = client, .used = schedule->virtual_time, .previous = schedule->last};
    *(schedule->last ? &schedule->last->next : &schedule->first) = queue;
    schedule->last = queue;
    return queue;
}

/* Returns the queue with the most entries; if there are several, the newest. */
static struct client_queue *longest(const struct fair_queue *schedule)
{
    struct client_queue *found = schedule->first;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries >= found->entries)
            found = queue;
    return found;
}

/* ---- Entries ---- */

static int64_t rank_of(const struct fair_queue_entry *entry)
{
    const int64_t max_cost_ns = FAIR_QUEUE_OVERTAKE_NS / FAIR_QUEUE_SLACK;
    return entry->queued +
           FAIR_QUEUE_SLACK * (entry->cost_ns < max_cost_ns ? entry->cost_ns : max_cost_ns);
}

static void insert(struct fair_queue *schedule, struct fair_queue_entry *entry)
{
    struct client_queue *const queue = queue_of(schedule, entry->client);
    entry->queue = queue;
    entry->rank = rank_of(entry);
    struct fair_queue_entry *before = queue->last;
    while (before && before->rank > entry->rank)
        before = before->previous;
    entry->previous = before;
    entry->next = before ? before->next : queue->first;
    *(before ? &before->next : &queue->first) = entry;
    *(entry->next ? &entry->next->previous : &queue->last) = entry;
    schedule->entries++;
    schedule->clients += queue->entries++ == 0;
}

void fair_queue_remove(struct fair_queue *schedule, struct fair_queue_entry *entry)
{
    struct client_queue *const queue = entry->queue;
    *(entry->previous ? &entry->previous->next : &queue->first) = entry->next;
    *(entry->next ? &entry->next->previous : &queue->last) = entry->previous;
    schedule->entries--;
    schedule->clients -= --queue->entries == 0;
}

/* Returns the number of waiting entries of a client. */
static size_t entries_of(const struct fair_queue *schedule, uint64_t client)
{
    const struct client_queue *const queue = find_queue(schedule, client);
    return queue ? queue->entries : 0;
}

struct fair_queue_entry *fair_queue_add(struct fair_queue *schedule, struct fair_queue_entry *entry,
                                        int64_t now)
{
    struct fair_queue_entry *refused = NULL;
    if (schedule->entries == 0 && !schedule->running)
        forget_all(schedule);
    if (schedule->entries >= schedule->max_entries) {
        const struct client_queue *const largest = longest(schedule);
        if (entries_of(schedule, entry->client) + 1 >= largest->entries)
            return entry;
        refused = largest->last;
        fair_queue_remove(schedule, refused);
    }
    entry->queued = now;
    insert(schedule, entry);
    return refused;
}

void fair_queue_readd(struct fair_queue *schedule, struct fair_queue_entry *entry)
{
    insert(schedule, entry);
}

/* Returns the virtual time of a client's next turn. */
static int64_t turn_of(const struct client_queue *queue)
{
    const int64_t cost = queue->first->cost_ns;
    return queue->used + (cost < FAIR_QUEUE_COST_MAX_NS ? cost : FAIR_QUEUE_COST_MAX_NS);
}

/* Returns the client whose turn is next, or NULL if no entry is waiting. */
static struct client_queue *next_client(const struct fair_queue *schedule)
{
    struct client_queue *next = NULL;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries > 0 && (!next || turn_of(queue) < turn_of(next)))
            next = queue;
    return next;
}

struct fair_queue_entry *fair_queue_take(struct fair_queue *schedule)
{
    struct client_queue *const chosen = next_client(schedule);
    if (!chosen)
        return NULL;
    struct fair_queue_entry *const entry = chosen->first;
    chosen->running = true;
    schedule->running = chosen;
    advance(schedule, chosen->used);
    fair_queue_remove(schedule, entry);
    return entry;
}

/* Keeps the virtual time at or before the next turn. Otherwise, after a long job, a new client
   would wait until the waiting clients have caught up with that job. */
void fair_queue_charge(struct fair_queue *schedule, int64_t ns)
{
    struct client_queue *const queue = schedule->running;
    queue->used += ns;
    queue->running = false;
    schedule->running = NULL;
    const struct client_queue *const next = next_client(schedule);
    advance(schedule, next && turn_of(next) < queue->used ? turn_of(next) : queue->used);
    release_idle(schedule);
}

void fair_queue_each(struct fair_queue *schedule,
                     void (*visit)(struct fair_queue_entry *entry, void *context), void *context)
{
    for (struct client_queue *queue = schedule->first, *next; queue; queue = next) {
        next = queue->next;
        for (struct fair_queue_entry *entry = queue->first, *after; entry; entry = after) {
            after = entry->next;
            visit(entry, context);
        }
    }
}

/* ---- The queue ---- */

struct fair_queue *fair_queue_new(size_t max_entries)
{
    const size_t queues = max_entries + EXTRA_QUEUES;
    struct fair_queue *const schedule =
        calloc(1, sizeof *schedule + queues * sizeof schedule->queue[0]);
    if (!schedule)
        return NULL;
    schedule->max_entries = max_entries;
    schedule->queues = queues;
    return schedule;
}

void fair_queue_free(struct fair_queue *schedule)
{
    free(schedule);
}

size_t fair_queue_entries(const struct fair_queue *schedule)
{
    return schedule->entries;
}

size_t fair_queue_clients(const struct fair_queue *schedule)
{
    return schedule->clients;
}

int64_t fair_queue_oldest(const struct fair_queue *schedule)
{
    int64_t oldest = INT64_MAX;
    for (const struct client_queue *queue = schedule->first; queue; queue = queue->next)
        for (const struct fair_queue_entry *entry = queue->first; entry; entry = entry->next)
            oldest = entry->queued < oldest ? entry->queued : oldest;
    return oldest;
}
