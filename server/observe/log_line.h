/*
 * Builds a line of the log.
 */
#ifndef SERVER_OBSERVE_LOG_LINE_H
#define SERVER_OBSERVE_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "observe/log.h"

enum {
    LOG_LINE_SIZE = 3900, /* less than PIPE_BUF, so that writes to a pipe are atomic */
    /* Maximum length of a text after escaping, so that the fields after it still fit. */
    LOG_LINE_FIELD = 1024,
};

/* A line. Text that does not fit is dropped. */
struct log_line {
    enum log_format format;
    size_t len;
    char text[LOG_LINE_SIZE];
};

/* Begins a line with the current time and a level. */
void log_line_begin(struct log_line *line, enum log_level level);
void log_line_text(struct log_line *line, const char *text);
/* Appends untrusted text, escaped. Escaped text longer than `max_bytes` bytes is truncated, and
   "..." follows. */
void log_line_escaped(struct log_line *line, const char *text, size_t max_bytes);
/* Ends the line and passes it to log_writer_put. */
void log_line_write(struct log_line *line);

#endif
