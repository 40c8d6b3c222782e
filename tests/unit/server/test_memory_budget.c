/*
 * The memory budget: which requests are granted memory and which wait, and, in random sequences,
 * the invariants of memory_budget.h.
 */
#include "admission/memory_budget.h"
#include "suites.h"
#include "util/clock.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    BYTES = 64 * MIB,
    LARGE_MAX = BYTES - BYTES / 8, /* the largest claim */
    QUEUE = 8,
    LONG_MS = 3600 * 1000, /* no request times out */
};

/* A request, as in request.c. */
struct asker {
    struct reservation memory; /* first */
    bool cancelled;
    bool waits, granted;
};

static struct memory_budget *budget;

static void setup_with(int64_t wait_ms)
{
    budget = memory_budget_new(BYTES, QUEUE, wait_ms);
    ck_assert_ptr_nonnull(budget);
}

static void setup(void)
{
    setup_with(LONG_MS);
}

static void teardown(void)
{
    memory_budget_free(budget);
}

static void begin(struct asker *asker)
{
    *asker = (struct asker){.cancelled = false};
    reservation_init(&asker->memory, budget);
    asker->memory.quota.cancel = &asker->cancelled;
}

static void on_wake(struct reservation *memory, bool granted)
{
    struct asker *const asker = (struct asker *)memory;
    ck_assert(asker->waits);
    asker->waits = false;
    asker->granted = granted;
}

static bool wait_for_it(struct asker *asker)
{
    asker->waits = true;
    asker->granted = false;
    const bool waits = reservation_wait(&asker->memory, INT64_MAX, on_wake);
    asker->waits &= waits;
    return waits;
}

/* Takes bytes, which must be available. */
static void take(struct asker *asker, size_t bytes)
{
    ck_assert(reservation_extend(&asker->memory, bytes, 0));
    ck_assert(quota_reserve(&asker->memory.quota, bytes));
}

static void end(struct asker *asker)
{
    reservation_end(&asker->memory);
    ck_assert_uint_eq(asker->memory.reserved, 0);
}

START_TEST(memory_budget_declared_lengths_reserve_little)
{
    enum { CLAIMING = 32 };
    static struct asker claiming[CLAIMING];
    struct asker other;
    for (int i = 0; i < CLAIMING; i++) {
        begin(&claiming[i]);
        ck_assert(reservation_begin(&claiming[i].memory, LARGE_MAX));
        ck_assert_uint_le(claiming[i].memory.reserved, MEMORY_BUDGET_START);
    }
    begin(&other);
    ck_assert(reservation_begin(&other.memory, LARGE_MAX));
    take(&other, LARGE_MAX / 2);
    end(&other);
    for (int i = 0; i < CLAIMING; i++)
        end(&claiming[i]);
}
END_TEST

START_TEST(memory_budget_admitted_requests_get_their_claim)
{
    struct asker first, second;
    begin(&first);
    begin(&second);
    ck_assert(reservation_begin(&first.memory, 40 * MIB) &&
              reservation_begin(&second.memory, 40 * MIB));
    take(&first, 19 * MIB);
    take(&second, 10 * MIB);
    ck_assert(
        !reservation_extend(&second.memory, 10 * MIB, 0)); /* then neither could get the rest */
    ck_assert(reservation_may_wait(&second.memory) && wait_for_it(&second));
    take(&first, 19 * MIB);
    ck_assert(second.waits);
    end(&first);
    ck_assert(second.granted);
    take(&second, 10 * MIB);
    ck_assert(reservation_complete(&second.memory, 40 * MIB));
    end(&second);
}
END_TEST

/* The request that needs the least finishes first, even if others waited longer; otherwise none
   would finish. */
START_TEST(memory_budget_admitted_requests_do_not_deadlock)
{
    struct asker near, far;
    begin(&near);
    begin(&far);
    ck_assert(reservation_begin(&far.memory, LARGE_MAX) &&
              reservation_begin(&near.memory, 20 * MIB));
    take(&far, 4 * MIB);
    take(&near, 10 * MIB);
    ck_assert(!reservation_complete(&far.memory, LARGE_MAX));
    ck_assert(wait_for_it(&far));
    ck_assert(reservation_complete(&near.memory, 20 * MIB));
    end(&near);
    ck_assert(far.granted);
    end(&far);
}
END_TEST

