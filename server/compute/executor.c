/*
 * The executor: its thread, its supervisor, and a check that its threads can be created.
 */
#include "compute/executor.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loss.h"
#include "observe/log.h"
#include "util/clock.h"

enum {
    EXECUTOR_PERIOD_MS = 50, /* interval at which the supervisor checks for disconnected clients */
    EXECUTOR_WAIT_SHARE = 8, /* weight of one job in the average wait: 1/8 */
    EXECUTOR_RETRY_MAX = 60,
};

struct executor {
    pthread_t thread, supervisor;
    bool has_thread, has_supervisor;
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed;    /* a job was queued, the team is warm, or `stopping` is set */
    pthread_cond_t next_check; /* wakes the supervisor: a first job, an earlier deadline, or
                                  `stopped` is set */
    struct fair_queue *schedule;
    struct job *running;   /* NULL: none */
    int64_t next_deadline; /* latest time of the next check by the supervisor */
    int64_t wait_ns;       /* recent average wait of jobs */
    size_t max_waiting;
    /* Nanoseconds that jobs have run. While a job runs, its start time is subtracted, so the value
       is negative. */
    atomic_llong busy;
    bool warm;
    bool stopping;
    bool stopped; /* the executor thread has ended */
};

/* ---- Check of the threads ---- */

static void *wait_at_gate(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* libgomp exits the process if it cannot create a thread. So this function first creates as many
   threads as the team will have. They wait for a mutex, so that all exist at the same time. Returns
   0 or an errno value. */
static int check_threads(int threads)
{
    pthread_t *thread = malloc((size_t)threads * sizeof *thread);
    if (!thread)
        return ENOMEM;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    int created = 0, error = 0;
    while (created < threads && error == 0) {
        error = pthread_create(&thread[created], NULL, wait_at_gate, &gate);
        created += error == 0;
    }
    pthread_mutex_unlock(&gate);
    while (created > 0)
        pthread_join(thread[--created], NULL);
    pthread_mutex_destroy(&gate);
    free(thread);
    return error;
}

/* ---- Ending jobs early ---- */

static struct job *job_of(struct fair_queue_entry *entry)
{
    return (struct job *)entry;
}

/* Returns why a job must be cancelled, or JOB_DONE if it must not. */
static enum job_end end_of(const struct job *job, int64_t now)
{
    if (job->gone && __atomic_load_n(job->gone, __ATOMIC_RELAXED))
        return JOB_GONE;
    return now >= job->deadline ? JOB_TIMED_OUT : JOB_DONE;
}

static void note_wait(struct executor *executor, const struct job *job, int64_t now)
{
    executor->wait_ns += (now - job->entry.queued - executor->wait_ns) / EXECUTOR_WAIT_SHARE;
}

struct sweep {
    struct executor *executor;
    int64_t now;
    struct job *ended;
};

static void sweep_entry(struct fair_queue_entry *entry, void *context)
{
    struct sweep *const sweep = context;
    struct job *const job = job_of(entry);
    job->end = end_of(job, sweep->now);
    if (job->end == JOB_DONE) {
        if (job->deadline < sweep->executor->next_deadline)
            sweep->executor->next_deadline = job->deadline;
        return;
    }
    fair_queue_remove(sweep->executor->schedule, entry);
    note_wait(sweep->executor, job, sweep->now);
    job->next = sweep->ended;
    sweep->ended = job;
}

static void finish_all(struct job *first)
{
    while (first) {
        struct job *const job = first;
        first = job->next;
        job->done(job, job->end);
    }
}

/* Removes from the queue the jobs whose result is no longer needed, and cancels the running job in
   the same case. Returns the removed jobs; the caller must call their `done`. */
static struct job *sweep_all(struct executor *executor)
{
    struct sweep sweep = {.executor = executor, .now = clock_ns()};
    struct job *const running = executor->running;
    executor->next_deadline = INT64_MAX;
    fair_queue_each(executor->schedule, sweep_entry, &sweep);
    if (running && running->end == JOB_DONE) {
        running->end = end_of(running, sweep.now);
        if (running->end != JOB_DONE)
            __atomic_store_n(&running->cancel, true, __ATOMIC_RELAXED);
        else if (running->deadline < executor->next_deadline)
            executor->next_deadline = running->deadline;
    }
    return sweep.ended;
}

/* Waits until the next check. If there are no jobs, waits until one is submitted. */
static void wait_for_check(struct executor *executor)
{
    if (!executor->running && fair_queue_entries(executor->schedule) == 0) {
        pthread_cond_wait(&executor->next_check, &executor->mutex);
        return;
    }
    const int64_t next_period = clock_ns() + EXECUTOR_PERIOD_MS * INT64_C(1000000);
    const int64_t until =
        executor->next_deadline < next_period ? executor->next_deadline : next_period;
    const struct timespec time = {until / 1000000000, until % 1000000000};
    pthread_cond_timedwait(&executor->next_check, &executor->mutex, &time);
}

static void *supervise(void *argument)
{
    struct executor *const executor = argument;
    pthread_mutex_lock(&executor->mutex);
    while (!executor->stopped) {
        wait_for_check(executor);
        struct job *const ended = sweep_all(executor);
        pthread_mutex_unlock(&executor->mutex);
        finish_all(ended);
        pthread_mutex_lock(&executor->mutex);
    }
    pthread_mutex_unlock(&executor->mutex);
    return NULL;
}

/* ---- The executor thread ---- */

/* Waits for the next job and returns it, or NULL if the executor is stopping and no job is queued.
   Sets *wanted to false if the job must not run any more, otherwise to true. */
static struct job *next_job(struct executor *executor, bool *wanted)
{
    struct fair_queue_entry *entry;
    pthread_mutex_lock(&executor->mutex);
    while (!(entry = fair_queue_take(executor->schedule)) && !executor->stopping)
        pthread_cond_wait(&executor->changed, &executor->mutex);
    struct job *const job = entry ? job_of(entry) : NULL;
    if (job) {
        const int64_t now = clock_ns();
        note_wait(executor, job, now);
        job->end = end_of(job, now);
        *wanted = job->end == JOB_DONE;
        executor->running = job;
    }
    pthread_mutex_unlock(&executor->mutex);
    return job;
}

/* Runs a job if `wanted`. Returns false if the job was queued again. */
static bool run_job(struct executor *executor, struct job *job, bool wanted)
{
    const int64_t started = clock_ns();
    bool finished = true;
    if (wanted) {
        atomic_fetch_sub(&executor->busy, started);
        finished = job->run(job, executor->threads);
        atomic_fetch_add(&executor->busy, clock_ns());
    }
    pthread_mutex_lock(&executor->mutex);
    executor->running = NULL;
    finished = finished || job->end != JOB_DONE;
    if (!finished)
        fair_queue_readd(executor->schedule, &job->entry);
    fair_queue_charge(executor->schedule, clock_ns() - started);
    pthread_mutex_unlock(&executor->mutex);
    return finished;
}

static void *execute(void *argument)
{
    struct executor *executor = argument;
    int team = loss_warm_up(executor->threads); /* now, instead of during the first request */
    if (team < executor->threads)
        log_message(LOG_LEVEL_WARNING,
                    "computing with %d threads instead of %d: OpenMP allows no more; check "
                    "OMP_THREAD_LIMIT and OMP_DYNAMIC",
                    team, executor->threads);
    pthread_mutex_lock(&executor->mutex);
    executor->warm = true;
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->mutex);
    bool wanted = false;
    for (struct job *job; (job = next_job(executor, &wanted));)
        if (run_job(executor, job, wanted))
            job->done(job, job->end);
    return NULL;
}

