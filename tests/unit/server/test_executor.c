/* Tests of how the executor runs jobs, and how they end. */
#include "compute/executor.h"
#include "suites.h"
#include "support/wait.h"

#include <check.h>
#include <semaphore.h>

#include "util/clock.h"

#define MS INT64_C(1000000)

static struct executor *executor;
static sem_t started, release, ended;

/* A job of a test and its outcome. */
struct trial {
    struct job job;
    int runs, runs_wanted;
    bool waits; /* while it runs, until `release`, or until it is cancelled */
    bool gone, cancelled;
    enum job_end end;
};

static bool run_trial(struct job *job, int threads)
{
    struct trial *const trial = (struct trial *)job;
    (void)threads;
    trial->runs++;
    if (trial->waits) {
        sem_post(&started);
        while (sem_trywait(&release) != 0 && !trial->cancelled) {
            wait_ms(1);
            trial->cancelled = __atomic_load_n(&job->cancel, __ATOMIC_RELAXED);
        }
    }
    return trial->runs >= trial->runs_wanted;
}

static void end_trial(struct job *job, enum job_end end)
{
    ((struct trial *)job)->end = end;
    sem_post(&ended);
}

static struct trial new_trial(void)
{
    return (struct trial){.job = {.run = run_trial, .done = end_trial, .deadline = INT64_MAX},
                          .runs_wanted = 1};
}

static void start_executor(void)
{
    char message[256];
    sem_init(&started, 0, 0);
    sem_init(&release, 0, 0);
    sem_init(&ended, 0, 0);
    executor = executor_start(1, 4, message, sizeof message);
    ck_assert_msg(executor != NULL, "%s", message);
}

static void stop_executor(void)
{
    executor_stop(executor);
    executor_free(executor);
}

static void submit(struct trial *trial)
{
    trial->job.gone = &trial->gone;
    ck_assert(executor_submit(executor, &trial->job));
}

/* Submits a job that runs until it is released or cancelled, and waits until it runs. */
static void submit_and_wait(struct trial *trial)
{
    trial->waits = true;
    submit(trial);
    sem_wait(&started);
}

START_TEST(executor_does_not_run_a_job_whose_client_has_left)
{
    struct trial first = new_trial(), second = new_trial();
    submit_and_wait(&first);
    second.gone = true;
    submit(&second);
    sem_wait(&ended); /* while the first still runs */
    ck_assert_int_eq(second.runs, 0);
    ck_assert_int_eq(second.end, JOB_GONE);
    sem_post(&release);
    sem_wait(&ended);
    ck_assert_int_eq(first.end, JOB_DONE);
}
END_TEST

START_TEST(executor_does_not_run_an_expired_job)
{
    struct trial first = new_trial(), second = new_trial();
    submit_and_wait(&first);
    second.job.deadline = clock_ns() + 20 * MS;
    submit(&second);
    sem_wait(&ended);
    ck_assert_int_eq(second.runs, 0);
    ck_assert_int_eq(second.end, JOB_TIMED_OUT);
    ck_assert_int_ge(clock_ns(), second.job.deadline);
    sem_post(&release);
    sem_wait(&ended);
}
END_TEST

/* The executor checks a job after taking it from the queue, without waiting for the supervisor. */
START_TEST(executor_checks_a_job_before_running_it)
{
    for (int i = 0; i < 200; i++) {
        struct trial trial = new_trial();
        trial.gone = true;
        submit(&trial);
        sem_wait(&ended);
        ck_assert_int_eq(trial.runs, 0);
        ck_assert_int_eq(trial.end, JOB_GONE);
    }
}
END_TEST

START_TEST(executor_cancels_a_running_job)
{
    struct trial gone = new_trial(), late = new_trial();
    submit_and_wait(&gone);
    __atomic_store_n(&gone.gone, true, __ATOMIC_RELAXED);
    sem_wait(&ended);
    ck_assert(gone.cancelled);
    ck_assert_int_eq(gone.end, JOB_GONE);
    late.job.deadline = clock_ns() + 10 * MS;
    submit_and_wait(&late);
    sem_wait(&ended);
    ck_assert(late.cancelled);
    ck_assert_int_eq(late.end, JOB_TIMED_OUT);
}
END_TEST

START_TEST(executor_requeues_an_unfinished_job)
{
    struct trial trial = new_trial();
    trial.runs_wanted = 3;
    submit(&trial);
    sem_wait(&ended);
    ck_assert_int_eq(trial.runs, 3);
    ck_assert_int_eq(trial.end, JOB_DONE);
}
END_TEST

START_TEST(executor_notifies_a_job_evicted_from_a_full_queue)
{
    struct trial first = new_trial(), many[4], more = new_trial(), other = new_trial();
    submit_and_wait(&first);
    for (int i = 0; i < 4; i++) {
        many[i] = new_trial();
        submit(&many[i]);
    }
    more.job.gone = &more.gone;
    ck_assert(!executor_submit(executor, &more.job));
    other.job.entry.client = 2;
    submit(&other);
    sem_wait(&ended);
    ck_assert_int_eq(many[3].end, JOB_EVICTED);
    ck_assert_int_eq(many[3].runs, 0);
    sem_post(&release);
    for (int i = 0; i < 5; i++)
        sem_wait(&ended);
    ck_assert_int_eq(other.runs, 1);
}
END_TEST

START_TEST(executor_sets_retry_after_to_the_usual_wait)
{
    enum { BUSY_MS = 3000 };
    struct trial first = new_trial(), waiting[4];
    ck_assert_int_eq(executor_retry_after(executor), 1);
    submit_and_wait(&first);
    for (int i = 0; i < 4; i++) {
        waiting[i] = new_trial();
        submit(&waiting[i]);
    }
    wait_ms(BUSY_MS);
    sem_post(&release);
    for (int i = 0; i < 5; i++)
        sem_wait(&ended);
    ck_assert_int_ge(executor_retry_after(executor), 2);
    ck_assert_int_le(executor_retry_after(executor), 60);
}
END_TEST

START_TEST(executor_finishes_waiting_jobs_when_stopped)
{
    struct trial trials[4];
    for (int i = 0; i < 4; i++) {
        trials[i] = new_trial();
        submit(&trials[i]);
    }
    executor_stop(executor);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(trials[i].runs, 1);
        ck_assert_int_eq(trials[i].end, JOB_DONE);
    }
    struct trial late = new_trial();
    ck_assert(!executor_submit(executor, &late.job));
    executor_free(executor);
}
END_TEST

Suite *executor_suite(void)
{
    Suite *suite = suite_create("executor");
    TCase *const jobs = suite_add_case(suite, "executor_jobs", 60, start_executor, stop_executor);
    CASE_ADD(jobs, executor_does_not_run_a_job_whose_client_has_left,
             executor_does_not_run_an_expired_job, executor_checks_a_job_before_running_it,
             executor_cancels_a_running_job, executor_requeues_an_unfinished_job,
             executor_notifies_a_job_evicted_from_a_full_queue);
    TCase *const slow = suite_add_case(suite, "executor_slow", 60, start_executor, stop_executor);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(slow, executor_sets_retry_after_to_the_usual_wait);
    TCase *const end = suite_add_case(suite, "executor_end", 60, start_executor, NULL);
    tcase_add_test(end, executor_finishes_waiting_jobs_when_stopped);
    return suite;
}
