/*
 * Fair queueing between clients, over lists whose links are in the entries.
 */
#include "compute/fair_queue.h"

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
    int64_t virtual_time; /* at which clients start that come anew; does not go back */
    struct client_queue *first, *last, *free;
    struct client_queue *running;
    size_t queues, untouched;    /* the first queue that was never used */
    struct client_queue queue[]; /* one for each entry that may wait, and two for one that runs and
                                    is added again */
};

enum { QUEUES_BESIDES = 2 };

/* ---- clients ---- */

static bool is_idle(const struct client_queue *queue)
{
    return queue->entries == 0 && !queue->running;
}

static void release(struct schedule *schedule, struct client_queue *queue)
{
    *(queue->previous ? &queue->previous->next : &schedule->first) = queue->next;
    *(queue->next ? &queue->next->previous : &schedule->last) = queue->previous;
    queue->next = schedule->free;
    schedule->free = queue;
}

/* Frees the queues of clients that have nothing waiting and nothing running, and have had no more
   time than those who come anew. */
static void release_idle(struct schedule *schedule)
{
    for (struct client_queue *queue = schedule->first, *next; queue; queue = next) {
        next = queue->next;
        if (is_idle(queue) && queue->used <= schedule->virtual_time)
            release(schedule, queue);
    }
}

static void advance(struct schedule *schedule, int64_t time)
{
    if (time > schedule->virtual_time)
        schedule->virtual_time = time;
}

/* When nothing waits and nothing runs: what clients have had before counts no more. */
static void forget_all(struct schedule *schedule)
{
    for (const struct client_queue *queue = schedule->first; queue; queue = queue->next)
        advance(schedule, queue->used);
    release_idle(schedule);
}

static struct client_queue *find_queue(const struct schedule *schedule, uint64_t client)
{
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->client == client)
            return queue;
    return NULL;
}

/* A queue that is not in use. There are more than clients that wait or run; if idle ones have the
   others, takes the one of those that has had the least time. */
static struct client_queue *unused_queue(struct schedule *schedule)
{
    if (!schedule->free && schedule->untouched < schedule->queues)
        return &schedule->queue[schedule->untouched++];
    if (!schedule->free) {
        struct client_queue *least = NULL;
        for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
            if (is_idle(queue) && (!least || queue->used < least->used))
                least = queue;
        release(schedule, least);
    }
    struct client_queue *const queue = schedule->free;
    schedule->free = queue->next;
    return queue;
}

/* The queue of a client that is about to have something waiting. */
static struct client_queue *queue_of(struct schedule *schedule, uint64_t client)
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

/* The client that has the most entries; of several, the one that came last. */
static struct client_queue *longest(const struct schedule *schedule)
{
    struct client_queue *found = schedule->first;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries >= found->entries)
            found = queue;
    return found;
}

/* ---- entries ---- */

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
}

/* How many entries of a client wait. */
static size_t entries_of(const struct schedule *schedule, uint64_t client)
{
    const struct client_queue *const queue = find_queue(schedule, client);
    return queue ? queue->entries : 0;
}

struct schedule_entry *schedule_add(struct schedule *schedule, struct schedule_entry *entry,
                                    int64_t now)
{
    struct schedule_entry *refused = NULL;
    if (schedule->entries == 0 && !schedule->running)
        forget_all(schedule);
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

/* The client whose turn it is; NULL if none has anything waiting. */
static struct client_queue *next_client(const struct schedule *schedule)
{
    struct client_queue *next = NULL;
    for (struct client_queue *queue = schedule->first; queue; queue = queue->next)
        if (queue->entries > 0 && (!next || turn_of(queue) < turn_of(next)))
            next = queue;
    return next;
}

struct schedule_entry *schedule_take(struct schedule *schedule)
{
    struct client_queue *const chosen = next_client(schedule);
    if (!chosen)
        return NULL;
    struct schedule_entry *const entry = chosen->first;
    chosen->running = true;
    schedule->running = chosen;
    advance(schedule, chosen->used);
    schedule_remove(schedule, entry);
    return entry;
}

/* The virtual time does not go beyond the next turn: a client that comes anew must not wait until
   those who wait have caught up with a long job. */
void schedule_charge(struct schedule *schedule, int64_t ns)
{
    struct client_queue *const queue = schedule->running;
    queue->used += ns;
    queue->running = false;
    schedule->running = NULL;
    const struct client_queue *const next = next_client(schedule);
    advance(schedule, next && turn_of(next) < queue->used ? turn_of(next) : queue->used);
    release_idle(schedule);
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

/* ---- the schedule ---- */

struct schedule *schedule_new(size_t most)
{
    const size_t queues = most + QUEUES_BESIDES;
    struct schedule *const schedule =
        calloc(1, sizeof *schedule + queues * sizeof schedule->queue[0]);
    if (!schedule)
        return NULL;
    schedule->most = most;
    schedule->queues = queues;
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
