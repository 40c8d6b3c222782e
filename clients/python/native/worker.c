#include "worker.h"
#include "thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct worker {
    pthread_cond_t wake;
    struct worker_job *job; /* NULL while it is idle */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below, and of all jobs */
static pthread_cond_t job_finished;
static struct worker *idle; /* the thread that is kept; NULL if there is none */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* The child of a fork has none of the threads. Whatever the others were doing is forgotten. */
static void reset_in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    init_condition(&job_finished);
    idle = NULL;
}

static void init(void)
{
    init_condition(&job_finished);
    pthread_atfork(NULL, NULL, reset_in_child);
}

static void *work(void *context)
{
    struct worker *const worker = context;
    pthread_mutex_lock(&lock);
    while (worker->job) {
        struct worker_job *const job = worker->job;
        pthread_mutex_unlock(&lock);
        job->run(job->context);
        pthread_mutex_lock(&lock);
        job->finished = true;
        pthread_cond_broadcast(&job_finished);
        worker->job = NULL;
        if (idle)
            break;
        idle = worker;
        while (!worker->job)
            pthread_cond_wait(&worker->wake, &lock);
    }
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&worker->wake);
    free(worker);
    return NULL;
}

static bool create(struct worker_job *job)
{
    struct worker *const worker = malloc(sizeof *worker);
    if (!worker)
        return false;
    worker->job = job;
    init_condition(&worker->wake);
    if (thread_start(work, worker))
        return true;
    pthread_cond_destroy(&worker->wake);
    free(worker);
    return false;
}

bool worker_start(struct worker_job *job)
{
    pthread_once(&once, init);
    job->finished = false;
    pthread_mutex_lock(&lock);
    struct worker *const worker = idle;
    job->started = worker || create(job);
    if (worker) {
        idle = NULL;
        worker->job = job;
        pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&lock);
    return job->started;
}

bool worker_wait(struct worker_job *job, int milliseconds)
{
    struct timespec until;
    if (!job->started)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&lock);
    bool in_time = true;
    while (!job->finished && in_time) {
        if (milliseconds < 0)
            pthread_cond_wait(&job_finished, &lock);
        else
            in_time = pthread_cond_timedwait(&job_finished, &lock, &until) == 0;
    }
    const bool finished = job->finished;
    pthread_mutex_unlock(&lock);
    return finished;
}
