/*
 * The watchdog: detects threads that are working on a task and make no progress.
 *
 * A thread reports when it begins and ends a task. During a long task, it shows progress by
 * clearing a flag, which the watchdog sets again. core and proto clear it wherever they check for
 * cancellation. So a job that computes for an hour makes progress, but a thread that waits forever
 * for a lock does not.
 */
#ifndef SERVER_SYSTEM_WATCHDOG_H
#define SERVER_SYSTEM_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/metrics.h"

enum watchdog_thread {
    WATCHDOG_IO,       /* libmicrohttpd's threads */
    WATCHDOG_ADMIN,    /* libmicrohttpd's thread of the admin addresses */
    WATCHDOG_EXECUTOR, /* the executor */
    WATCHDOG_ACCEPT,   /* the thread that accepts connections */
    WATCHDOG_RELOAD,   /* the thread that reloads files */
    WATCHDOG_THREADS
};

struct watchdog_settings {
    int64_t timeout_ms; /* maximum time without progress; 0: no limit */
    bool exit;          /* exit with EXIT_FAILURE if a thread exceeds this time */
};

/* Starts the watchdog. On failure, returns false and writes a one-line reason to `message`. */
bool watchdog_start(const struct watchdog_settings *settings, struct metrics *metrics,
                    char *message, size_t size);

/* Stops the watchdog. No-op if it does not run. */
void watchdog_stop(void);

/* Begins a task of the calling thread, which must make progress until watchdog_end. `phase`
   describes the task; static text. */
void watchdog_begin(enum watchdog_thread thread, const char *phase);

/* Sets the request of the task, for the log. Copies both texts. */
void watchdog_request(const char *id, const char *target);

/* Begins another phase of the task, which counts as progress. */
void watchdog_phase(const char *phase);

/* Ends the task. */
void watchdog_end(void);

/* Returns the flag that the calling thread, or threads working for it, clear atomically to show
   progress. Never NULL; valid until the process exits. */
bool *watchdog_progress_flag(void);

#endif
