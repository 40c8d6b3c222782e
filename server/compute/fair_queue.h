/*
 * The order of jobs: fair queueing between clients and, within limits, shortest expected job first
 * within a client.
 *
 * Each client with waiting jobs has a queue and a virtual time: the executor time that its jobs
 * have used. The next job comes from the client with the smallest sum of virtual time and expected
 * duration of its first job. When the job ends, its actual duration is added to the virtual time of
 * the client. A new client starts at the virtual time of the last job, but no later than the next
 * turn of a waiting client. So regardless of the number and length of the jobs of one client,
 * another client waits only for the running job and, for each other waiting client, for one job or
 * as much time as its own job is expected to take.
 *
 * Time that a client uses beyond its share counts until the other clients have caught up or no job
 * is waiting. Sending long jobs one at a time therefore gives no advantage over queueing many short
 * ones.
 *
 * A client's own jobs run in order of arrival, except that a job overtakes a longer one if it
 * arrived less than FAIR_QUEUE_SLACK times the difference of their expected durations after it, and
 * less than FAIR_QUEUE_OVERTAKE_NS.
 *
 * All memory is allocated by fair_queue_new. Not thread-safe; the executor protects the queue with
 * its mutex.
 */
#ifndef SERVER_COMPUTE_FAIR_QUEUE_H
#define SERVER_COMPUTE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAIR_QUEUE_SLACK = 4 };
#define FAIR_QUEUE_OVERTAKE_NS INT64_C(2000000000)
/* Between clients, larger costs count as this much. */
#define FAIR_QUEUE_COST_MAX_NS INT64_C(2000000000)

struct client_queue;

/* An entry, embedded in a struct of the caller. The caller sets the first two members; the others
   are private to the queue. */
struct fair_queue_entry {
    uint64_t client;
    int64_t cost_ns; /* expected duration; at least 0 */
    int64_t queued;  /* time at which it was added */
    int64_t rank;
    struct client_queue *queue;
    struct fair_queue_entry *next, *previous; /* of the same client */
};

struct fair_queue;

/* Creates a queue for up to `max_entries` entries. Returns NULL if memory is insufficient. */
struct fair_queue *fair_queue_new(size_t max_entries);

/* No-op if NULL. */
void fair_queue_free(struct fair_queue *fair_queue);

/* Adds an entry at time `now` in nanoseconds, which must not decrease. Returns NULL on success. If
   the queue is full, returns the rejected entry: either the last entry of the client with the most
   entries, which was removed, or `entry`, if its own client would have as many. */
struct fair_queue_entry *fair_queue_add(struct fair_queue *fair_queue,
                                        struct fair_queue_entry *entry, int64_t now);

/* Adds again the entry that was taken last, with its original arrival time, even if the queue is
   full. */
void fair_queue_readd(struct fair_queue *fair_queue, struct fair_queue_entry *entry);

/* Removes and returns the next entry, or returns NULL if the queue is empty. fair_queue_charge must
   be called before the next call. */
struct fair_queue_entry *fair_queue_take(struct fair_queue *fair_queue);

/* Adds `ns`, the duration of the last entry taken, to the time of its client. */
void fair_queue_charge(struct fair_queue *fair_queue, int64_t ns);

/* Removes a waiting entry. */
void fair_queue_remove(struct fair_queue *fair_queue, struct fair_queue_entry *entry);

/* Calls `visit` for each waiting entry. `visit` may remove that entry. */
void fair_queue_each(struct fair_queue *fair_queue,
                     void (*visit)(struct fair_queue_entry *entry, void *context), void *context);

/* Return the number of waiting entries, the number of their clients, and the arrival time of the
   oldest entry (INT64_MAX if there is none). */
size_t fair_queue_entries(const struct fair_queue *fair_queue);
size_t fair_queue_clients(const struct fair_queue *fair_queue);
int64_t fair_queue_oldest(const struct fair_queue *fair_queue);

#endif
