/*
 * Runs work on threads of this library, which are separate from those of Python.
 *
 * libgomp gives each thread that opens a parallel region its own team. After fork() the team of the
 * forking thread no longer exists, and a region on that thread hangs. A region on a new thread
 * creates a new team, so the threads of this file work in the child as well.
 *
 * A thread that has finished its work is kept, with its team, for the next one.
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

/* Calls job->run(job->context) on another thread, with all signals blocked and the default
   floating-point environment. `job` must live until it has finished. Returns false if there is no
   memory for a thread. */
bool worker_start(struct worker_job *job);

/* Waits until the job has finished, at most `milliseconds` (negative: without limit). Returns true
   if it has finished, or was not started. */
bool worker_wait(struct worker_job *job, int milliseconds);

#endif