START_TEST(memory_budget_requests_that_wait_are_not_overtaken)
{
    struct asker holder, waiter, later, small;
    begin(&holder);
    begin(&waiter);
    begin(&later);
    begin(&small);
    ck_assert(reservation_begin(&holder.memory, LARGE_MAX));
    take(&holder, 20 * MIB);
    ck_assert(!reservation_begin(&waiter.memory, LARGE_MAX));
    ck_assert(wait_for_it(&waiter) && waiter.waits);
    /* There is room for this claim, but it must not overtake. */
    ck_assert(!reservation_begin(&later.memory, 2 * MIB));
    ck_assert(wait_for_it(&later) && later.waits);
    memory_budget_tick(budget);
    ck_assert(waiter.waits && later.waits);
    /* Small requests have their own share. */
    ck_assert(reservation_begin(&small.memory, MIB / 2));
    take(&holder, 20 * MIB);
    ck_assert(waiter.waits && later.waits);
    end(&holder);
    ck_assert(waiter.granted && later.granted);
    end(&waiter);
    end(&later);
    end(&small);
}
END_TEST

START_TEST(memory_budget_small_requests_that_wait_are_not_overtaken)
{
    enum { SMALL = 60 };
    static struct asker small[SMALL];
    struct asker large, waiter, later;
    begin(&large);
    ck_assert(reservation_begin(&large.memory, LARGE_MAX));
    take(&large, LARGE_MAX / 33 * 32 - MIB);
    int count = 0;
    for (; count < SMALL; count++) {
        begin(&small[count]);
        if (!reservation_begin(&small[count].memory, MEMORY_BUDGET_SMALL) ||
            !reservation_complete(&small[count].memory, MEMORY_BUDGET_SMALL))
            break;
    }
    ck_assert_int_ge(count, 8); /* the reserved share, then the rest */
    ck_assert_int_lt(count, SMALL);
    end(&small[count]);
    begin(&waiter);
    if (reservation_begin(&waiter.memory, MEMORY_BUDGET_SMALL))
        ck_assert(!reservation_complete(&waiter.memory, MEMORY_BUDGET_SMALL));
    ck_assert(wait_for_it(&waiter) && waiter.waits);
    begin(&later);
    ck_assert(!reservation_begin(&later.memory, 200 * KIB));
    ck_assert(wait_for_it(&later) && later.waits && waiter.waits);
    end(&large);
    ck_assert(waiter.granted && later.granted);
    end(&waiter);
    end(&later);
    for (int i = 0; i < count; i++)
        end(&small[i]);
}
END_TEST

/* Even though there is room for them, also in the share reserved for small requests. */
START_TEST(memory_budget_small_requests_that_wait_are_not_overtaken_by_smaller_ones)
{
    enum { SMALL = 8 };
    struct asker large, small[SMALL], waiter, later;
    begin(&large);
    ck_assert(reservation_begin(&large.memory, LARGE_MAX));
    take(&large, LARGE_MAX / 33 * 32);
    for (int i = 0; i < SMALL; i++) {
        const size_t claim = i < SMALL - 1 ? MEMORY_BUDGET_SMALL : MEMORY_BUDGET_SMALL / 2;
        begin(&small[i]);
        ck_assert(reservation_begin(&small[i].memory, claim));
        ck_assert(reservation_complete(&small[i].memory, claim));
    }
    begin(&waiter);
    ck_assert(!reservation_begin(&waiter.memory, MEMORY_BUDGET_SMALL) ||
              !reservation_complete(&waiter.memory, MEMORY_BUDGET_SMALL));
    ck_assert(wait_for_it(&waiter) && waiter.waits);
    begin(&later);
    ck_assert(!reservation_begin(&later.memory, 200 * KIB));
    ck_assert(wait_for_it(&later) && later.waits && waiter.waits);
    end(&small[0]);
    ck_assert(waiter.granted && later.granted);
    end(&waiter);
    end(&later);
    end(&large);
    for (int i = 1; i < SMALL; i++)
        end(&small[i]);
}
END_TEST

