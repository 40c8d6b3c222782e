/*
 * The memory that requests may take: a sum under a mutex, and a queue of those who wait for it.
 */
#include "budget.h"

#include <pthread.h>
#include <stdlib.h>

#include "clock.h"
#include "pages.h"

enum {
    SMALL_SHARE = 8,       /* the part of the budget that is set aside for small reservations ... */
    SMALL_MOST = 64 << 20, /* ... and its most */
    ROUNDING = 32,         /* blocks of pages.h are up to a 32nd longer than what was asked for */
};

struct budget {
    pthread_mutex_t mutex;
    size_t bytes, small; /* `small` of them for small reservations alone */
    size_t reserved;
    size_t waiting, most_waiting;
    int64_t wait_ms;
    struct reservation *first, **last;
    bool closed;
    bool missed; /* of budget_missed, since the last tick */
};

/* ---- the sum; under the mutex --------------------------------------------------------------------------------------- */

/* What may be reserved in all once a reservation of that size is. */
static size_t limit_for(const struct budget *budget, size_t bytes)
{
    return bytes <= BUDGET_SMALL ? budget->bytes : budget->bytes - budget->small;
}

static bool fits(const struct budget *budget, size_t bytes)
{
    const size_t limit = limit_for(budget, bytes);
    return bytes <= limit && budget->reserved <= limit - bytes;
}

/* Adds to the sum what fits; whether it does. */
static bool add(struct budget *budget, size_t bytes, bool fits_now)
{
    if (fits_now)
        budget->reserved += bytes;
    return fits_now;
}

