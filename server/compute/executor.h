/*
 * The one thread that computes. It owns the OpenMP team: libgomp raises a team for every thread
 * that opens a parallel region, so a region opened in each I/O thread would multiply the threads.
 * Jobs wait in a bounded queue, and are taken from it as fair_queue.h says. A second thread ends
 * jobs, waiting or running, whose client has left or whose time is up.
 */
#ifndef SERVER_COMPUTE_EXECUTOR_H
#define SERVER_COMPUTE_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/fair_queue.h"
#include "observe/metrics.h"

/* How a job ended. */
enum job_end {
    JOB_DONE,   /* it was run */
    JOB_GONE,   /* *gone was set */
    JOB_LATE,   /* its deadline passed */
    JOB_PUSHED, /* it was refused while it waited: the queue is full, and its client has the most
                   jobs in it */
};

/* Something to be computed; to be embedded in what belongs to it. From executor_submit until `done`
   is called it belongs to the executor, which does not touch it once `done` has begun: `done` may
   free it. */
struct job {
    struct fair_queue_entry entry; /* first; the caller sets the client and the cost */
    /* On the executor's thread; may use `threads` OpenMP threads. Returns false if it is to be run
       once more, after jobs that are shorter: then entry.cost_ns has changed. */
    bool (*run)(struct job *job, int threads);
    /* Called once, on any thread. Unless it is JOB_DONE the job was not run, or given up. */
    void (*done)(struct job *job, enum job_end end);
    const bool *gone; /* set, atomically, when nobody waits for the job any more */
    int64_t deadline; /* clock_ns; INT64_MAX for none */
    bool cancel; /* set, atomically, when the job that runs is to be given up; cleared by the caller
                  */

    /* the executor's */
    enum job_end end;
    struct job *next;
};

struct executor;

/* Proves that `threads` threads can be had, starts the executor and warms its team up. NULL with
   one line in `message` if that cannot be; then nothing is left behind. Up to `most_waiting` jobs
   may wait. */
struct executor *executor_start(int threads, size_t most_waiting, char *message, size_t size);

/* Adds the executor's metrics. False where memory has run out. */
bool executor_add_metrics(struct executor *executor, struct metrics *metrics);

/* Queues a job. False if the queue is full or the executor is being stopped; the job then still
 * belongs to the caller. */
bool executor_submit(struct executor *executor, struct job *job);

/* How many threads it computes with. */
int executor_threads(const struct executor *executor);

/* Whether a job submitted now would be run at once. */
bool executor_is_idle(struct executor *executor);

/* For how many whole seconds jobs have waited lately, from 1 to 60: when it makes sense to ask
   again. */
int executor_retry_after(struct executor *executor);

/* Refuses jobs from now on, finishes those it has, and ends the threads. NULL is let be. */
void executor_stop(struct executor *executor);

/* Frees a stopped executor, to which nobody may submit any more. NULL is let be. */
void executor_free(struct executor *executor);

#endif
