/*
 * A line of the log under construction.
 */
#ifndef SERVER_OBSERVE_LOG_LINE_H
#define SERVER_OBSERVE_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "observe/log.h"

enum {
    LOG_LINE_SIZE = 3900, /* below PIPE_BUF, so that a write to a pipe is not torn (log_writer.c) */
    LOG_LINE_FIELD = 1024, /* bytes that one text may take once escaped: a long one must not push
                          out what follows */
};

/* Text that does not fit is dropped. */
struct log_line {
    enum log_format format;
    size_t len;
    char text[LOG_LINE_SIZE];
};

/* Begins a line with the current time and a level. */
void log_line_begin(struct log_line *line, enum log_level level);
void log_line_text(struct log_line *line, const char *text);
/* Appends untrusted text, escaped. If that exceeds `most` bytes, it is cut and ends with "...". */
void log_line_escaped(struct log_line *line, const char *text, size_t most);
/* Ends the line and writes it to stderr. */
void log_line_write(struct log_line *line);

#endif
