/*
 * The memory that requests may take, together and each.
 *
 * A request says at its beginning how much it will need at most: its claim. It reserves that step
 * by step, before it takes it: while its body arrives, what has arrived; before it is computed,
 * all. So a client that declares a long body and does not send it reserves next to nothing. A
 * request that finds nothing waits with its connection suspended.
 *
 * Invariants, at any time the mutex is free:
 *   1. What is taken (quota.h) is reserved, and what is reserved is no more than the budget.
 * What block_cache.h keeps between requests counts too, and is given back where it is needed.
 *   2. The admitted requests can finish: there is an order in which each finds the rest of its
 * claim free, if those before it have finished and given back what they have (Dijkstra's banker's
 * algorithm). What is reserved in a way that breaks the invariant is not granted. Requests with a
 * claim of up to MEMORY_BUDGET_START reserve all of it at once, so they can finish, and do not
 * appear in the order.
 *   3. Large requests (with claims of more than MEMORY_BUDGET_SMALL) that are admitted reserve no
 * more than memory_budget_max_claim() together.
 *
 * Why no admitted request is stuck: the first of the order of 2 that has not finished finds all
 * that it claims, since what it reserves leaves the order as it is. So it finishes if its client
 * sends and reads; if not, it is cut by --slow-client-memory-timeout, and gives back what it has in
 * either case. Then the next one is the first.
 *
 * Why none waits for ever: a request that is not admitted does not overtake those who wait, with
 * one exception: small ones, as long as all of them do with what is set aside for them, which large
 * ones never have. So a request that waits is overtaken only by those admitted before it began to
 * wait, and once these have finished it is the first itself. Requests that are not admitted are
 * refused after `wait_ms`; admitted ones are not, unless their own time is up.
 *
 * A large request may begin without being admitted (RESERVATION_STARTED), with MEMORY_BUDGET_START
 * bytes of what is set aside, half of which may be used so: it is admitted when it has sent as
 * much. So clients that declare half of the budget or more, and do not send it, do not shut out
 * each other. Since started requests may stay, 2 counts what they have as never given back.
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
    MEMORY_BUDGET_SMALL =
        1 << 20, /* bytes up to which a claim may use what is set aside for small ones */
    MEMORY_BUDGET_START = 128 << 10, /* bytes that are reserved at once */
};

/* Of so many bytes, for which up to `most_waiting` requests may wait for up to `wait_ms`. An
   eighth, 64 MiB at most, is set aside for small claims, so that large requests cannot keep small
   ones out. NULL if memory has run out. */
struct memory_budget *memory_budget_new(size_t bytes, size_t most_waiting, int64_t wait_ms);
/* No reservation may be held any more. No-op if NULL. */
void memory_budget_free(struct memory_budget *budget);
/* False if memory has run out. */
bool memory_budget_add_metrics(struct memory_budget *budget, struct metrics *metrics);

/* The most that one request can reserve. */
size_t memory_budget_max_claim(const struct memory_budget *budget);

enum reservation_place {
    RESERVATION_OUTSIDE,  /* it has all that it claims */
    RESERVATION_STARTED,  /* it has MEMORY_BUDGET_START bytes of a large claim, and is not admitted
                             yet */
    RESERVATION_ADMITTED, /* it will have all that it claims */
};

/* What one request has. Its quota may be asked by one thread at a time; it reserves what it
   lacks if that can be done at once, before those who wait. */
struct reservation {
    struct quota quota; /* first: what proto/ asks */
    struct memory_budget *budget;
    size_t reserved, taken;
    size_t claim; /* what it reserves at most */
    bool never;   /* more was asked for than there is in all */

    /* under the budget's mutex */
    enum reservation_place place;
    struct reservation *list_previous, *list_next;

    /* what was asked for last; while it waits: for this */
    size_t wanted, wanted_claim;
    struct reservation *next;
    int64_t until;
    void (*wake)(struct reservation *reservation, bool granted);
};

/* Makes it an empty one, of a budget that outlives it. */
void reservation_init(struct reservation *reservation, struct memory_budget *budget);

/* Whether `bytes` more could be taken if nobody else had any; else sets `never`. */
bool reservation_is_possible(struct reservation *reservation, size_t bytes);

/* Each of the next three returns false if the memory is not there now. Then reservation_wait waits
   for it, if reservation_may_wait. */
/* Begins a request that claims so much, memory_budget_max_claim() at most. */
bool reservation_begin(struct reservation *reservation, size_t claim);
/* Makes room for `bytes` more to be taken, of a claim that may be larger than the one before.
   Within that one an admitted request always has them, now or after it has waited. */
bool reservation_extend(struct reservation *reservation, size_t bytes, size_t claim);
/* Reserves all of a claim, likewise. */
bool reservation_complete(struct reservation *reservation, size_t claim);

/* Whether waiting for what was not there is of use and allowed: it will be there, and `wait_ms` is
   not 0 or the request is admitted and asks for what it claims. */
bool reservation_may_wait(const struct reservation *reservation);
/* Waits for what was not there, until `latest` (clock_ms; INT64_MAX for no such time). Later `wake`
   is called once, from any thread, perhaps before this returns; the reservation then belongs to
   whom `wake` leaves it to. False if it cannot wait, since too many do; then `wake` is not
   called. */
bool reservation_wait(struct reservation *reservation, int64_t latest,
                      void (*wake)(struct reservation *reservation, bool granted));

/* Gives back what is reserved and not taken, and claims no more. */
void reservation_trim(struct reservation *reservation);
/* Gives back all. */
void reservation_end(struct reservation *reservation);

/* Says that a request was refused since it found no memory. */
void memory_budget_note_rejection(struct memory_budget *budget);
/* Refuses those whose time to wait is up, or whose client has left; to be called every now and
   then. Returns how many bytes are lacking to the first of those who wait, at least 1 if a request
   was refused since it was called last; else 0. */
size_t memory_budget_tick(struct memory_budget *budget);
/* Refuses all who wait, now and in future. */
void memory_budget_close(struct memory_budget *budget);

#endif
