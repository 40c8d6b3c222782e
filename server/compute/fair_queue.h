/*
 * Which job is computed next: fair queueing between clients, shortest expected processing time
 * first within a client.
 *
 * Each client that has jobs waiting has a queue and a virtual time: the time that its jobs have
 * taken on the executor. The next job is taken from the client for which virtual time plus the
 * expected duration of its first job is least, and the time that the job really took is then added.
 * A client that comes anew starts at the virtual time of the last job, but no later than at the
 * next turn of those who wait. So however many jobs a client queues, and however long those before
 * it took, another one waits for the job that is running, and then for each client that waits too
 * until that has been given about as much time as its own job is expected to take, or one job.
 *
 * What a client has had beyond its share counts until the others have caught up, or nothing waits:
 * one that sends a long job, and the next when that is done, has no advantage over one that queues
 * many short ones.
 *
 * A client's own jobs are ordered by when they came, but a job may overtake others that are
 * expected to take longer, as long as it came no later than FAIR_QUEUE_SLACK times their expected
 * duration after them, and never later than FAIR_QUEUE_OVERTAKE_NS.
 *
 * All memory is allocated when the schedule is made. Not synchronized: the executor holds its
 * mutex.
 */
#ifndef SERVER_COMPUTE_FAIR_QUEUE_H
#define SERVER_COMPUTE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAIR_QUEUE_SLACK = 4 };
#define FAIR_QUEUE_OVERTAKE_NS INT64_C(2000000000)
#define FAIR_QUEUE_COST_MOST_NS                                                                    \
    INT64_C(2000000000) /* what a job is expected to take at most, when clients are compared */

struct client_queue;

/* To be embedded in what waits. The first two are the caller's, the others the schedule's while it
   waits. */
struct fair_queue_entry {
    uint64_t client;
    int64_t cost_ns; /* that it is expected to take; at least 0 */
    int64_t queued;  /* when it was added */
    int64_t rank;
    struct client_queue *queue;
    struct fair_queue_entry *next, *previous; /* of the same client */
};

struct fair_queue;

/* For up to `most` entries. NULL if memory has run out. */
struct fair_queue *fair_queue_new(size_t most);
/* No-op if NULL. */
void fair_queue_free(struct fair_queue *schedule);

/* Adds an entry, at a time in nanoseconds that does not go back. Returns NULL if it was added. If
   there is no room, returns the entry that is refused instead: the last of the client that has the
   most entries, which was removed; or the given one, if its own client would then have as many. */
struct fair_queue_entry *fair_queue_add(struct fair_queue *schedule, struct fair_queue_entry *entry,
                                        int64_t now);
/* Adds the entry that was taken last once more, as having waited since it was first added, whether
   there is room or not. */
void fair_queue_readd(struct fair_queue *schedule, struct fair_queue_entry *entry);
/* Removes the entry whose turn it is, and returns it; NULL if there is none. fair_queue_charge must
   be called before the next. */
struct fair_queue_entry *fair_queue_take(struct fair_queue *schedule);
/* Says how long the entry that was taken last has been worked on. */
void fair_queue_charge(struct fair_queue *schedule, int64_t ns);
/* Removes an entry that waits. */
void fair_queue_remove(struct fair_queue *schedule, struct fair_queue_entry *entry);

/* Calls `visit` for each entry that waits, which may remove that entry. */
void fair_queue_each(struct fair_queue *schedule,
                     void (*visit)(struct fair_queue_entry *entry, void *context), void *context);

/* How many entries wait; of how many clients; and since when the oldest does, INT64_MAX if none
   waits. */
size_t fair_queue_entries(const struct fair_queue *schedule);
size_t fair_queue_clients(const struct fair_queue *schedule);
int64_t fair_queue_oldest(const struct fair_queue *schedule);

#endif
