/*
 * The watchdog: notices threads that are at work on something and do not progress.
 *
 * A thread says when it begins something and when it has ended it. While it is at it, work that
 * takes long shows that it progresses by clearing a flag, which the watchdog sets again: core and
 * proto do so wherever they look whether they are cancelled. So a job that computes for an hour
 * progresses, and one that waits for a lock for ever does not.
 */
#ifndef SERVER_SYSTEM_WATCHDOG_H
#define SERVER_SYSTEM_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/metrics.h"

enum watchdog_thread {
    WATCHDOG_IO,       /* libmicrohttpd's threads */
    WATCHDOG_ADMIN,    /* the same, of the admin addresses */
    WATCHDOG_EXECUTOR, /* the thread that computes */
    WATCHDOG_ACCEPT,   /* the thread that accepts connections */
    WATCHDOG_RELOAD,   /* the thread that reads files again */
    WATCHDOG_THREADS
};

struct watchdog_settings {
    int64_t timeout_ms; /* that a thread may take without progress; 0: for ever */
    bool exit;          /* end the process then, with EXIT_FAILURE */
};

/* Starts the watchdog. Returns false with one line in `message` if its thread cannot be started or
 * memory has run out. */
bool watchdog_start(const struct watchdog_settings *settings, struct metrics *metrics,
                    char *message, size_t size);

/* Ends it. No-op if it does not run. */
void watchdog_stop(void);

/* The calling thread begins something; `phase` is static text. Until watchdog_end it is expected to
 * progress. */
void watchdog_begin(enum watchdog_thread thread, const char *phase);
/* Says which request it is, once that is known. Both are copied. No-op outside watchdog_begin and
 * watchdog_end. */
void watchdog_request(const char *id, const char *target);
/* The thread goes on to another phase, which is progress. */
void watchdog_phase(const char *phase);
/* The thread has ended it. */
void watchdog_end(void);

/* The flag that the calling thread, or others that work for it, clear atomically to show progress.
   Never NULL; valid as long as the process. */
bool *watchdog_progress_flag(void);

#endif
