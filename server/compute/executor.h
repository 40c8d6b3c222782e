/*
 * The executor: the one thread that computes large requests and compresses long responses. It owns
 * the OpenMP team. libgomp creates a separate team for every thread that opens a parallel region,
 * so parallel regions in the I/O threads would multiply the number of threads. Jobs wait in a
 * bounded queue, in the order that fair_queue.h defines. A second thread, the supervisor, cancels
 * jobs whose client has disconnected or whose deadline has passed.
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
    JOB_DONE,      /* the job ran */
    JOB_GONE,      /* *gone was set */
    JOB_TIMED_OUT, /* its deadline passed */
    JOB_EVICTED,   /* it was removed from a full queue because its client had the most jobs */
};

/* A job, embedded in a struct of the caller. The executor owns it from executor_submit until it
   calls `done`, which may free the job. */
struct job {
    struct fair_queue_entry entry; /* first; the caller sets client and cost */
    /* Called on the executor thread; may use `threads` OpenMP threads. Returns false to be run
       again after shorter jobs; it must then have updated entry.cost_ns. */
    bool (*run)(struct job *job, int threads);
    /* Called once, on any thread. Unless `end` is JOB_DONE, the job was cancelled or did not
       run. */
    void (*done)(struct job *job, enum job_end end);
    const bool *gone; /* set atomically when the result is no longer needed; may be NULL */
    int64_t deadline; /* clock_ns; INT64_MAX: none */
    bool cancel;      /* set atomically by the executor to cancel `run`; the caller clears it before
                         executor_submit */

    /* Private to the executor. */
    enum job_end end;
    struct job *next;
};

struct executor;

/* Starts the executor and its OpenMP team, after checking that `threads` threads can be created. Up
   to `max_waiting` jobs may wait. On failure, returns NULL and writes a one-line reason to
   `message`. */
struct executor *executor_start(int threads, size_t max_waiting, char *message, size_t size);

/* Returns false if memory is insufficient. */
bool executor_add_metrics(struct executor *executor, struct metrics *metrics);

/* Queues a job. If the queue is full, evicts a job of another client that has more jobs. Returns
   false if there is no such client or the executor is stopping; the caller then still owns the
   job. */
bool executor_submit(struct executor *executor, struct job *job);

/* Returns the number of compute threads. */
int executor_threads(const struct executor *executor);

/* Returns true if a job submitted now would start immediately. */
bool executor_is_idle(struct executor *executor);

/* Returns the recent waiting time of jobs in whole seconds, from 1 to 60, for Retry-After. */
int executor_retry_after(struct executor *executor);

/* Rejects new jobs, finishes the queued ones, and ends the threads. No-op if NULL. */
void executor_stop(struct executor *executor);

/* Frees a stopped executor. No thread may still use it. No-op if NULL. */
void executor_free(struct executor *executor);

#endif
