/*
 * Runs work on another thread, so that a thread of Python can wait for it with a timeout, and
 * handle signals meanwhile. A thread that has finished its work is kept for the next one. Works in
 * the child of a fork.
 */
#ifndef NATIVE_WORKER_H
#define NATIVE_WORKER_H

#include <stdbool.h>

struct worker_job {
    void (*run)(void *context); /* set by the caller, with `context` */
    void *context;

    /* Private. */
    bool started, finished;
};

/* Calls job->run(job->context) on a thread of thread.h. `job` must live until it has finished.
   Returns false if a thread cannot be created. */
bool worker_start(struct worker_job *job);

/* Waits until the job has finished, at most `milliseconds` (negative: without limit). Returns true
   if it has finished, or was not started. */
bool worker_wait(struct worker_job *job, int milliseconds);

#endif
