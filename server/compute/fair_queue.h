/*
 * The order of jobs: fair queueing between clients, and shortest expected job first within a
 * client.
 *
 * Each client with waiting jobs has a queue and a virtual time: the time that its jobs have used
 * the executor. The next job comes from the client with the least sum of virtual time and expected
 * duration of its first job. The time that the job really took is then added. A new client starts
 * at the virtual time of the last job, but no later than the next turn of a waiting client. So
 * however many and long the jobs of one client are, another client waits only for the running job,
 * and for each other waiting client until that has used as much time as its own job is expected to
 * take, or one job.
 *
 * Time beyond a client's share counts until the others have caught up, or nothing waits: sending
 * long jobs one after the other gives no advantage over queueing many short ones.
 *
 * A client's own jobs run in order of arrival. A job may overtake longer ones if it arrived at most
 * FAIR_QUEUE_SLACK times their expected duration after them, and at most FAIR_QUEUE_OVERTAKE_NS.
 *
 * All memory is allocated at the start. Not thread-safe: the executor locks its mutex.
 */
#ifndef SERVER_COMPUTE_FAIR_QUEUE_H
#define SERVER_COMPUTE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAIR_QUEUE_SLACK = 4 };
#define FAIR_QUEUE_OVERTAKE_NS INT64_C(2000000000)
#define FAIR_QUEUE_COST_MOST_NS                                                                    \
    INT64_C(2000000000) /* larger costs count as this between clients                              \
                         */

struct client_queue;

/* An entry, embedded in a struct of the caller. The caller sets the first two members; the others
   are private to the queue. */
struct fair_queue_entry {
    uint64_t client;
    int64_t cost_ns; /* expected duration; at least 0 */
    int64_t queued;  /* when it was added */
    int64_t rank;
    struct client_queue *queue;
    struct fair_queue_entry *next, *previous; /* of the same client */
};

struct fair_queue;

/* Has room for `most` entries. Returns NULL if memory runs out. */
struct fair_queue *fair_queue_new(size_t most);

/* No-op if NULL. */
void fair_queue_free(struct fair_queue *queue);

/* Adds an entry at time `now` in nanoseconds, which must not decrease. Returns NULL on success. If
   the queue is full, returns the rejected entry: the last one of the client with the most entries,
   which was removed; or the given one, if its own client would then have as many. */
struct fair_queue_entry *fair_queue_add(struct fair_queue *queue, struct fair_queue_entry *entry,
                                        int64_t now);

/* Adds the entry that was taken last again, with its first arrival time, even if the queue is full.
 */
void fair_queue_readd(struct fair_queue *queue, struct fair_queue_entry *entry);

/* Removes the next entry and returns it; NULL if the queue is empty. fair_queue_charge must be
   called before the next call. */
struct fair_queue_entry *fair_queue_take(struct fair_queue *queue);

/* Adds the duration of the entry that was taken last to its client's time. */
void fair_queue_charge(struct fair_queue *queue, int64_t ns);

/* Removes a waiting entry. */
void fair_queue_remove(struct fair_queue *queue, struct fair_queue_entry *entry);

/* Calls `visit` for each waiting entry. `visit` may remove that entry. */
void fair_queue_each(struct fair_queue *queue,
                     void (*visit)(struct fair_queue_entry *entry, void *context), void *context);

/* The number of waiting entries, the number of their clients, and the arrival time of the oldest
   entry (INT64_MAX if there is none). */
size_t fair_queue_entries(const struct fair_queue *queue);
size_t fair_queue_clients(const struct fair_queue *queue);
int64_t fair_queue_oldest(const struct fair_queue *queue);

#endif
