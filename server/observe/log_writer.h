/*
 * The thread that writes the log. Threads that log put whole lines into a bounded buffer and never
 * wait for whoever reads the log: if the buffer is full or the log cannot be written, lines are
 * dropped and counted.
 */
#ifndef SERVER_OBSERVE_LOG_WRITER_H
#define SERVER_OBSERVE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/metrics.h"

enum {
    LOG_WRITER_BUFFER = 1 << 20, /* bytes of lines that wait to be written: some 5000 requests */
    LOG_WRITER_FLUSH_MS =
        2000,                 /* for which the end of the server waits for the reader of the log */
    LOG_WRITER_LAST_MS = 100, /* the same, if the server ends at once */
    LOG_WRITER_NOW_MS = 1000, /* for which log_writer_write_now waits for the reader */
};

/* Starts the thread. Until then, and after log_writer_stop, lines are written by the thread that
   logs them. Returns false with one line in `message` if the thread cannot be started. */
bool log_writer_start(char *message, size_t size);

/* Writes to stderr on the calling thread, for errors that end the program and for lines that are
   logged while the writer's thread does not run. What the reader has no room for within
   LOG_WRITER_NOW_MS is dropped. */
void log_writer_write_now(const char *text, size_t len);

/* Takes a line of `len` bytes, its newline included. Never waits once the thread runs. */
void log_writer_put(const char *line, size_t len);

/* Waits until all lines are written, at most `limit_ms` milliseconds. Returns whether they are. */
bool log_writer_flush(int64_t limit_ms);

/* The same, and ends the thread if all lines are written. If they are not, the thread is left to
   end with the process, and further lines are dropped. No-op if the thread does not run. */
void log_writer_stop(int64_t limit_ms);

/* Adds the number of dropped lines to the metrics. False if memory has run out. */
bool log_writer_add_metrics(struct metrics *metrics);

#endif
