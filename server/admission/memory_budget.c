/*
 * Implements the memory budget: totals, lists of admitted requests and a queue of waiting requests,
 * all protected by one mutex.
 */
#include "admission/memory_budget.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "memory/block_cache.h"
#include "util/clock.h"

enum {
    SMALL_SHARE = 8,      /* 1/8 of the budget is for small requests, ... */
    SMALL_MAX = 64 << 20, /* ... but at most this many bytes */
    START_SHARE = 2,      /* started requests may use 1/2 of that share */
    ROUNDING = 32,        /* block_cache.h rounds sizes up by at most 1/32 */
    LARGE = 1,            /* index for large requests; small requests use 0 */
};

struct memory_budget {
    pthread_mutex_t mutex;
    size_t bytes, small;        /* total, and the part for small requests only */
    size_t reserved;            /* by all requests */
    size_t started;             /* by requests in RESERVATION_STARTED */
    size_t admitted[LARGE + 1]; /* by requests in RESERVATION_ADMITTED */
    struct {
        struct reservation *first, *last;
    } list[LARGE + 1];  /* admitted requests, in ascending order of remaining claim */
    atomic_size_t used; /* reserved bytes that are allocated */
    size_t waiting;     /* requests in the queue */
    size_t rejectable;  /* of these, those without a guarantee: not is_promised() */
    size_t small_waits; /* of these, small */
    size_t max_waiting;
    int64_t wait_ms;
    struct reservation *first, **last;
    bool serve;   /* the queue must be checked (serve_queue) */
    bool serving; /* a thread is waking requests of the queue */
    bool closed;
    bool missed; /* a request was rejected for lack of memory since the last tick */
};

/* ---- Totals and lists; the mutex is locked ---- */

static int class_of(const struct reservation *r)
{
    return r->claim > MEMORY_BUDGET_SMALL ? LARGE : 0;
}

/* Returns how many more bytes a request may reserve. */
static size_t need(const struct reservation *r)
{
    return r->claim - r->reserved;
}

static void link_by_need(struct memory_budget *budget, struct reservation *r)
{
    struct reservation *after = budget->list[class_of(r)].first, *before = NULL;
    for (; after && need(after) < need(r); after = after->list_next)
        before = after;
    r->list_next = after;
    r->list_previous = before;
    *(before ? &before->list_next : &budget->list[class_of(r)].first) = r;
    *(after ? &after->list_previous : &budget->list[class_of(r)].last) = r;
}

static void unlink_from_list(struct memory_budget *budget, struct reservation *r)
{
    struct reservation *const before = r->list_previous, *const after = r->list_next;
    *(before ? &before->list_next : &budget->list[class_of(r)].first) = after;
    *(after ? &after->list_previous : &budget->list[class_of(r)].last) = before;
}

/* Subtracts a request from the totals. */
static void remove_from_sums(struct memory_budget *budget, struct reservation *r)
{
    budget->reserved -= r->reserved;
    if (r->place == RESERVATION_STARTED) {
        budget->started -= r->reserved;
    } else if (r->place == RESERVATION_ADMITTED) {
        budget->admitted[class_of(r)] -= r->reserved;
        unlink_from_list(budget, r);
    }
}

/* Adds a request to the totals with new values. */
static void add_to_sums(struct memory_budget *budget, struct reservation *r,
                        enum reservation_place place, size_t reserved, size_t claim)
{
    r->place = place;
    r->reserved = reserved;
    r->claim = claim;
    budget->reserved += reserved;
    if (place == RESERVATION_STARTED) {
        budget->started += reserved;
    } else if (place == RESERVATION_ADMITTED) {
        budget->admitted[class_of(r)] += reserved;
        link_by_need(budget, r);
    }
}

