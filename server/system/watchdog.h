/*
 * The watchdog: detects threads that work on something and make no progress.
 *
 * A thread reports when it begins and ends a task. During a long task it shows progress by clearing
 * a flag that the watchdog sets again; core and proto clear it wherever they check for
 * cancellation. So a job that computes for an hour makes progress, and a thread that waits for a
 * lock forever does not.
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
    int64_t timeout_ms; /* without progress; 0: no limit */
    bool exit;          /* exit with EXIT_FAILURE if a thread exceeds it */
};

/* Starts the watchdog. On failure, returns false and writes a one-line reason to `message`. */
bool watchdog_start(const struct watchdog_settings *settings, struct metrics *metrics,
                    char *message, size_t size);

/* Stops the watchdog. No-op if it does not run. */
void watchdog_stop(void);

/* The calling thread begins a task. Until watchdog_end it must make progress. `phase` is static
   text. */
void watchdog_begin(enum watchdog_thread thread, const char *phase);

/* Names the request of the task, for the log. Copies both texts. */
void watchdog_request(const char *id, const char *target);

/* The task enters another phase, which is progress. */
void watchdog_phase(const char *phase);

/* The task has ended. */
void watchdog_end(void);

/* Returns the flag that the calling thread, or threads that work for it, clear atomically to show
   progress. Never NULL; valid until the process exits. */
bool *watchdog_progress_flag(void);

#endif