START_TEST(memory_budget_started_requests_leave_room_for_small_ones)
{
    enum { CLAIMING = 100, SMALL = 30 };
    static struct asker claiming[CLAIMING], small[SMALL];
    for (int i = 0; i < CLAIMING; i++) {
        begin(&claiming[i]);
        reservation_begin(&claiming[i].memory, LARGE_MAX);
    }
    for (int i = 0; i < SMALL; i++) {
        begin(&small[i]);
        ck_assert(reservation_begin(&small[i].memory, MEMORY_BUDGET_START));
    }
    for (int i = 0; i < CLAIMING; i++)
        end(&claiming[i]);
    for (int i = 0; i < SMALL; i++)
        end(&small[i]);
}
END_TEST

START_TEST(memory_budget_impossible_and_temporary_failures_differ)
{
    struct asker asker;
    begin(&asker);
    ck_assert(reservation_is_possible(&asker.memory, LARGE_MAX / 33 * 32));
    ck_assert(!asker.memory.never);
    ck_assert(!reservation_is_possible(&asker.memory, LARGE_MAX));
    ck_assert(asker.memory.never && !reservation_may_wait(&asker.memory));
    begin(&asker);
    ck_assert(reservation_begin(&asker.memory, MEMORY_BUDGET_START));
    ck_assert(!quota_reserve(&asker.memory.quota, SIZE_MAX));
    ck_assert(asker.memory.never);
    end(&asker);
}
END_TEST

START_TEST(memory_budget_all_but_admitted_requests_time_out)
{
    struct asker holder, admitted, waiter;
    teardown();
    setup_with(1);
    begin(&holder);
    begin(&admitted);
    begin(&waiter);
    ck_assert(reservation_begin(&holder.memory, 40 * MIB) &&
              reservation_begin(&admitted.memory, 40 * MIB));
    take(&holder, 30 * MIB);
    take(&admitted, 10 * MIB);
    ck_assert(!reservation_complete(&admitted.memory, 40 * MIB) && wait_for_it(&admitted));
    ck_assert(!reservation_begin(&waiter.memory, LARGE_MAX) && wait_for_it(&waiter));
    ck_assert_int_eq(admitted.memory.until, INT64_MAX);
    waiter.memory.until = 0; /* it times out */
    ck_assert_uint_gt(memory_budget_tick(budget), 0);
    ck_assert(!waiter.waits && !waiter.granted);
    ck_assert(admitted.waits);
    end(&holder);
    ck_assert(admitted.granted);
    end(&admitted);
    ck_assert_uint_eq(memory_budget_tick(budget), 0);
}
END_TEST

/* An admitted request waits until its own deadline. */
START_TEST(memory_budget_waiting_ends_when_its_deadline_moves)
{
    struct asker holder, admitted;
    begin(&holder);
    begin(&admitted);
    ck_assert(reservation_begin(&holder.memory, 40 * MIB) &&
              reservation_begin(&admitted.memory, 40 * MIB));
    take(&holder, 30 * MIB);
    take(&admitted, 10 * MIB);
    ck_assert(!reservation_complete(&admitted.memory, 40 * MIB));
    admitted.waits = true;
    const int64_t latest = clock_ms() + 60000;
    ck_assert(reservation_wait(&admitted.memory, latest, on_wake));
    memory_budget_tick(budget);
    ck_assert(admitted.waits);
    ck_assert_int_eq(admitted.memory.until, latest);
    admitted.memory.until = clock_ms();
    memory_budget_tick(budget);
    ck_assert(!admitted.waits && !admitted.granted);
    end(&admitted);
    end(&holder);
}
END_TEST

START_TEST(memory_budget_queue_drops_clients_that_have_left)
{
    struct asker holder, waiter, later;
    begin(&holder);
    begin(&waiter);
    begin(&later);
    ck_assert(reservation_begin(&holder.memory, LARGE_MAX));
    take(&holder, MIB);
    ck_assert(!reservation_begin(&waiter.memory, LARGE_MAX) && wait_for_it(&waiter));
    ck_assert(!reservation_begin(&later.memory, 2 * MIB) && wait_for_it(&later));
    waiter.cancelled = true;
    memory_budget_tick(budget);
    ck_assert(!waiter.waits && !waiter.granted && later.granted);
    end(&later);
    end(&holder);
}
END_TEST

