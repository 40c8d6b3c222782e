/* Tests of the order in which the queue returns jobs. Uses neither threads nor a clock. */
#include "compute/fair_queue.h"
#include "suites.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)

enum { MAX_ENTRIES = 64 };

static struct fair_queue *schedule;
static struct fair_queue_entry entries[4 * MAX_ENTRIES];
static size_t used;
static int64_t now;

static void setup(void)
{
    schedule = fair_queue_new(MAX_ENTRIES);
    ck_assert_ptr_nonnull(schedule);
    used = 0;
    now = 1000 * MS;
}

static void teardown(void)
{
    fair_queue_free(schedule);
}

/* Adds an entry, which must be accepted. */
static struct fair_queue_entry *add(uint64_t client, int64_t cost_ms)
{
    struct fair_queue_entry *const entry = &entries[used++];
    *entry = (struct fair_queue_entry){.client = client, .cost_ns = cost_ms * MS};
    ck_assert_ptr_null(fair_queue_add(schedule, entry, now));
    return entry;
}

/* Takes the next entry and charges its expected cost. */
static struct fair_queue_entry *work(void)
{
    struct fair_queue_entry *const entry = fair_queue_take(schedule);
    if (entry) {
        now += entry->cost_ns;
        fair_queue_charge(schedule, entry->cost_ns);
    }
    return entry;
}

START_TEST(fair_queue_keeps_the_order_of_equal_jobs_of_a_client)
{
    struct fair_queue_entry *const expected[] = {add(1, 10), add(1, 10), add(1, 10)};
    ck_assert_uint_eq(fair_queue_entries(schedule), 3);
    ck_assert_uint_eq(fair_queue_clients(schedule), 1);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_eq(work(), expected[i]);
    ck_assert_ptr_null(work());
    ck_assert_uint_eq(fair_queue_clients(schedule), 0);
}
END_TEST

START_TEST(fair_queue_new_client_waits_for_at_most_one_job)
{
    for (int i = 0; i < 16; i++)
        add(1, 1200);
    ck_assert_uint_eq(work()->client, 1);
    ck_assert_ptr_nonnull(fair_queue_take(schedule)); /* it runs when the other client comes */
    struct fair_queue_entry *const other = add(2, 1200);
    fair_queue_charge(schedule, 1200 * MS);
    ck_assert_ptr_eq(work(), other);
}
END_TEST

