/*
 * The memory budget of all requests.
 *
 * Each request starts with a claim: an upper bound on the memory that it needs. It reserves the
 * claim in steps, always before it allocates: enough for the part of the body that has arrived, and
 * the full claim before it is computed. A client that declares a large body but does not send it
 * therefore reserves little. If memory is not available, the request waits and its connection is
 * suspended.
 *
 * Invariants whenever the mutex is unlocked:
 *   1. Allocated memory (quota.h) is reserved, and reserved memory does not exceed the budget.
 *      Memory that block_cache.h caches between requests also counts towards the budget, and is
 *      freed if a request needs it.
 *   2. All admitted requests can finish: there is an order in which each can reserve the rest of
 *      its claim once its predecessors have finished and released their memory (Dijkstra's banker's
 *      algorithm). A reservation that would break this invariant is not granted. Requests that
 *      claim at most MEMORY_BUDGET_START bytes reserve them at once, so they can always finish and
 *      need not be part of the order.
 *   3. Admitted large requests (claims of more than MEMORY_BUDGET_SMALL bytes) together reserve at
 *      most memory_budget_max_claim() bytes.
 *
 * Why no admitted request is stuck: the first unfinished request in the order of invariant 2 can
 * reserve all of its claim, and its reservations do not change the order. It finishes if its client
 * keeps sending and reading. Otherwise --slow-client-memory-timeout disconnects the client. Either
 * way its memory is released, and the next request becomes the first.
 *
 * Why no request waits forever: a request that is not admitted does not overtake waiting requests.
 * The only exception is a small request that fits into the share for small requests, which large
 * requests never use. A waiting request is therefore overtaken only by requests that were admitted
 * before it began to wait. Once these have finished, it is first. Requests that are not admitted,
 * or need more than they claimed, are rejected after `wait_ms`; other admitted requests wait until
 * their own deadline.
 *
 * A large request may start without being admitted (RESERVATION_STARTED). It then uses
 * MEMORY_BUDGET_START bytes of the share for small requests; up to half of that share may be used
 * this way. The request must be admitted once its client has sent that much. This way, clients that
 * declare half of the budget or more but send nothing do not block each other. Started requests may
 * never finish, so invariant 2 does not rely on their memory being released.
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
    MEMORY_BUDGET_START = 128 << 10, /* bytes that a request reserves at its start */
};

/* Creates a budget of `bytes` bytes. Up to `max_waiting` requests that are not admitted may wait,
   each for up to `wait_ms` milliseconds. One eighth of the budget, at most 64 MiB, is for small
   requests only, so that large requests cannot block them. Returns NULL if memory is
   insufficient. */
struct memory_budget *memory_budget_new(size_t bytes, size_t max_waiting, int64_t wait_ms);

/* All reservations must have ended. No-op if NULL. */
void memory_budget_free(struct memory_budget *budget);

/* Returns false if memory is insufficient. */
bool memory_budget_add_metrics(struct memory_budget *budget, struct metrics *metrics);

/* Returns the maximum number of bytes that one request can reserve. */
size_t memory_budget_max_claim(const struct memory_budget *budget);

enum reservation_place {
    RESERVATION_OUTSIDE,  /* all of its claim is reserved */
    RESERVATION_STARTED,  /* large, not yet admitted; has at most MEMORY_BUDGET_START bytes */
    RESERVATION_ADMITTED, /* guaranteed to get all of its claim */
};

/* The memory of one request. Only one thread at a time may use its quota. The quota reserves
   missing memory if it is available immediately, ahead of waiting requests. */
struct reservation {
    struct quota quota; /* must be first; passed to proto/ */
    struct memory_budget *budget;
    size_t reserved, taken; /* bytes; `taken` are allocated */
    size_t claim;           /* upper bound on `reserved` */
    bool never;             /* the request needs more than memory_budget_max_claim() bytes */

    /* Protected by the budget's mutex. */
    enum reservation_place place;
    struct reservation *list_previous, *list_next;

    /* The last attempt to reserve memory, which may have to wait. */
    size_t wanted, wanted_claim;
    struct reservation *next;
    int64_t until;
    void (*wake)(struct reservation *reservation, bool granted);
};

/* Initializes an empty reservation. The budget must outlive it. */
void reservation_init(struct reservation *reservation, struct memory_budget *budget);

/* Returns true if `bytes` more bytes could be allocated if no other request used memory. Otherwise
   sets `never` and returns false. */
bool reservation_is_possible(struct reservation *reservation, size_t bytes);

/* The next three functions return false if the memory is not available now. If reservation_may_wait
   returns true, the caller can then wait for the memory with reservation_wait. */

/* Starts a request with a claim of at most memory_budget_max_claim() bytes. */
bool reservation_begin(struct reservation *reservation, size_t claim);

/* Reserves memory for `bytes` more bytes, with a claim that may be larger than before. An admitted
   request that stays within its previous claim always gets the memory, immediately or after
   waiting. */
bool reservation_extend(struct reservation *reservation, size_t bytes, size_t claim);

/* Reserves all of a claim. */
bool reservation_complete(struct reservation *reservation, size_t claim);

/* Returns true if waiting is useful and allowed: the memory can become available, and `wait_ms` is
   not 0 or the request is admitted and stays within its claim. */
bool reservation_may_wait(const struct reservation *reservation);

/* Queues the reservation until the memory is available, but not beyond `latest` (clock_ms;
   INT64_MAX: no limit). Does not block. Calls `wake` once, from any thread, possibly before this
   function returns; `granted` says whether the memory is reserved. `wake` then owns the
   reservation. Returns false, without calling `wake`, if too many requests are waiting or the
   budget is closed. */
bool reservation_wait(struct reservation *reservation, int64_t latest,
                      void (*wake)(struct reservation *reservation, bool granted));

/* Releases memory that is reserved but not allocated, and lowers the claim to what is allocated. */
void reservation_trim(struct reservation *reservation);

/* Releases everything. */
void reservation_end(struct reservation *reservation);

/* Records that a request was rejected for lack of memory. */
void memory_budget_note_rejection(struct memory_budget *budget);

/* Rejects waiting requests that have timed out or been cancelled, for example because the client
   has disconnected. Must be called several times per second. Returns the number of bytes that the
   first waiting request lacks, and at least 1 if a request is waiting or was rejected since the
   last call. Otherwise returns 0. */
size_t memory_budget_tick(struct memory_budget *budget);

/* Rejects all requests that are waiting, and all later attempts to wait. */
void memory_budget_close(struct memory_budget *budget);

#endif
