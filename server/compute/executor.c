/*
 * The one thread that computes, its queue, and the proof that its team can be raised.
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
    EXECUTOR_PERIOD_MS = 50, /* so often it is looked whether somebody has left */
    EXECUTOR_WAIT_SHARE = 8, /* the part that each job has in the average wait */
    EXECUTOR_RETRY_MOST = 60,
};

struct executor {
    pthread_t thread, supervisor;
    bool has_thread, has_supervisor;
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a job was queued, the team is warm, or the end has come */
    pthread_cond_t look; /* for the supervisor: it may have to look earlier, or for the last time */
    struct fair_queue *schedule;
    struct job *running;   /* NULL: none */
    int64_t next_deadline; /* the supervisor looks no later than then */
    int64_t wait_ns;       /* that jobs have waited, on average of the last ones */
    size_t most_waiting;
    /* Nanoseconds for which jobs have been run; while one is being run less the time at which it
     * was begun, and so negative. */
    atomic_llong busy;
    bool warm;
    bool stopping;
    bool stopped; /* and the executor's thread has ended */
};

/* ---- the proof ---- */

static void *meet(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* libgomp ends the whole process where it cannot create a thread, so try before it does: raise as
   many at once as the team will have. They all wait at a closed gate, so that they exist at the
   same time. Returns 0 or an error number. */
static int prove_threads(int threads)
{
    pthread_t *thread = malloc((size_t)threads * sizeof *thread);
    if (!thread)
        return ENOMEM;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&gate);
    int raised = 0, error = 0;
    while (raised < threads && error == 0) {
        error = pthread_create(&thread[raised], NULL, meet, &gate);
        raised += error == 0;
    }
    pthread_mutex_unlock(&gate);
    while (raised > 0)
        pthread_join(thread[--raised], NULL);
    pthread_mutex_destroy(&gate);
    free(thread);
    return error;
}

/* ---- ending jobs early ---- */

static struct job *job_of(struct fair_queue_entry *entry)
{
    return (struct job *)entry;
}

