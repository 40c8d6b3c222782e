/*
 * A line of the log while it is put together.
 */
#ifndef SERVER_OBSERVE_LOG_LINE_H
#define SERVER_OBSERVE_LOG_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "observe/log.h"

enum {
    LINE_SIZE = 3900,  /* below PIPE_BUF, so that a write to a pipe is not torn (log_writer.c) */
    LINE_FIELD = 1024, /* bytes that one text may take once escaped: a long one must not push out
                          what follows */
};

/* What does not fit is left out. */
struct line {
    enum log_format format;
    size_t len;
    char text[LINE_SIZE];
};

/* Begins a line of now, at that level. */
void line_begin(struct line *line, enum log_level level);
void line_text(struct line *line, const char *text);
/* Text of which no byte can be trusted; of a long one the first bytes, and "...". */
void line_escaped(struct line *line, const char *text, size_t most);
/* Ends the line and has it written to stderr. */
void line_write(struct line *line);

#endif