/* ---- The interface ---- */

static void start_synchronization(struct executor *executor)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* on Linux, none of these calls can fail */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&executor->mutex, NULL);
    pthread_cond_init(&executor->changed, NULL);
    pthread_cond_init(&executor->next_check, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct executor *executor_start(int threads, size_t max_waiting, char *message, size_t size)
{
    int error = check_threads(threads);
    if (error != 0) {
        snprintf(
            message, size,
            "cannot create %d compute threads: %s; lower --threads or raise the limit on processes",
            threads, strerror(error));
        return NULL;
    }
    struct executor *executor = calloc(1, sizeof *executor);
    struct fair_queue *schedule = executor ? fair_queue_new(max_waiting) : NULL;
    if (!schedule) {
        snprintf(message, size, "insufficient memory for the executor");
        free(executor);
        return NULL;
    }
    executor->schedule = schedule;
    executor->threads = threads;
    executor->max_waiting = max_waiting;
    executor->next_deadline = INT64_MAX;
    start_synchronization(executor);
    error = pthread_create(&executor->thread, NULL, execute, executor);
    executor->has_thread = error == 0;
    if (error == 0)
        error = pthread_create(&executor->supervisor, NULL, supervise, executor);
    executor->has_supervisor = error == 0;
    if (error != 0) {
        snprintf(message, size, "cannot start the executor: %s", strerror(error));
        executor_stop(executor);
        executor_free(executor);
        return NULL;
    }
    pthread_mutex_lock(&executor->mutex);
    while (!executor->warm)
        pthread_cond_wait(&executor->changed, &executor->mutex);
    pthread_mutex_unlock(&executor->mutex);
    return executor;
}

bool executor_submit(struct executor *executor, struct job *job)
{
    struct fair_queue_entry *refused = &job->entry;
    job->end = JOB_DONE;
    pthread_mutex_lock(&executor->mutex);
    if (!executor->stopping) {
        refused = fair_queue_add(executor->schedule, &job->entry, clock_ns());
        pthread_cond_signal(&executor->changed);
        if (job->deadline < executor->next_deadline ||
            (!executor->running && fair_queue_entries(executor->schedule) == 1))
            pthread_cond_signal(&executor->next_check);
    }
    pthread_mutex_unlock(&executor->mutex);
    if (refused && refused != &job->entry)
        job_of(refused)->done(job_of(refused), JOB_EVICTED);
    return refused != &job->entry;
}

int executor_threads(const struct executor *executor)
{
    return executor->threads;
}

bool executor_is_idle(struct executor *executor)
{
    pthread_mutex_lock(&executor->mutex);
    const bool idle = !executor->running && fair_queue_entries(executor->schedule) == 0;
    pthread_mutex_unlock(&executor->mutex);
    return idle;
}

int executor_retry_after(struct executor *executor)
{
    pthread_mutex_lock(&executor->mutex);
    const int64_t seconds = executor->wait_ns / 1000000000;
    pthread_mutex_unlock(&executor->mutex);
    return seconds < EXECUTOR_RETRY_MAX ? (int)seconds + 1 : EXECUTOR_RETRY_MAX;
}

/* ---- Metrics ---- */

enum { JOBS, LIMIT, CLIENTS, OLDEST, BUSY, BUSY_SECONDS, THREADS, SOURCES };

static double read_value(void *context, size_t index)
{
    struct executor *const executor = context;
    const int64_t busy = atomic_load(&executor->busy), now = clock_ns();
    pthread_mutex_lock(&executor->mutex);
    const int64_t oldest = fair_queue_oldest(executor->schedule);
    const double values[SOURCES] = {
        [JOBS] = (double)fair_queue_entries(executor->schedule),
        [LIMIT] = (double)executor->max_waiting,
        [CLIENTS] = (double)fair_queue_clients(executor->schedule),
        [OLDEST] = oldest == INT64_MAX ? 0 : (double)(clock_ns() - oldest) / 1e9,
        [BUSY] = busy < 0,
        [BUSY_SECONDS] = (double)(busy < 0 ? busy + now : busy) / 1e9,
        [THREADS] = executor->threads,
    };
    pthread_mutex_unlock(&executor->mutex);
    return values[index];
}

static const struct metric_source sources[SOURCES] = {
    [JOBS] = {"lossd_queue_jobs", METRIC_GAUGE, "Requests waiting for the executor.", NULL,
              read_value},
    [LIMIT] = {"lossd_queue_limit", METRIC_GAUGE,
               "Maximum number of requests waiting for the executor (--max-queue).", NULL,
               read_value},
    [CLIENTS] = {"lossd_queue_clients", METRIC_GAUGE,
                 "Clients with requests waiting for the executor.", NULL, read_value},
    [OLDEST] = {"lossd_queue_oldest_seconds", METRIC_GAUGE,
                "Time that the oldest request in the queue has waited.", NULL, read_value},
    [BUSY] = {"lossd_executor_busy", METRIC_GAUGE, "1 while the executor computes, else 0.", NULL,
              read_value},
    [BUSY_SECONDS] = {"lossd_executor_busy_seconds_total", METRIC_COUNTER,
                      "Time that the executor has spent computing.", NULL, read_value},
    [THREADS] = {"lossd_compute_threads", METRIC_GAUGE, "Compute threads.", NULL, read_value},
};

bool executor_add_metrics(struct executor *executor, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, executor);
}

void executor_stop(struct executor *executor)
{
    if (!executor)
        return;
    pthread_mutex_lock(&executor->mutex);
    executor->stopping = true;
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->mutex);
    if (executor->has_thread)
        pthread_join(executor->thread, NULL);
    pthread_mutex_lock(&executor->mutex);
    executor->stopped = true;
    pthread_cond_broadcast(&executor->next_check);
    pthread_mutex_unlock(&executor->mutex);
    if (executor->has_supervisor)
        pthread_join(executor->supervisor, NULL);
}

void executor_free(struct executor *executor)
{
    if (!executor)
        return;
    pthread_cond_destroy(&executor->next_check);
    pthread_cond_destroy(&executor->changed);
    pthread_mutex_destroy(&executor->mutex);
    fair_queue_free(executor->schedule);
    free(executor);
}