START_TEST(memory_budget_queue_is_bounded_and_closed)
{
    static struct asker waiter[QUEUE + 1];
    struct asker holder;
    begin(&holder);
    ck_assert(reservation_begin(&holder.memory, LARGE_MAX));
    take(&holder, MIB);
    for (int i = 0; i <= QUEUE; i++) {
        begin(&waiter[i]);
        ck_assert(!reservation_begin(&waiter[i].memory, LARGE_MAX));
        ck_assert_int_eq(wait_for_it(&waiter[i]), i < QUEUE);
    }
    memory_budget_close(budget);
    for (int i = 0; i < QUEUE; i++)
        ck_assert(!waiter[i].waits && !waiter[i].granted);
    ck_assert(!wait_for_it(&waiter[QUEUE]));
    end(&holder);
}
END_TEST

/* ---- Random sequences ---- */

enum { SLOTS = 24, STEPS = 400000, DRAIN_EVERY = 2000 };

/* A request in a random sequence: takes `size` bytes as they arrive, computes, and responds. */
struct model {
    struct asker asker; /* first */
    bool active, chunked, whole;
    bool promised; /* while it waits: it must be granted */
    size_t size, came, wanted;
    unsigned long long since; /* when it began to wait */
};

static struct model model[SLOTS];
static unsigned long long model_time, random_state;

static size_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (size_t)(random_state >> 33) % n;
}

static bool is_large(const struct model *m)
{
    return m->asker.memory.wanted_claim > MEMORY_BUDGET_SMALL;
}

static void on_model_wake(struct reservation *memory, bool granted)
{
    struct model *const m = (struct model *)memory;
    ck_assert(granted || !m->promised || m->asker.cancelled);
    on_wake(memory, granted);
    for (int i = 0; i < SLOTS; i++)
        if (granted && !m->promised && model[i].active && model[i].asker.waits &&
            !model[i].promised && is_large(m) == is_large(&model[i]))
            ck_assert_msg(model[i].since > m->since, "a request was overtaken");
}

static void model_wait(struct model *m)
{
    struct reservation *const r = &m->asker.memory;
    ck_assert(reservation_may_wait(r));
    m->promised = r->place == RESERVATION_ADMITTED && r->wanted <= r->claim;
    m->since = ++model_time;
    m->asker.waits = true;
    m->asker.granted = false;
    if (reservation_wait(r, INT64_MAX, on_model_wake))
        return;
    ck_assert(!m->promised);
    m->asker.waits = false;
}

static size_t model_claim(size_t bytes)
{
    const size_t claim = 64 * KIB + 2 * bytes;
    return claim < LARGE_MAX ? claim : LARGE_MAX;
}

static void model_begin(struct model *m)
{
    begin(&m->asker);
    m->active = true;
    m->whole = false;
    m->since = 0;
    m->chunked = random_below(5) == 0;
    m->size = (size_t)1 << (10 + random_below(16));
    m->size += random_below(m->size);
    m->came = 0;
    if (!reservation_is_possible(&m->asker.memory, m->size))
        m->active = false;
    else if (!reservation_begin(&m->asker.memory, model_claim(m->chunked ? 0 : m->size)))
        model_wait(m);
}

/* Advances a request: the next bytes of the body arrive, it computes, or it responds. */
static void model_go_on(struct model *m)
{
    struct reservation *const r = &m->asker.memory;
    if (m->since > 0 && !m->asker.granted) { /* it was rejected */
        end(&m->asker);
        m->active = false;
        return;
    }
    m->since = 0;
    if (m->came < m->size) {
        const size_t rest = m->size - m->came, step = m->came / 4 + 64 * KIB;
        m->wanted = rest < step ? rest : step;
        if (!reservation_extend(r, m->wanted,
                                model_claim(m->chunked ? m->came + m->wanted : m->size))) {
            model_wait(m);
            return;
        }
        ck_assert(quota_reserve(&r->quota, m->wanted));
        m->came += m->wanted;
    } else if (!m->whole) {
        m->whole = true;
        if (!reservation_complete(r, model_claim(m->size)))
            model_wait(m);
    } else if (random_below(3) > 0) { /* the response, larger or smaller than expected */
        quota_reserve(&r->quota, random_below(2 * m->size + 1));
        quota_release(&r->quota, m->size);
        reservation_trim(r);
    } else {
        end(&m->asker);
        m->active = false;
    }
}

