/*
 * A line of the log while it is put together.
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

/* What does not fit is left out. */
struct log_line {
    enum log_format format;
    size_t len;
    char text[LOG_LINE_SIZE];
};

/* Begins a line of now, at that level. */
void log_line_begin(struct log_line *line, enum log_level level);
void log_line_text(struct log_line *line, const char *text);
/* Text of which no byte can be trusted; of a long one the first bytes, and "...". */
void log_line_escaped(struct log_line *line, const char *text, size_t most);
/* Ends the line and has it written to stderr. */
void log_line_write(struct log_line *line);

#endif
