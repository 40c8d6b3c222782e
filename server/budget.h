/*
 * The memory that requests may take, together and each.
 *
 * A request reserves what it is expected to need before its body is read. If that is not there it waits for those before it, or
 * is refused. What it then takes, step by step (allowance.h), comes out of its reservation, and beyond that out of what is
 * still free. So whatever is taken has been reserved, and what is reserved never exceeds the budget; what pages.h keeps between
 * requests counts too, and is given back where it stands in the way.
 */
#ifndef SERVER_BUDGET_H
#define SERVER_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allowance.h"
#include "metrics.h"

struct budget;

enum { BUDGET_SMALL = 1 << 20 }; /* bytes up to which a reservation may use what is set aside for small ones */

/* Of so many bytes, for which up to `most_waiting` requests may wait for up to `wait_ms`. An eighth, 64 MiB at most, is set
   aside for small reservations, so that large requests cannot keep small ones out. NULL where memory has run out. */
struct budget *budget_new(size_t bytes, size_t most_waiting, int64_t wait_ms);
/* No reservation may be held any more. NULL is let be. */
void budget_free(struct budget *budget);
/* False where memory has run out. */
bool budget_add_metrics(struct budget *budget, struct metrics *metrics);

/* All that there is, and the most that can be reserved at once. */
size_t budget_bytes(const struct budget *budget);
size_t budget_most(const struct budget *budget);

/* What one request has. Its allowance may be asked by one thread at a time. */
struct reservation {
    struct allowance allowance; /* first: what proto/ asks */
    struct budget *budget;
    size_t reserved, taken;
    bool never; /* more was asked for than there is in all */

    /* while it waits */
    struct reservation *next;
    size_t wanted;
    int64_t until;
    void (*wake)(struct reservation *reservation, bool granted);
};

/* Makes it an empty one, of a budget that outlives it. */
void reservation_init(struct reservation *reservation, struct budget *budget);

/* Reserves so many bytes at once; false if they are not there. */
bool reservation_try(struct reservation *reservation, size_t bytes);
/* Waits for them. Later `wake` is called once, from any thread, perhaps before this returns; the reservation then belongs to
   whom `wake` leaves it to. False if it cannot wait, since too many do; then `wake` is not called. */
bool reservation_wait(struct reservation *reservation, size_t bytes,
                      void (*wake)(struct reservation *reservation, bool granted));

/* Gives back what is reserved and not taken. */
void reservation_trim(struct reservation *reservation);
/* Gives back all. */
void reservation_end(struct reservation *reservation);

/* Says that a request was refused since it found no memory. */
void budget_missed(struct budget *budget);
/* Refuses those whose time to wait is up, or whose client has left; to be called every now and then. Returns how many bytes are
   lacking to the first of those who wait, at least 1 if a request was refused since it was called last; else 0. */
size_t budget_tick(struct budget *budget);
/* Refuses all who wait, now and in future. */
void budget_close(struct budget *budget);

#endif
