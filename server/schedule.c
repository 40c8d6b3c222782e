/*
 * Fair queueing between clients, over lists whose links are in the entries.
 */
#include "schedule.h"

#include <stdlib.h>

struct client_queue {
    struct client_queue *next, *previous; /* of those in use; `next` also of those that are free */
    uint64_t client;
    int64_t used; /* virtual time */
    struct schedule_entry *first, *last;
    size_t entries;
    bool running; /* the entry that was taken last is this client's */
};

struct schedule {
    size_t entries, most, clients;
    int64_t virtual_time; /* of the client that was charged last */
    struct client_queue *first, *last, *free;
    struct client_queue *running;
    size_t untouched;            /* the first queue that was never used */
    struct client_queue queue[]; /* one for each entry that may wait, and two for one that runs and
                                    is added again */
};

enum { QUEUES_BESIDES = 2 };

/* ---- clients --------------------------------------------------------------------------------- */

/* The queue of a client, which is made if it has none: there are as many as entries. */
static struct client_queue *queue_of(struct schedule *schedule, uint64_t client)
{
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->client == client)
            return queue;
    struct client_queue *const queue =
        schedule->free ? schedule->free : &schedule->queue[schedule->untouched++];
    schedule->free = queue->next;
    *queue = (struct client_queue){
        .client = client, .used = schedule->virtual_time, .previous = schedule->last};
    *(schedule->last ? &schedule->last->next : &schedule->first) = queue;
    schedule->last = queue;
    return queue;
}

/* Frees the queue of a client that has nothing waiting and nothing running: the next time it starts
   anew. */
static void release_idle(struct schedule *schedule, struct client_queue *queue)
{
    if (queue->entries > 0 || queue->running)
        return;
    *(queue->previous ? &queue->previous->next : &schedule->first) = queue->next;
    *(queue->next ? &queue->next->previous : &schedule->last) = queue->previous;
    queue->next = schedule->free;
    schedule->free = queue;
}

/* The client that has the most entries; of several, the one that came last. */
static struct client_queue *longest(const struct schedule *schedule)
{
    struct client_queue *found = schedule->first;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries >= found->entries)
            found = queue;
    return found;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int64_t rank_of(const struct schedule_entry *entry)
{
    const int64_t most = SCHEDULE_OVERTAKE_NS / SCHEDULE_SLACK;
    return entry->queued + SCHEDULE_SLACK * (entry->cost_ns < most ? entry->cost_ns : most);
}

static void insert(struct schedule *schedule, struct schedule_entry *entry)
{
    struct client_queue *const queue = queue_of(schedule, entry->client);
    entry->queue = queue;
    entry->rank = rank_of(entry);
    struct schedule_entry *before = queue->last;
    while (before && before->rank > entry->rank)
        before = before->previous;
    entry->previous = before;
    entry->next = before ? before->next : queue->first;
    *(before ? &before->next : &queue->first) = entry;
    *(entry->next ? &entry->next->previous : &queue->last) = entry;
    schedule->entries++;
    schedule->clients += queue->entries++ == 0;
}

void schedule_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    struct client_queue *const queue = entry->queue;
    *(entry->previous ? &entry->previous->next : &queue->first) = entry->next;
    *(entry->next ? &entry->next->previous : &queue->last) = entry->previous;
    schedule->entries--;
    schedule->clients -= --queue->entries == 0;
    release_idle(schedule, queue);
}

/* How many entries of a client wait. */
static size_t entries_of(const struct schedule *schedule, uint64_t client)
{
    for (const struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->client == client)
            return queue->entries;
    return 0;
}

struct schedule_entry *schedule_add(struct schedule *schedule, struct schedule_entry *entry,
                                    int64_t now)
{
    struct schedule_entry *refused = NULL;
    if (schedule->entries >= schedule->most) {
        const struct client_queue *const largest = longest(schedule);
        if (entries_of(schedule, entry->client) + 1 >= largest->entries)
            return entry;
        refused = largest->last;
        schedule_remove(schedule, refused);
    }
    entry->queued = now;
    insert(schedule, entry);
    return refused;
}

void schedule_readd(struct schedule *schedule, struct schedule_entry *entry)
{
    insert(schedule, entry);
}

/* When a client's turn is, in virtual time. */
static int64_t turn_of(const struct client_queue *queue)
{
    const int64_t cost = queue->first->cost_ns;
    return queue->used + (cost < SCHEDULE_COST_MOST_NS ? cost : SCHEDULE_COST_MOST_NS);
}

struct schedule_entry *schedule_take(struct schedule *schedule)
{
    struct client_queue *chosen = NULL;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries > 0 && (!chosen || turn_of(queue) < turn_of(chosen)))
            chosen = queue;
    if (!chosen)
        return NULL;
    struct schedule_entry *const entry = chosen->first;
    chosen->running = true;
    schedule->running = chosen;
    schedule_remove(schedule, entry);
    return entry;
}

void schedule_charge(struct schedule *schedule, int64_t ns)
{
    struct client_queue *const queue = schedule->running;
    queue->used += ns;
    queue->running = false;
    schedule->running = NULL;
    if (queue->used > schedule->virtual_time)
        schedule->virtual_time = queue->used;
    release_idle(schedule, queue);
}

void schedule_each(struct schedule *schedule,
                   void (*visit)(struct schedule_entry *entry, void *context), void *context)
{
    for (struct client_queue *queue = schedule->first, *next; queue; queue = next) {
        next = queue->next;
        for (struct schedule_entry *entry = queue->first, *after; entry; entry = after) {
            after = entry->next;
            visit(entry, context);
        }
    }
}

/* ---- the schedule ---------------------------------------------------------------------------- */

struct schedule *schedule_new(size_t most)
{
    const size_t queues = most + QUEUES_BESIDES;
    struct schedule *const schedule =
        calloc(1, sizeof *schedule + queues * sizeof schedule->queue[0]);
    if (!schedule)
        return NULL;
    schedule->most = most;
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    free(schedule);
}

size_t schedule_entries(const struct schedule *schedule)
{
    return schedule->entries;
}

size_t schedule_clients(const struct schedule *schedule)
{
    return schedule->clients;
}

int64_t schedule_oldest(const struct schedule *schedule)
{
    int64_t oldest = INT64_MAX;
    for (const struct client_queue *queue = schedule->first; queue; queue = queue->next)
        for (const struct schedule_entry *entry = queue->first; entry; entry = entry->next)
            oldest = entry->queued < oldest ? entry->queued : oldest;
    return oldest;
}