/* Returns true if all admitted requests can finish in some order, found by trying. */
static bool can_all_finish(void)
{
    bool finished[SLOTS] = {false};
    size_t all = 0, large = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct reservation *const r = &model[i].asker.memory;
        all += r->place != RESERVATION_OUTSIDE ? r->reserved : 0;
        large +=
            r->place == RESERVATION_ADMITTED && r->claim > MEMORY_BUDGET_SMALL ? r->reserved : 0;
    }
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < SLOTS; i++) {
            const struct reservation *const r = &model[i].asker.memory;
            const size_t needs = r->claim - r->reserved;
            const bool is_large_one = r->claim > MEMORY_BUDGET_SMALL;
            if (finished[i] || r->place != RESERVATION_ADMITTED || needs > BYTES - all ||
                (is_large_one && needs > LARGE_MAX - large))
                continue;
            finished[i] = more = true;
            all -= r->reserved;
            large -= is_large_one ? r->reserved : 0;
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (!finished[i] && model[i].asker.memory.place == RESERVATION_ADMITTED)
            return false;
    return true;
}

static void check_invariants(void)
{
    size_t reserved = 0, large = 0;
    for (int i = 0; i < SLOTS; i++) {
        const struct reservation *const r = &model[i].asker.memory;
        ck_assert(r->taken <= r->reserved && r->reserved <= r->claim &&
                  (model[i].active || r->reserved == 0));
        reserved += r->reserved;
        large +=
            r->place == RESERVATION_ADMITTED && r->claim > MEMORY_BUDGET_SMALL ? r->reserved : 0;
    }
    ck_assert_uint_le(reserved, BYTES);
    ck_assert_uint_le(large, LARGE_MAX);
    ck_assert(can_all_finish());
}

/* Adds no more requests, and rejects those that time out. All must finish. */
static void drain(void)
{
    for (;;) {
        int active = 0, moved = 0, refused = 0;
        for (int i = 0; i < SLOTS; i++) {
            active += model[i].active;
            if (!model[i].active || model[i].asker.waits)
                continue;
            model_go_on(&model[i]);
            moved++;
        }
        if (active == 0)
            return;
        if (moved > 0)
            continue;
        for (int i = 0; i < SLOTS; i++) {
            refused += model[i].active && !model[i].promised; /* they time out */
            if (!model[i].promised)
                model[i].asker.memory.until = 0;
        }
        ck_assert_msg(refused > 0, "deadlock: all requests wait");
        memory_budget_tick(budget);
    }
}

START_TEST(memory_budget_invariants_hold_in_random_sequences)
{
    random_state = 20260;
    for (int step = 0; step < STEPS; step++) {
        struct model *const m = &model[random_below(SLOTS)];
        const size_t what = random_below(100);
        if (!m->active)
            model_begin(m);
        else if (m->asker.waits && what < 2)
            m->asker.cancelled = true;
        else if (!m->asker.waits && what < 4) { /* its client has left */
            end(&m->asker);
            m->active = false;
        } else if (!m->asker.waits)
            model_go_on(m);
        if (what == 99)
            memory_budget_tick(budget);
        check_invariants();
        if (step % DRAIN_EVERY == DRAIN_EVERY - 1)
            drain();
    }
}
END_TEST

Suite *memory_budget_suite(void)
{
    Suite *suite = suite_create("memory_budget");
    TCase *tcase = suite_add_case(suite, "memory_budget", 120, setup, teardown);
    tcase_set_tags(tcase, TAG_SLOW);
    CASE_ADD(tcase, memory_budget_declared_lengths_reserve_little,
             memory_budget_admitted_requests_get_their_claim,
             memory_budget_admitted_requests_do_not_deadlock,
             memory_budget_requests_that_wait_are_not_overtaken,
             memory_budget_small_requests_that_wait_are_not_overtaken,
             memory_budget_small_requests_that_wait_are_not_overtaken_by_smaller_ones,
             memory_budget_started_requests_leave_room_for_small_ones,
             memory_budget_impossible_and_temporary_failures_differ,
             memory_budget_all_but_admitted_requests_time_out,
             memory_budget_waiting_ends_when_its_deadline_moves,
             memory_budget_queue_drops_clients_that_have_left,
             memory_budget_queue_is_bounded_and_closed,
             memory_budget_invariants_hold_in_random_sequences);
    return suite;
}