/* What pages.h may keep beside what is reserved. */
static size_t rest(const struct budget *budget)
{
    return budget->bytes - budget->reserved;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

static void append(struct budget *budget, struct reservation *reservation)
{
    *budget->last = reservation;
    budget->last = &reservation->next;
    budget->waiting++;
}

static struct reservation *unlink_first(struct budget *budget)
{
    struct reservation *const reservation = budget->first;
    budget->first = reservation->next;
    if (!budget->first)
        budget->last = &budget->first;
    budget->waiting--;
    return reservation;
}

/* Takes those off the queue that are to be woken: the first as long as there is room for it. Large ones are not overtaken. */
static struct reservation *take_granted(struct budget *budget)
{
    struct reservation *granted = NULL, **end = &granted;
    while (budget->first && add(budget, budget->first->wanted, fits(budget, budget->first->wanted))) {
        *end = unlink_first(budget);
        end = &(*end)->next;
    }
    *end = NULL;
    return granted;
}

static void wake_all(struct reservation *first, bool granted)
{
    while (first) {
        struct reservation *const reservation = first;
        first = reservation->next; /* it is nobody's to touch once it is awake */
        if (granted)
            reservation->reserved += reservation->wanted;
        reservation->wake(reservation, granted);
    }
}

/* Gives bytes back to the budget, and what there is to those who wait. */
static void give_back(struct budget *budget, size_t bytes)
{
    pthread_mutex_lock(&budget->mutex);
    budget->reserved -= bytes;
    struct reservation *const granted = take_granted(budget);
    const size_t keep = rest(budget);
    pthread_mutex_unlock(&budget->mutex);
    if (granted)
        pages_keep(keep);
    wake_all(granted, true);
}

/* Takes those off the queue who will not be granted anything. */
static struct reservation *take_refused(struct budget *budget, int64_t now)
{
    struct reservation *refused = NULL, **end = &refused, *next = budget->first;
    budget->first = NULL;
    budget->last = &budget->first;
    budget->waiting = 0;
    while (next) {
        struct reservation *const reservation = next;
        next = reservation->next;
        reservation->next = NULL;
        if (budget->closed || reservation->until <= now || allowance_cancelled(&reservation->allowance)) {
            *end = reservation;
            end = &reservation->next;
        } else {
            append(budget, reservation);
        }
    }
    return refused;
}

/* What the first of those who wait waits for. */
static size_t lacking(const struct budget *budget)
{
    const size_t wanted = budget->first ? budget->first->wanted : 0, limit = limit_for(budget, wanted);
    const size_t missing = budget->reserved + wanted;
    return budget->first && missing > limit ? missing - limit : 0;
}

size_t budget_tick(struct budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    struct reservation *const refused = take_refused(budget, clock_ms());
    struct reservation *const granted = take_granted(budget); /* who waited behind a larger one */
    const size_t keep = rest(budget), lack = lacking(budget), missed = budget->missed;
    budget->missed = false;
    pthread_mutex_unlock(&budget->mutex);
    wake_all(refused, false);
    if (granted)
        pages_keep(keep);
    wake_all(granted, true);
    return lack > missed ? lack : missed;
}

void budget_missed(struct budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    budget->missed = true;
    pthread_mutex_unlock(&budget->mutex);
}

void budget_close(struct budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    budget->closed = true;
    pthread_mutex_unlock(&budget->mutex);
    budget_tick(budget);
}

/* ---- reservations --------------------------------------------------------------------------------------------------- */

/* What bytes come to when pages.h has rounded them up. */
static size_t rounded(size_t bytes)
{
    return bytes + bytes / ROUNDING;
}

/* Reserves more for a request that has begun: it may use what is set aside. */
static bool grow(struct reservation *reservation, size_t bytes)
{
    struct budget *const budget = reservation->budget;
    pthread_mutex_lock(&budget->mutex);
    const bool grown = add(budget, bytes, bytes <= budget->bytes && budget->reserved <= budget->bytes - bytes);
    const size_t keep = rest(budget);
    pthread_mutex_unlock(&budget->mutex);
    if (grown) {
        reservation->reserved += bytes;
        pages_keep(keep);
    }
    return grown;
}

static bool take(struct allowance *allowance, size_t bytes)
{
    struct reservation *const reservation = (struct reservation *)allowance;
    size_t taken;
    if (bytes > PTRDIFF_MAX / 2 || __builtin_add_overflow(reservation->taken, rounded(bytes), &taken) ||
        taken > reservation->budget->bytes) {
        reservation->never = true;
        return false;
    }
    if (taken > reservation->reserved && !grow(reservation, taken - reservation->reserved))
        return false;
    reservation->taken = taken;
    return true;
}

static void give(struct allowance *allowance, size_t bytes)
{
    struct reservation *const reservation = (struct reservation *)allowance;
    const size_t given = rounded(bytes);
    reservation->taken -= given < reservation->taken ? given : reservation->taken; /* pieces round to less than the whole */
}

void reservation_init(struct reservation *reservation, struct budget *budget)
{
    *reservation = (struct reservation){.allowance = {.take = take, .give = give}, .budget = budget};
}

bool reservation_try(struct reservation *reservation, size_t bytes)
{
    struct budget *const budget = reservation->budget;
    pthread_mutex_lock(&budget->mutex);
    /* Those who wait are not overtaken but by small ones. */
    const bool reserved = add(budget, bytes, (!budget->first || bytes <= BUDGET_SMALL) && fits(budget, bytes));
    const size_t keep = rest(budget);
    pthread_mutex_unlock(&budget->mutex);
    if (reserved) {
        reservation->reserved += bytes;
        pages_keep(keep);
    }
    return reserved;
}

bool reservation_wait(struct reservation *reservation, size_t bytes,
                      void (*wake)(struct reservation *reservation, bool granted))
{
    struct budget *const budget = reservation->budget;
    reservation->next = NULL;
    reservation->wanted = bytes;
    reservation->until = clock_ms() + budget->wait_ms;
    reservation->wake = wake;
    pthread_mutex_lock(&budget->mutex);
    const bool waits = !budget->closed && budget->waiting < budget->most_waiting;
    if (waits)
        append(budget, reservation);
    pthread_mutex_unlock(&budget->mutex);
    if (waits)
        give_back(budget, 0); /* there may be room by now */
    return waits;
}

void reservation_trim(struct reservation *reservation)
{
    const size_t spare = reservation->reserved - reservation->taken;
    reservation->reserved -= spare;
    if (spare > 0)
        give_back(reservation->budget, spare);
}

void reservation_end(struct reservation *reservation)
{
    reservation->taken = 0;
    reservation_trim(reservation);
}

/* ---- metrics -------------------------------------------------------------------------------------------------------- */

static double read_budget(void *context, size_t index)
{
    struct budget *const budget = context;
    pthread_mutex_lock(&budget->mutex);
    const size_t values[] = {budget->bytes, budget->reserved, budget->waiting};
    pthread_mutex_unlock(&budget->mutex);
    return (double)values[index];
}

static double read_kept(void *context, size_t index)
{
    (void)context;
    (void)index;
    return (double)pages_kept();
}

static const struct metric_source sources[] = {
    {"lossd_memory_budget_bytes", METRIC_GAUGE, "Memory that requests may take.", NULL, read_budget},
    {"lossd_memory_reserved_bytes", METRIC_GAUGE, "Memory that requests have reserved.", NULL, read_budget},
    {"lossd_memory_waiting", METRIC_GAUGE, "Requests that wait for memory.", NULL, read_budget},
    {"lossd_memory_kept_bytes", METRIC_GAUGE, "Memory that is kept for the next request.", NULL, read_kept},
};

bool budget_add_metrics(struct budget *budget, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, budget);
}

/* ---- the budget ----------------------------------------------------------------------------------------------------- */

struct budget *budget_new(size_t bytes, size_t most_waiting, int64_t wait_ms)
{
    struct budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        return NULL;
    budget->bytes = bytes;
    budget->small = bytes / SMALL_SHARE < SMALL_MOST ? bytes / SMALL_SHARE : SMALL_MOST;
    budget->most_waiting = most_waiting;
    budget->wait_ms = wait_ms;
    budget->last = &budget->first;
    pthread_mutex_init(&budget->mutex, NULL);
    return budget;
}

void budget_free(struct budget *budget)
{
    if (budget)
        pthread_mutex_destroy(&budget->mutex);
    free(budget);
}

size_t budget_bytes(const struct budget *budget)
{
    return budget->bytes;
}

size_t budget_most(const struct budget *budget)
{
    return budget->bytes - budget->small;
}
