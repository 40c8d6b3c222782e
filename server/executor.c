/*
 * The one thread that computes, its queue, and the proof that its team can be raised.
 */
#include "executor.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "loss.h"

struct executor {
    pthread_t thread;
    int threads;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* a job was queued, the team is warm, or the end has come */
    struct job *first, **last;
    atomic_size_t waiting; /* read without the mutex too */
    size_t most_waiting;
    /* Nanoseconds for which jobs have been run; while one is being run less the time at which it was begun, and so negative. */
    atomic_llong busy;
    bool running; /* a job is being run */
    bool warm;
    bool stopping;
};

/* ---- the proof ---------------------------------------------------------------------------------------------------- */

static void *meet(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* libgomp ends the whole process where it cannot create a thread, so try before it does: raise as many at once as the team will
   have. They all wait at a closed gate, so that they exist at the same time. Returns 0 or an error number. */
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

/* ---- the thread --------------------------------------------------------------------------------------------------- */

static struct job *next_job(struct executor *executor)
{
    pthread_mutex_lock(&executor->mutex);
    executor->running = false;
    while (!executor->first && !executor->stopping)
        pthread_cond_wait(&executor->changed, &executor->mutex);
    struct job *job = executor->first;
    if (job) {
        executor->first = job->next;
        if (!executor->first)
            executor->last = &executor->first;
        executor->waiting--;
        executor->running = true;
    }
    pthread_mutex_unlock(&executor->mutex);
    return job;
}

static void *execute(void *argument)
{
    struct executor *executor = argument;
    int team = loss_warm_up(executor->threads); /* so that no request pays for it */
    if (team < executor->threads)
        log_message(LOG_LEVEL_WARNING,
                    "computing with %d threads, not %d: OpenMP gives no more (OMP_THREAD_LIMIT, OMP_DYNAMIC?)", team,
                    executor->threads);
    pthread_mutex_lock(&executor->mutex);
    executor->warm = true;
    pthread_cond_broadcast(&executor->changed);
    pthread_mutex_unlock(&executor->mutex);
    for (struct job *job; (job = next_job(executor));) {
        atomic_fetch_sub(&executor->busy, clock_ns());
        job->run(job, executor->threads);
        atomic_fetch_add(&executor->busy, clock_ns());
    }
    return NULL;
}

/* ---- the interface ------------------------------------------------------------------------------------------------ */

struct executor *executor_start(int threads, size_t most_waiting, char *message, size_t size)
{
    int error = prove_threads(threads);
    if (error != 0) {
        snprintf(message, size, "cannot have %d computing threads: %s; lower --threads or raise the limit on processes",
                 threads, strerror(error));
        return NULL;
    }
    struct executor *executor = calloc(1, sizeof *executor);
    if (!executor) {
        snprintf(message, size, "no memory for the executor");
        return NULL;
    }
    executor->threads = threads;
    executor->most_waiting = most_waiting;
    executor->last = &executor->first;
    pthread_mutex_init(&executor->mutex, NULL); /* with default attributes these two cannot fail on Linux */
    pthread_cond_init(&executor->changed, NULL);
    error = pthread_create(&executor->thread, NULL, execute, executor);
    if (error != 0) {
        snprintf(message, size, "cannot start the executor: %s", strerror(error));
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
    job->next = NULL;
    pthread_mutex_lock(&executor->mutex);
    bool taken = executor->waiting < executor->most_waiting && !executor->stopping;
    if (taken) {
        *executor->last = job;
        executor->last = &job->next;
        executor->waiting++;
        pthread_cond_broadcast(&executor->changed);
    }
    pthread_mutex_unlock(&executor->mutex);
    return taken;
}

bool executor_busy(struct executor *executor)
{
    pthread_mutex_lock(&executor->mutex);
    bool busy = executor->first || executor->running;
    pthread_mutex_unlock(&executor->mutex);
    return busy;
}

static double read_waiting(void *context, size_t index)
{
    const struct executor *executor = context;
    (void)index;
    return (double)atomic_load(&executor->waiting);
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

static double read_queue_limit(void *context, size_t index)
{
    const struct executor *executor = context;
    (void)index;
    return (double)executor->most_waiting;
}

static const struct metric_source sources[] = {
    {"lossd_queue_jobs", METRIC_GAUGE, "Requests that wait for the executor.", NULL, read_waiting},
    {"lossd_queue_limit", METRIC_GAUGE, "Requests that may wait for the executor.", NULL, read_queue_limit},
    {"lossd_executor_busy", METRIC_GAUGE, "1 while the executor computes, else 0.", NULL, read_busy},
    {"lossd_executor_busy_seconds_total", METRIC_COUNTER, "Time for which the executor has computed.", NULL, read_busy_seconds},
    {"lossd_compute_threads", METRIC_GAUGE, "Threads that compute what the executor is given.", NULL, read_threads},
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
    pthread_join(executor->thread, NULL);
}

void executor_free(struct executor *executor)
{
    if (!executor)
        return;
    pthread_cond_destroy(&executor->changed);
    pthread_mutex_destroy(&executor->mutex);
    free(executor);
}
