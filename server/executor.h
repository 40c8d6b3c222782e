/*
 * The one thread that computes. It owns the OpenMP team: libgomp raises a team for every thread that opens a parallel region,
 * so a region opened in each I/O thread would multiply the threads. Jobs wait in a bounded queue, first come, first served.
 */
#ifndef SERVER_EXECUTOR_H
#define SERVER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics.h"

/* Something to be computed; to be embedded in what belongs to it. From executor_submit until `run` is called it belongs to the
   executor, which does not touch it once `run` has begun: `run` may free it. */
struct job {
    void (*run)(struct job *job, int threads); /* on the executor's thread; may use `threads` OpenMP threads */
    struct job *next;                          /* the executor's */
};

struct executor;

/* Proves that `threads` threads can be had, starts the executor and warms its team up. NULL with one line in `message` if that
   cannot be; then nothing is left behind. Up to `most_waiting` jobs may wait. */
struct executor *executor_start(int threads, size_t most_waiting, char *message, size_t size);

/* Adds the executor's metrics. False where memory has run out. */
bool executor_add_metrics(struct executor *executor, struct metrics *metrics);

/* Queues a job. False if the queue is full or the executor is being stopped; the job then still belongs to the caller. */
bool executor_submit(struct executor *executor, struct job *job);

/* Whether a job is running or waiting. */
bool executor_busy(struct executor *executor);

/* Refuses jobs from now on, finishes those it has, and ends the thread. NULL is let be. */
void executor_stop(struct executor *executor);

/* Frees a stopped executor, to which nobody may submit any more. NULL is let be. */
void executor_free(struct executor *executor);

#endif