/* Whether a job is to be given up, and why; else JOB_DONE. */
static enum job_end end_of(const struct job *job, int64_t now)
{
    if (job->gone && __atomic_load_n(job->gone, __ATOMIC_RELAXED))
        return JOB_GONE;
    return now >= job->deadline ? JOB_LATE : JOB_DONE;
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

/* Takes the jobs off the queue that need not be run any more, and cancels the one that is being run
   if it need not be finished. Returns those that are to be told. */
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

/* Waits for the next time to look: soon while there are jobs. */
static void wait_to_look(struct executor *executor)
{
    if (!executor->running && fair_queue_entries(executor->schedule) == 0) {
        pthread_cond_wait(&executor->look, &executor->mutex);
        return;
    }
    const int64_t soon = clock_ns() + EXECUTOR_PERIOD_MS * INT64_C(1000000);
    const int64_t until = executor->next_deadline < soon ? executor->next_deadline : soon;
    const struct timespec time = {until / 1000000000, until % 1000000000};
    pthread_cond_timedwait(&executor->look, &executor->mutex, &time);
}

static void *supervise(void *argument)
{
    struct executor *const executor = argument;
    pthread_mutex_lock(&executor->mutex);
    while (!executor->stopped) {
        wait_to_look(executor);
        struct job *const ended = sweep_all(executor);
        pthread_mutex_unlock(&executor->mutex);
        finish_all(ended);
        pthread_mutex_lock(&executor->mutex);
    }
    pthread_mutex_unlock(&executor->mutex);
    return NULL;
}

/* ---- the thread ---- */

/* The next job, and whether it is still to be run; NULL at the end. */
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

/* Runs a job, or drops it if it is not wanted any more. Returns false if it is to be run once more.
 */
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
    int team = loss_warm_up(executor->threads); /* so that no request pays for it */
    if (team < executor->threads)
        log_message(LOG_LEVEL_WARNING,
                    "computing with %d threads, not %d: OpenMP gives no more (OMP_THREAD_LIMIT, "
                    "OMP_DYNAMIC?)",
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

/* ---- the interface ---- */

static void start_synchronization(struct executor *executor)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* with these attributes none of these can fail on Linux */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&executor->mutex, NULL);
    pthread_cond_init(&executor->changed, NULL);
    pthread_cond_init(&executor->look, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct executor *executor_start(int threads, size_t most_waiting, char *message, size_t size)
{
    int error = prove_threads(threads);
    if (error != 0) {
        snprintf(
            message, size,
            "cannot have %d computing threads: %s; lower --threads or raise the limit on processes",
            threads, strerror(error));
        return NULL;
    }
    struct executor *executor = calloc(1, sizeof *executor);
    struct fair_queue *schedule = executor ? fair_queue_new(most_waiting) : NULL;
    if (!schedule) {
        snprintf(message, size, "no memory for the executor");
        free(executor);
        return NULL;
    }
    executor->schedule = schedule;
    executor->threads = threads;
    executor->most_waiting = most_waiting;
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
            pthread_cond_signal(&executor->look);
    }
    pthread_mutex_unlock(&executor->mutex);
    if (refused && refused != &job->entry)
        job_of(refused)->done(job_of(refused), JOB_PUSHED);
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
    return seconds < EXECUTOR_RETRY_MOST ? (int)seconds + 1 : EXECUTOR_RETRY_MOST;
}

static double read_queue(void *context, size_t index)
{
    struct executor *const executor = context;
    pthread_mutex_lock(&executor->mutex);
    const int64_t oldest = fair_queue_oldest(executor->schedule);
    const double values[] = {(double)fair_queue_entries(executor->schedule),
                             (double)executor->most_waiting,
                             (double)fair_queue_clients(executor->schedule),
                             oldest == INT64_MAX ? 0 : (double)(clock_ns() - oldest) / 1e9};
    pthread_mutex_unlock(&executor->mutex);
    return values[index];
}

static double read_busy(void *context, size_t index)
{
    const struct executor *executor = context;
    (void)index;
    return atomic_load(&executor->busy) < 0;
}

static double read_busy_seconds(void *context, size_t index)
{
    const struct executor *executor = context;
    (void)index;
    const int64_t busy = atomic_load(&executor->busy);
    return (double)(busy < 0 ? busy + clock_ns() : busy) / 1e9;
}

static double read_threads(void *context, size_t index)
{
    const struct executor *executor = context;
    (void)index;
    return executor->threads;
}

static const struct metric_source sources[] = {
    {"lossd_queue_jobs", METRIC_GAUGE, "Requests that wait for the executor.", NULL, read_queue},
    {"lossd_queue_limit", METRIC_GAUGE, "Requests that may wait for the executor.", NULL,
     read_queue},
    {"lossd_queue_clients", METRIC_GAUGE, "Clients whose requests wait for the executor.", NULL,
     read_queue},
    {"lossd_queue_oldest_seconds", METRIC_GAUGE, "For how long the oldest of them has waited.",
     NULL, read_queue},
    {"lossd_executor_busy", METRIC_GAUGE, "1 while the executor computes, else 0.", NULL,
     read_busy},
    {"lossd_executor_busy_seconds_total", METRIC_COUNTER,
     "Time for which the executor has computed.", NULL, read_busy_seconds},
    {"lossd_compute_threads", METRIC_GAUGE, "Threads that compute what the executor is given.",
     NULL, read_threads},
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
    pthread_cond_broadcast(&executor->look);
    pthread_mutex_unlock(&executor->mutex);
    if (executor->has_supervisor)
        pthread_join(executor->supervisor, NULL);
}

void executor_free(struct executor *executor)
{
    if (!executor)
        return;
    pthread_cond_destroy(&executor->look);
    pthread_cond_destroy(&executor->changed);
    pthread_mutex_destroy(&executor->mutex);
    fair_queue_free(executor->schedule);
    free(executor);
}