/* Time is divided by actual, not expected, cost. */
START_TEST(fair_queue_shares_time_rather_than_jobs)
{
    enum { ROUNDS = 60 };
    int64_t time[3] = {0};
    for (int i = 0; i < 20; i++) {
        add(0, 1);
        add(1, 1);
        add(2, 1);
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct fair_queue_entry *const entry = fair_queue_take(schedule);
        const int64_t ns = entry->client == 0 ? 40 * MS : entry->client == 1 ? 10 * MS : 20 * MS;
        fair_queue_charge(schedule, ns);
        time[entry->client] += ns;
        if (fair_queue_clients(schedule) < 3)
            break;
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            ck_assert_msg(time[i] - time[j] <= 40 * MS, "client %d had %g ms, client %d %g", i,
                          (double)time[i] / 1e6, j, (double)time[j] / 1e6);
}
END_TEST

START_TEST(fair_queue_prefers_short_jobs_within_bounds)
{
    struct fair_queue_entry *const large = add(1, 100);
    now += 399 * MS;
    struct fair_queue_entry *const in_time = add(1, 0);
    now += 2 * MS;
    struct fair_queue_entry *const too_late = add(1, 0);
    ck_assert_ptr_eq(work(), in_time);
    ck_assert_ptr_eq(work(), large);
    ck_assert_ptr_eq(work(), too_late);
}
END_TEST

/* However large a job is, short ones of the same client overtake it for two seconds only. */
START_TEST(fair_queue_limits_how_long_a_job_is_overtaken)
{
    struct fair_queue_entry *const large = add(1, 3600000);
    now += 1999 * MS;
    struct fair_queue_entry *const in_time = add(1, 0);
    now += 2 * MS;
    add(1, 0);
    ck_assert_ptr_eq(work(), in_time);
    ck_assert_ptr_eq(work(), large);
}
END_TEST

/* A stream of clients that each come once with a short job does not keep a long one out. */
START_TEST(fair_queue_new_clients_do_not_starve_others)
{
    struct fair_queue_entry *const large = add(1, 1000);
    int overtaken = 0;
    for (uint64_t client = 2; client < 150; client++) {
        add(client, 20);
        if (work() == large)
            break;
        overtaken++;
    }
    ck_assert_int_le(overtaken, 51);
}
END_TEST

/* Returns the number of jobs that run before the first one of a client. */
static int jobs_before(uint64_t client)
{
    int before = 0;
    for (const struct fair_queue_entry *entry; (entry = work()) && entry->client != client;)
        before++;
    return before;
}

/* Clients that waited for a long job of another client may use as much time to catch up. New
   clients do not wait for that. */
START_TEST(fair_queue_new_clients_do_not_wait_while_others_catch_up)
{
    add(1, 60000);
    ck_assert_uint_eq(fair_queue_take(schedule)->client, 1);
    for (int i = 0; i < 16; i++)
        add(2, 1200);
    fair_queue_charge(schedule, 60000 * MS);
    ck_assert_uint_eq(work()->client, 2);
    add(3, 1200);
    ck_assert_int_le(jobs_before(3), 1);
}
END_TEST

/* A client that requests long jobs one at a time shares equally with one that queues many short
 * jobs. */
START_TEST(fair_queue_counts_usage_of_returning_clients)
{
    int64_t time[3] = {0};
    add(1, 10000);
    for (int i = 0; i < 60; i++)
        add(2, 1000);
    for (int i = 0; i < 60 && fair_queue_clients(schedule) > 0; i++) {
        const struct fair_queue_entry *const entry = work();
        time[entry->client] += entry->cost_ns;
        if (entry->client == 1)
            add(1, 10000);
        ck_assert_int_le(time[1] - time[2], 10000 * MS);
        ck_assert_int_le(time[2] - time[1], 10000 * MS);
    }
}
END_TEST

/* What a client has used counts relative to clients that waited meanwhile, not to new ones. */
START_TEST(fair_queue_new_clients_get_no_credit)
{
    add(1, 60000);
    ck_assert_uint_eq(fair_queue_take(schedule)->client, 1);
    add(1, 1000);
    add(1, 1000);
    add(2, 1000);
    fair_queue_charge(schedule, 60000 * MS);
    ck_assert_uint_eq(work()->client, 2);
    ck_assert_uint_eq(fair_queue_take(schedule)->client, 1);
    for (int i = 0; i < 10; i++)
        add(3, 1000);
    fair_queue_charge(schedule, 1000 * MS);
    ck_assert_int_le(jobs_before(1), 2);
}
END_TEST

/* Usage is reset if no job was waiting in between. */
START_TEST(fair_queue_resets_usage_when_no_job_waits)
{
    add(1, 60000);
    ck_assert_uint_eq(fair_queue_take(schedule)->client, 1);
    add(2, 1000);
    fair_queue_charge(schedule, 60000 * MS);
    ck_assert_uint_eq(work()->client, 2);
    for (int i = 0; i < 10; i++)
        add(3, 1000);
    ck_assert_uint_eq(work()->client, 3);
    add(1, 1000);
    ck_assert_int_le(jobs_before(1), 1);
}
END_TEST

/* An idle client accumulates no credit, and a served client owes nothing. */
START_TEST(fair_queue_forgets_idle_clients)
{
    for (int i = 0; i < 10; i++) {
        add(1, 100);
        work();
    }
    add(1, 10);
    add(2, 10);
    ck_assert_uint_eq(work()->client, 1);
    ck_assert_uint_eq(work()->client, 2);
}
END_TEST

START_TEST(fair_queue_full_queue_rejects_the_client_with_most_jobs)
{
    for (int i = 0; i < MAX_ENTRIES; i++)
        add(1, i == 3 ? 500 : 1);
    struct fair_queue_entry more = {.client = 1}, other = {.client = 2, .cost_ns = 1000 * MS};
    ck_assert_ptr_eq(fair_queue_add(schedule, &more, now), &more);
    ck_assert_ptr_eq(fair_queue_add(schedule, &other, now),
                     &entries[3]); /* the one that would have been last */
    ck_assert_uint_eq(fair_queue_entries(schedule), MAX_ENTRIES);
    ck_assert_uint_eq(fair_queue_clients(schedule), 2);
}
END_TEST

/* Clients with fewer jobs may have come before or after the others. */
START_TEST(fair_queue_full_queue_accepts_clients_with_fewer_jobs)
{
    for (int i = 0; i < 2; i++)
        add(1, 1);
    for (int i = 2; i < MAX_ENTRIES - 3; i++)
        add(2, 1);
    struct fair_queue_entry *const last = &entries[MAX_ENTRIES - 4];
    for (int i = 0; i < 3; i++)
        add(3, 1);
    struct fair_queue_entry other = {.client = 4, .cost_ns = 1000 * MS};
    ck_assert_ptr_eq(fair_queue_add(schedule, &other, now), last);
    ck_assert_uint_eq(fair_queue_clients(schedule), 4);
}
END_TEST

START_TEST(fair_queue_full_queue_rejects_new_clients_if_all_have_one_job)
{
    for (uint64_t i = 0; i < MAX_ENTRIES; i++)
        add(i, 1);
    struct fair_queue_entry more = {.client = 1000};
    ck_assert_ptr_eq(fair_queue_add(schedule, &more, now), &more);
}
END_TEST

START_TEST(fair_queue_full_queue_accepts_the_running_job_again)
{
    struct fair_queue_entry *const first = add(1, 1);
    ck_assert_ptr_eq(fair_queue_take(schedule), first);
    for (uint64_t i = 0; i < MAX_ENTRIES; i++)
        add(2 + i, 1);
    first->cost_ns = 400 * MS;
    fair_queue_readd(schedule, first);
    fair_queue_charge(schedule, MS);
    ck_assert_uint_eq(fair_queue_entries(schedule), MAX_ENTRIES + 1);
    for (int i = 0; i < MAX_ENTRIES; i++)
        ck_assert_ptr_ne(work(), first);
    ck_assert_ptr_eq(work(), first);
}
END_TEST

static void remove_of_client_2(struct fair_queue_entry *entry, void *context)
{
    int *const visited = context;
    (*visited)++;
    if (entry->client == 2)
        fair_queue_remove(schedule, entry);
}

START_TEST(fair_queue_entries_can_be_removed_while_they_are_visited)
{
    int visited = 0;
    for (int i = 0; i < 5; i++) {
        now += MS;
        add(1, 1);
        add(2, 1);
        add(3, 1);
    }
    ck_assert_int_eq(fair_queue_oldest(schedule), 1001 * MS);
    fair_queue_each(schedule, remove_of_client_2, &visited);
    ck_assert_int_eq(visited, 15);
    ck_assert_uint_eq(fair_queue_entries(schedule), 10);
    ck_assert_uint_eq(fair_queue_clients(schedule), 2);
    for (struct fair_queue_entry *entry; (entry = work());)
        ck_assert_uint_ne(entry->client, 2);
    ck_assert_int_eq(fair_queue_oldest(schedule), INT64_MAX);
}
END_TEST

/* Takes the next entry, and charges up to four times its expected cost. */
static struct fair_queue_entry *work_longer(unsigned *seed)
{
    struct fair_queue_entry *const entry = fair_queue_take(schedule);
    if (entry)
        fair_queue_charge(schedule, entry->cost_ns * (rand_r(seed) % 5));
    return entry;
}

/* In random sequences, no entry is lost or returned twice: with few clients, and with more than the
   queue remembers. */
START_TEST(fair_queue_returns_every_entry_once)
{
    const uint64_t clients = _i == 0 ? 9 : 100 * MAX_ENTRIES;
    static bool waits[4 * MAX_ENTRIES];
    unsigned seed = 1;
    size_t waiting = 0;
    memset(waits, 0, sizeof waits);
    for (int step = 0; step < 200000; step++) {
        const size_t i = (size_t)rand_r(&seed) % (sizeof entries / sizeof entries[0]);
        const int what = rand_r(&seed) % 8;
        now += rand_r(&seed) % 1000000;
        if (what < 4 && !waits[i]) {
            entries[i] = (struct fair_queue_entry){.client = (uint64_t)rand_r(&seed) % clients,
                                                   .cost_ns = rand_r(&seed) % 1000000000};
            struct fair_queue_entry *const refused = fair_queue_add(schedule, &entries[i], now);
            waits[i] = true;
            waiting++;
            if (refused) {
                ck_assert(waits[refused - entries]);
                waits[refused - entries] = false;
                waiting--;
            }
        } else if (what < 6 && waits[i]) {
            fair_queue_remove(schedule, &entries[i]);
            waits[i] = false;
            waiting--;
        } else if (what == 6) {
            struct fair_queue_entry *const entry = work_longer(&seed);
            ck_assert(!entry == (waiting == 0));
            if (entry) {
                ck_assert(waits[entry - entries]);
                waits[entry - entries] = false;
                waiting--;
            }
        }
        ck_assert_uint_eq(fair_queue_entries(schedule), waiting);
    }
}
END_TEST

Suite *fair_queue_suite(void)
{
    Suite *suite = suite_create("fair_queue");
    TCase *const order = suite_add_case(suite, "fair_queue_order", 60, setup, teardown);
    CASE_ADD(order, fair_queue_keeps_the_order_of_equal_jobs_of_a_client,
             fair_queue_new_client_waits_for_at_most_one_job,
             fair_queue_shares_time_rather_than_jobs, fair_queue_prefers_short_jobs_within_bounds,
             fair_queue_limits_how_long_a_job_is_overtaken,
             fair_queue_new_clients_do_not_starve_others,
             fair_queue_new_clients_do_not_wait_while_others_catch_up,
             fair_queue_counts_usage_of_returning_clients, fair_queue_new_clients_get_no_credit,
             fair_queue_resets_usage_when_no_job_waits, fair_queue_forgets_idle_clients,
             fair_queue_full_queue_rejects_the_client_with_most_jobs,
             fair_queue_full_queue_accepts_clients_with_fewer_jobs,
             fair_queue_full_queue_rejects_new_clients_if_all_have_one_job,
             fair_queue_full_queue_accepts_the_running_job_again,
             fair_queue_entries_can_be_removed_while_they_are_visited);
    tcase_add_loop_test(order, fair_queue_returns_every_entry_once, 0, 2);
    return suite;
}
