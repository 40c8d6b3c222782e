/*
 * Formats log lines as text or JSON.
 */
#include "observe/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "observe/log_line.h"
#include "observe/log_writer.h"
#include "util/digits.h"

const char *const log_level_names[LOG_LEVEL_COUNT + 1] = {"error", "warning", "info", "debug"};
const char *const log_format_names[LOG_FORMAT_COUNT + 1] = {"text", "json"};

enum { LOG_MESSAGE = 1024 }; /* maximum length of a message, both before and after escaping */

static enum log_level log_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;

void log_setup(enum log_level level, enum log_format format)
{
    log_level = level;
    log_format = format;
    tzset(); /* allocates memory on its first call, which logging must not do */
}

bool log_enabled(enum log_level level)
{
    return level <= log_level;
}

/* ---- Lines ---- */

static void append(struct log_line *line, const char *text, size_t len)
{
    const size_t room = sizeof line->text - 1 - line->len; /* one byte for the newline */
    if (len > room)
        len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

void log_line_text(struct log_line *line, const char *text)
{
    append(line, text, strlen(text));
}

void log_line_escaped(struct log_line *line, const char *text, size_t max_bytes)
{
    char escaped[8];
    for (const size_t end = line->len + max_bytes; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        char *to = escaped;
        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = (char)byte;
        } else if (byte >= 0x20 && byte < 0x7f) {
            *to++ = (char)byte;
        } else {
            to = stpcpy(to, line->format == LOG_FORMAT_JSON ? "\\u" : "\\x");
            to = put_digits(to, byte, 16, line->format == LOG_FORMAT_JSON ? 4 : 2);
        }
        if (line->len + (size_t)(to - escaped) > end) {
            log_line_text(line, "...");
            return;
        }
        append(line, escaped, (size_t)(to - escaped));
    }
}

static void append_time(struct log_line *line)
{
    struct timespec now = {0};
    struct tm utc = {0};
    char text[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char *to = text + strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &utc);
    to = put_digits(to, (uint64_t)now.tv_nsec / 1000000, 10, 3);
    *to++ = 'Z';
    append(line, text, (size_t)(to - text));
}

void log_line_begin(struct log_line *line, enum log_level level)
{
    const bool json = log_format == LOG_FORMAT_JSON;
    line->format = log_format;
    line->len = 0;
    log_line_text(line, json ? "{\"ts\":\"" : "");
    append_time(line);
    log_line_text(line, json ? "\",\"level\":\"" : " ");
    log_line_text(line, log_level_names[level]);
    log_line_text(line, json ? "\"" : "");
}

void log_line_write(struct log_line *line)
{
    line->text[line->len++] = '\n';
    log_writer_put(line->text, line->len);
}

void log_message(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    char message[LOG_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    struct log_line line;
    log_line_begin(&line, level);
    const bool json = line.format == LOG_FORMAT_JSON;
    log_line_text(&line, json ? ",\"message\":\"" : " ");
    log_line_escaped(&line, message, LOG_MESSAGE);
    log_line_text(&line, json ? "\"}" : "");
    log_line_write(&line);
}