static void move(struct memory_budget *budget, struct reservation *r, enum reservation_place place,
                 size_t reserved, size_t claim)
{
    remove_from_sums(budget, r);
    add_to_sums(budget, r, place, reserved, claim);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Returns true if invariants 2 and 3 of memory_budget.h hold. Simulates that all admitted requests
   finish one at a time, within a class in ascending order of need. If one cannot finish, no request
   of its class with a greater need can. */
static bool is_safe(const struct memory_budget *budget)
{
    const size_t max_large = budget->bytes - budget->small;
    const size_t held = budget->started + budget->admitted[0] + budget->admitted[LARGE];
    const struct reservation *small = budget->list[0].first, *large = budget->list[LARGE].first;
    if (held > budget->bytes || budget->admitted[LARGE] > max_large)
        return false;
    size_t available = budget->bytes - held, for_large = max_large - budget->admitted[LARGE];
    while (small || large) {
        if ((!small || need(budget->list[0].last) <= available) &&
            (!large || need(budget->list[LARGE].last) <= smaller(available, for_large)))
            return true; /* all can finish at once */
        if (small && need(small) <= available) {
            available += small->reserved;
            small = small->list_next;
        } else if (large && need(large) <= smaller(available, for_large)) {
            available += large->reserved;
            for_large += large->reserved;
            large = large->list_next;
        } else {
            return false;
        }
    }
    return true;
}

/* Returns the number of unreserved bytes, which block_cache.h may use for its cache. */
static size_t rest(const struct memory_budget *budget)
{
    return budget->bytes - budget->reserved;
}

/* ---- Reserving; the mutex is locked ---- */

/* Returns true if a request is admitted and stays within its claim. */
static bool is_promised(const struct reservation *r)
{
    return r->place == RESERVATION_ADMITTED && r->wanted <= r->claim;
}

/* Changes a large request that was just admitted to a started one if it has reserved at most
   MEMORY_BUDGET_START bytes and the share of started requests has room. The rest of its claim is
   then not guaranteed. */
static void demote_to_started(struct memory_budget *budget, struct reservation *r)
{
    const size_t reserved = r->reserved, claim = r->claim;
    if (reserved > MEMORY_BUDGET_START || claim <= MEMORY_BUDGET_SMALL ||
        budget->started + reserved > budget->small / START_SHARE)
        return;
    move(budget, r, RESERVATION_STARTED, reserved, claim);
    if (!is_safe(budget))
        move(budget, r, RESERVATION_ADMITTED, reserved, claim);
}

/* Reserves what a request wants if the invariants allow it. `first`: no request that it must not
   overtake is waiting. */
static bool reserve(struct memory_budget *budget, struct reservation *r, bool first)
{
    const enum reservation_place place = r->place;
    const size_t reserved = r->reserved, claim = r->claim;
    const size_t new_claim = is_promised(r) ? claim : r->wanted_claim;
    if (r->wanted <= reserved)
        return true;
    if (r->wanted - reserved > rest(budget) || (!first && !is_promised(r)))
        return false;
    move(budget, r, new_claim <= MEMORY_BUDGET_START ? RESERVATION_OUTSIDE : RESERVATION_ADMITTED,
         r->wanted, new_claim);
    if (!is_safe(budget)) {
        move(budget, r, place, reserved, claim);
        return false;
    }
    if (place != RESERVATION_ADMITTED && r->place == RESERVATION_ADMITTED)
        demote_to_started(budget, r);
    return true;
}

/* Returns true if a request may reserve memory before the waiting requests: none is waiting, or the
   request is small, no small request is waiting, and small requests stay within their share. */
static bool is_next(const struct memory_budget *budget, const struct reservation *r)
{
    const size_t others = budget->reserved - budget->admitted[LARGE];
    const bool small = r->wanted_claim <= MEMORY_BUDGET_SMALL &&
                       others + (r->wanted - r->reserved) <= budget->small;
    return !budget->first || (small && budget->small_waits == 0);
}

/* ---- Waiting ---- */

static void append(struct memory_budget *budget, struct reservation *r)
{
    r->next = NULL;
    *budget->last = r;
    budget->last = &r->next;
    budget->waiting++;
    budget->rejectable += !is_promised(r);
    budget->small_waits += r->wanted_claim <= MEMORY_BUDGET_SMALL;
}

/* Empties the queue and returns its former entries. */
static struct reservation *take_queue(struct memory_budget *budget)
{
    struct reservation *const first = budget->first;
    budget->first = NULL;
    budget->last = &budget->first;
    budget->waiting = budget->rejectable = budget->small_waits = 0;
    return first;
}

/* Removes from the queue, and returns, the requests that can reserve what they want. Requests that
   are not admitted do not overtake others, except that small requests overtake large ones. */
static struct reservation *take_granted(struct memory_budget *budget)
{
    struct reservation *granted = NULL, **end = &granted, *next = take_queue(budget);
    while (next) {
        struct reservation *const r = next;
        next = r->next;
        if (reserve(budget, r, is_next(budget, r))) {
            *end = r;
            end = &r->next;
        } else {
            append(budget, r);
        }
    }
    *end = NULL;
    return granted;
}

static void wake_all(struct reservation *first, bool granted)
{
    while (first) {
        struct reservation *const r = first;
        first = r->next; /* `wake` may free it */
        r->wake(r, granted);
    }
}

/* Wakes requests whose memory is available. Only one thread at a time does this. A concurrent call,
   or a call from `wake`, makes that thread check again, because a woken request may release
   memory. */
static void serve_queue(struct memory_budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    budget->serve = true;
    while (budget->serve && !budget->serving) {
        budget->serve = false;
        struct reservation *const granted = take_granted(budget);
        const size_t keep = rest(budget);
        budget->serving = granted != NULL;
        if (!granted)
            break;
        pthread_mutex_unlock(&budget->mutex);
        block_cache_shrink(keep);
        wake_all(granted, true);
        pthread_mutex_lock(&budget->mutex);
        budget->serving = false;
    }
    pthread_mutex_unlock(&budget->mutex);
}

/* Removes from the queue, and returns, the requests to reject. */
static struct reservation *take_rejected(struct memory_budget *budget, int64_t now)
{
    struct reservation *refused = NULL, **end = &refused, *next = take_queue(budget);
    while (next) {
        struct reservation *const r = next;
        next = r->next;
        if (budget->closed || r->until <= now || quota_cancelled(&r->quota)) {
            *end = r;
            end = &r->next;
        } else {
            append(budget, r);
        }
    }
    *end = NULL;
    return refused;
}

/* Returns how many bytes the first waiting request lacks for its full claim, at least 1, or 0 if no
   request is waiting. */
static size_t lacking(const struct memory_budget *budget)
{
    const struct reservation *const r = budget->first;
    if (!r)
        return 0;
    const size_t claim = is_promised(r) ? r->claim : r->wanted_claim;
    const size_t wanted = claim - (r->place == RESERVATION_ADMITTED ? r->reserved : 0);
    const size_t max_large = budget->bytes - budget->small;
    const size_t for_large =
        max_large > budget->admitted[LARGE] ? max_large - budget->admitted[LARGE] : 0;
    const size_t available =
        claim > MEMORY_BUDGET_SMALL ? smaller(rest(budget), for_large) : rest(budget);
    return wanted > available ? wanted - available : 1;
}

size_t memory_budget_tick(struct memory_budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    struct reservation *const refused = take_rejected(budget, clock_ms());
    pthread_mutex_unlock(&budget->mutex);
    wake_all(refused, false);
    serve_queue(budget); /* other requests may have waited for a rejected one */
    pthread_mutex_lock(&budget->mutex);
    const size_t lack = lacking(budget), missed = budget->missed;
    budget->missed = false;
    pthread_mutex_unlock(&budget->mutex);
    return lack > missed ? lack : missed;
}

void memory_budget_note_rejection(struct memory_budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    budget->missed = true;
    pthread_mutex_unlock(&budget->mutex);
}

void memory_budget_close(struct memory_budget *budget)
{
    pthread_mutex_lock(&budget->mutex);
    budget->closed = true;
    pthread_mutex_unlock(&budget->mutex);
    memory_budget_tick(budget);
}

/* ---- Reservations ---- */

/* Returns an upper bound on what block_cache.h allocates for `bytes` bytes. */
static size_t rounded(size_t bytes)
{
    return bytes + bytes / ROUNDING;
}

/* Increases the reservation to `bytes` bytes in total, with the given claim. `overtake`: even if
   other requests are waiting. */
static bool reach(struct reservation *r, size_t bytes, size_t claim, bool overtake)
{
    struct memory_budget *const budget = r->budget;
    if (bytes <= r->reserved)
        return true;
    r->wanted = bytes;
    r->wanted_claim = larger(r->claim, larger(claim, bytes));
    pthread_mutex_lock(&budget->mutex);
    const bool reserved = reserve(budget, r, overtake || is_next(budget, r));
    const size_t keep = rest(budget);
    pthread_mutex_unlock(&budget->mutex);
    if (reserved)
        block_cache_shrink(keep);
    return reserved;
}

/* Sets *taken to the total after `bytes` more bytes are allocated. If the total exceeds what one
   request may reserve, sets `never` and returns false. */
static bool with_more(struct reservation *r, size_t bytes, size_t *taken)
{
    if (bytes <= PTRDIFF_MAX / 2 && !__builtin_add_overflow(r->taken, rounded(bytes), taken) &&
        *taken <= memory_budget_max_claim(r->budget))
        return true;
    r->never = true;
    return false;
}

static bool take(struct quota *quota, size_t bytes)
{
    struct reservation *const r = (struct reservation *)quota;
    size_t taken;
    if (!with_more(r, bytes, &taken) || !reach(r, taken, r->claim, true))
        return false;
    atomic_fetch_add_explicit(&r->budget->used, taken - r->taken, memory_order_relaxed);
    r->taken = taken;
    return true;
}

static void set_taken(struct reservation *r, size_t taken)
{
    atomic_fetch_sub_explicit(&r->budget->used, r->taken - taken, memory_order_relaxed);
    r->taken = taken;
}

static void give(struct quota *quota, size_t bytes)
{
    struct reservation *const r = (struct reservation *)quota;
    const size_t given = rounded(bytes);
    set_taken(r, given < r->taken
                     ? r->taken - given
                     : 0); /* the rounded parts can add up to less than the rounded whole */
}

void reservation_init(struct reservation *reservation, struct memory_budget *budget)
{
    *reservation =
        (struct reservation){.quota = {.reserve = take, .release = give}, .budget = budget};
}

bool reservation_is_possible(struct reservation *reservation, size_t bytes)
{
    size_t taken;
    return with_more(reservation, bytes, &taken);
}

bool reservation_begin(struct reservation *reservation, size_t claim)
{
    return reach(reservation, smaller(claim, MEMORY_BUDGET_START), claim, false);
}

bool reservation_extend(struct reservation *reservation, size_t bytes, size_t claim)
{
    size_t taken;
    return with_more(reservation, bytes, &taken) && reach(reservation, taken, claim, false);
}

bool reservation_complete(struct reservation *reservation, size_t claim)
{
    return reach(reservation, claim, claim, false);
}

bool reservation_may_wait(const struct reservation *reservation)
{
    return !reservation->never && (is_promised(reservation) || reservation->budget->wait_ms > 0);
}

bool reservation_wait(struct reservation *reservation, int64_t latest,
                      void (*wake)(struct reservation *reservation, bool granted))
{
    struct memory_budget *const budget = reservation->budget;
    const int64_t refused = is_promised(reservation) ? INT64_MAX : clock_ms() + budget->wait_ms;
    reservation->until = latest < refused ? latest : refused;
    reservation->wake = wake;
    pthread_mutex_lock(&budget->mutex);
    const bool may = is_promised(reservation) || budget->rejectable < budget->max_waiting;
    const bool waits = !budget->closed && may;
    if (waits)
        append(budget, reservation);
    pthread_mutex_unlock(&budget->mutex);
    if (waits)
        serve_queue(budget); /* memory may have been released in the meantime */
    return waits;
}

void reservation_trim(struct reservation *reservation)
{
    struct memory_budget *const budget = reservation->budget;
    const size_t taken = reservation->taken;
    if (reservation->reserved == taken && reservation->claim == taken)
        return;
    pthread_mutex_lock(&budget->mutex);
    move(budget, reservation,
         taken <= MEMORY_BUDGET_START ? RESERVATION_OUTSIDE : RESERVATION_ADMITTED, taken, taken);
    pthread_mutex_unlock(&budget->mutex);
    serve_queue(budget);
}

void reservation_end(struct reservation *reservation)
{
    set_taken(reservation, 0);
    reservation_trim(reservation);
}

/* ---- Metrics ---- */

static double read_budget(void *context, size_t index)
{
    struct memory_budget *const budget = context;
    pthread_mutex_lock(&budget->mutex);
    const size_t values[] = {budget->bytes, budget->reserved, atomic_load(&budget->used),
                             budget->waiting, block_cache_bytes()};
    pthread_mutex_unlock(&budget->mutex);
    return (double)values[index];
}

static const struct metric_source sources[] = {
    {"lossd_memory_budget_bytes", METRIC_GAUGE, "Memory that requests may use.", NULL, read_budget},
    {"lossd_memory_reserved_bytes", METRIC_GAUGE, "Memory reserved by requests.", NULL,
     read_budget},
    {"lossd_memory_used_bytes", METRIC_GAUGE, "Reserved memory in use.", NULL, read_budget},
    {"lossd_memory_waiters", METRIC_GAUGE, "Requests waiting for memory.", NULL, read_budget},
    {"lossd_memory_cached_bytes", METRIC_GAUGE, "Memory cached for later requests.", NULL,
     read_budget},
};

bool memory_budget_add_metrics(struct memory_budget *budget, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, budget);
}

/* ---- The budget ---- */

struct memory_budget *memory_budget_new(size_t bytes, size_t max_waiting, int64_t wait_ms)
{
    struct memory_budget *budget = calloc(1, sizeof *budget);
    if (!budget)
        return NULL;
    budget->bytes = bytes;
    budget->small = bytes / SMALL_SHARE < SMALL_MAX ? bytes / SMALL_SHARE : SMALL_MAX;
    budget->max_waiting = max_waiting;
    budget->wait_ms = wait_ms;
    budget->last = &budget->first;
    pthread_mutex_init(&budget->mutex, NULL);
    return budget;
}

void memory_budget_free(struct memory_budget *budget)
{
    if (budget)
        pthread_mutex_destroy(&budget->mutex);
    free(budget);
}

size_t memory_budget_max_claim(const struct memory_budget *budget)
{
    return budget->bytes - budget->small;
}
