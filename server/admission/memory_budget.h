/*
 * The memory budget of all requests.
 *
 * Each request starts with a claim: an upper bound of the memory that it needs. It reserves this
 * step by step before it allocates: what has arrived of its body, and the whole claim before it is
 * computed. So a client that declares a large body and does not send it reserves little. A request
 * whose memory is not available waits, with its connection suspended.
 *
 * Invariants, whenever the mutex is free:
 *   1. Allocated memory (quota.h) is reserved, and reserved memory does not exceed the budget. What
 *      block_cache.h caches between requests counts too, and is freed if a request needs it.
 *   2. All admitted requests can finish: there is an order in which each can reserve the rest of
 * its claim after those before it have finished and released their memory (Dijkstra's banker's
 *      algorithm). A reservation that would break this is not granted. Requests that claim at most
 *      MEMORY_BUDGET_START bytes reserve them at once, so they can always finish and need no place
 * in the order.
 *   3. Admitted large requests (claims of more than MEMORY_BUDGET_SMALL bytes) together reserve at
 *      most memory_budget_max_claim() bytes.
 *
 * Why no admitted request is stuck: the first unfinished request in the order of 2 can reserve all
 * of its claim, and its reservations do not change the order. So it finishes if its client sends
 * and reads. Otherwise --slow-client-memory-timeout disconnects the client. Either way its memory
 * is released, and the next request becomes the first.
 *
 * Why no request waits forever: a request that is not admitted does not overtake waiting ones. The
 * only exception is small requests that fit into the share reserved for them, which large requests
 * never use. So a waiting request is overtaken only by requests that were admitted before it began
 * to wait; when these have finished, it is first. Requests that are not admitted are rejected after
 * `wait_ms`; admitted ones are not, until their own deadline.
 *
 * A large request may start without being admitted (RESERVATION_STARTED), with MEMORY_BUDGET_START
 * bytes of the share for small requests, half of which may be used this way. It is admitted when it
 * has sent that much. So clients that declare half of the budget or more, and do not send it, do
 * not block each other. Started requests may never finish, so invariant 2 does not count on their
 * memory.
 */
#ifndef SERVER_ADMISSION_MEMORY_BUDGET_H
#define SERVER_ADMISSION_MEMORY_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/quota.h"
#include "observe/metrics.h"

struct memory_budget;

enum {
    MEMORY_BUDGET_SMALL = 1 << 20,   /* largest claim, in bytes, of a small request */
    MEMORY_BUDGET_START = 128 << 10, /* bytes that a request reserves when it starts */
};

/* Creates a budget of `bytes` bytes. Up to `most_waiting` requests may wait for up to `wait_ms`
   milliseconds. One eighth, 64 MiB at most, is for small requests only, so that large ones cannot
   block them. Returns NULL if memory runs out. */
struct memory_budget *memory_budget_new(size_t bytes, size_t most_waiting, int64_t wait_ms);

/* All reservations must have ended. No-op if NULL. */
void memory_budget_free(struct memory_budget *budget);

/* Returns false if memory runs out. */
bool memory_budget_add_metrics(struct memory_budget *budget, struct metrics *metrics);

/* Returns the most bytes that one request can reserve. */
size_t memory_budget_max_claim(const struct memory_budget *budget);

enum reservation_place {
    RESERVATION_OUTSIDE,  /* all of its claim is reserved */
    RESERVATION_STARTED,  /* large, has at most MEMORY_BUDGET_START bytes, not admitted yet */
    RESERVATION_ADMITTED, /* will be able to reserve all of its claim */
};

/* The memory of one request. One thread at a time may use its quota, which reserves missing
   memory if it is available at once, overtaking waiting requests. */
struct reservation {
    struct quota quota; /* first; passed to proto/ */
    struct memory_budget *budget;
    size_t reserved, taken; /* bytes; `taken` are allocated */
    size_t claim;           /* upper bound of `reserved` */
    bool never;             /* more was requested than the budget has in total */

    /* Protected by the budget's mutex. */
    enum reservation_place place;
    struct reservation *list_previous, *list_next;

    /* The last request for memory, for which it may wait. */
    size_t wanted, wanted_claim;
    struct reservation *next;
    int64_t until;
    void (*wake)(struct reservation *reservation, bool granted);
};

/* Initializes an empty reservation. The budget must outlive it. */
void reservation_init(struct reservation *reservation, struct memory_budget *budget);

/* Returns true if `bytes` more bytes could be allocated if no other request had any; otherwise sets
   `never`. */
bool reservation_is_possible(struct reservation *reservation, size_t bytes);

/* The next three return false if the memory is not available now. If reservation_may_wait, the
   caller can then wait for it with reservation_wait. */

/* Starts a request with a claim of at most memory_budget_max_claim() bytes. */
bool reservation_begin(struct reservation *reservation, size_t claim);

/* Reserves memory for `bytes` more bytes, with a claim that may be larger than before. Within its
   former claim an admitted request always gets them, at once or after waiting. */
bool reservation_extend(struct reservation *reservation, size_t bytes, size_t claim);

/* Reserves all of a claim. */
bool reservation_complete(struct reservation *reservation, size_t claim);

/* Returns true if waiting is useful and allowed: the memory can become available, and `wait_ms` is
   not 0 or the request is admitted and stays within its claim. */
bool reservation_may_wait(const struct reservation *reservation);

/* Waits for the memory that was not available, until `latest` (clock_ms; INT64_MAX: no limit).
   Calls `wake` once, from any thread, possibly before this returns. `wake` then owns the
   reservation. Returns false, without calling `wake`, if too many requests wait. */
bool reservation_wait(struct reservation *reservation, int64_t latest,
                      void (*wake)(struct reservation *reservation, bool granted));

/* Releases what is reserved but not allocated, and lowers the claim to what is allocated. */
void reservation_trim(struct reservation *reservation);

/* Releases everything. */
void reservation_end(struct reservation *reservation);

/* Notes that a request was rejected for lack of memory. */
void memory_budget_note_rejection(struct memory_budget *budget);

/* Rejects waiting requests whose time is up or whose client has left. Must be called several times
   a second. Returns the bytes that the first waiting request lacks, and at least 1 if a request was
   rejected since the last call; 0 if memory is not short. */
size_t memory_budget_tick(struct memory_budget *budget);

/* Rejects all requests that wait, now and later. */
void memory_budget_close(struct memory_budget *budget);

#endif
