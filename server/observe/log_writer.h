/*
 * The thread that writes the log. Other threads put whole lines into a bounded buffer and never
 * wait for the reader of the log. If the buffer is full or the log cannot be written, lines are
 * dropped and counted.
 */
#ifndef SERVER_OBSERVE_LOG_WRITER_H
#define SERVER_OBSERVE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/metrics.h"

enum {
    LOG_WRITER_BUFFER = 1 << 20, /* size of the buffer: lines of about 5000 requests */
    LOG_WRITER_FLUSH_MS = 2000,  /* how long a shutdown waits for the reader of the log */
    LOG_WRITER_EXIT_TIMEOUT_MS =
        100, /* how long an immediate exit waits for the reader of the log */
    LOG_WRITER_WRITE_TIMEOUT_MS = 1000, /* how long log_writer_write_now waits for the reader */
};

/* Starts the thread. Before that, and after log_writer_stop, the thread that logs a line also
   writes it. On failure, returns false and writes a one-line reason to `message`. */
bool log_writer_start(char *message, size_t size);

/* Writes to stderr on the calling thread. For errors that end the program, and for lines logged
   while the thread does not run. Drops what the reader does not accept within
   LOG_WRITER_WRITE_TIMEOUT_MS. */
void log_writer_write_now(const char *text, size_t len);

/* Queues a line of `len` bytes, including its newline. Never waits while the thread runs. */
void log_writer_put(const char *line, size_t len);

/* Waits until all lines are written, for at most `limit_ms` milliseconds. Returns false on
   timeout. */
bool log_writer_flush(int64_t limit_ms);

/* Flushes like log_writer_flush, then stops the thread. On timeout, the thread keeps running until
   the process exits, and further lines are dropped. No-op if the thread does not run. */
void log_writer_stop(int64_t limit_ms);

/* Adds the number of dropped lines to the metrics. Returns false if memory is insufficient. */
bool log_writer_add_metrics(struct metrics *metrics);

#endif
