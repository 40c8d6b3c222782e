/*
 * The log: lines on stderr, as text or as JSON.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

const char *const log_level_names[LOG_LEVEL_COUNT + 1] = {"error", "warning", "info", "debug"};
const char *const log_format_names[LOG_FORMAT_COUNT + 1] = {"text", "json"};

enum {
    LOG_LINE = 2048,    /* bytes of a line; below PIPE_BUF, so that a write to a pipe is not torn */
    LOG_FIELD = 1024,   /* bytes that one escaped field may take: a long path must not push out what follows */
    LOG_MESSAGE = 1024, /* bytes of a message before it is escaped */
};

static enum log_level log_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;

/* A line that is being put together; what does not fit is left out. */
struct line {
    char text[LOG_LINE];
    size_t len;
};

void log_setup(enum log_level level, enum log_format format)
{
    log_level = level;
    log_format = format;
}

bool log_enabled(enum log_level level)
{
    return level <= log_level;
}

__attribute__((format(printf, 2, 3))) static void line_printf(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof line->text - line->len;
    int written = vsnprintf(line->text + line->len, room, format, arguments);
    va_end(arguments);
    if (written > 0)
        line->len += (size_t)written < room ? (size_t)written : room - 1;
}

/* Appends text of which no byte can be trusted. */
static void line_escaped(struct line *line, const char *text)
{
    size_t end = line->len + LOG_FIELD;
    for (; *text && line->len < end; text++) {
        unsigned byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            line_printf(line, "\\%c", (char)byte);
        else if (byte >= 0x20 && byte < 0x7f)
            line_printf(line, "%c", (char)byte);
        else
            line_printf(line, log_format == LOG_FORMAT_JSON ? "\\u%04x" : "\\x%02x", byte);
    }
    if (*text)
        line_printf(line, "...");
}

static void line_time(struct line *line)
{
    struct timespec now = {0};
    struct tm utc = {0};
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    line_printf(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void line_write(struct line *line)
{
    if (line->len > sizeof line->text - 2)
        line->len = sizeof line->text - 2;
    line->text[line->len++] = '\n';
    for (size_t done = 0; done < line->len;) {
        ssize_t written = write(STDERR_FILENO, line->text + done, line->len - done);
        if (written < 0 && errno != EINTR)
            return; /* a log that cannot be written is no reason to stop serving */
        if (written > 0)
            done += (size_t)written;
    }
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

    struct line line = {.len = 0};
    bool json = log_format == LOG_FORMAT_JSON;
    line_printf(&line, json ? "{\"ts\":\"" : "");
    line_time(&line);
    line_printf(&line, json ? "\",\"level\":\"%s\",\"message\":\"" : " %s ", log_level_names[level]);
    line_escaped(&line, message);
    line_printf(&line, json ? "\"}" : "");
    line_write(&line);
}

static void request_text(struct line *line, const struct record *record)
{
    line_time(line);
    line_printf(line, " info ");
    line_escaped(line, record->method);
    line_printf(line, " ");
    line_escaped(line, record->target);
    line_printf(line, " %d in=%llu out=%llu %.3fms id=%s", record->status, (unsigned long long)record->bytes_in,
                (unsigned long long)record->bytes_out, (double)record->duration_ns / 1e6, record->id);
    if (*record->client)
        line_printf(line, " client=%s", record->client);
}

static void request_json(struct line *line, const struct record *record)
{
    line_printf(line, "{\"ts\":\"");
    line_time(line);
    line_printf(line, "\",\"level\":\"info\",\"id\":\"%s\",\"method\":\"", record->id);
    line_escaped(line, record->method);
    line_printf(line, "\",\"path\":\"");
    line_escaped(line, record->target);
    line_printf(line, "\",\"status\":%d,\"bytes_in\":%llu,\"bytes_out\":%llu,\"duration_ms\":%.3f", record->status,
                (unsigned long long)record->bytes_in, (unsigned long long)record->bytes_out, (double)record->duration_ns / 1e6);
    if (*record->client)
        line_printf(line, ",\"client\":\"%s\"", record->client);
    line_printf(line, "}");
}

void log_request(const struct record *record)
{
    if (!log_enabled(LOG_LEVEL_INFO))
        return;
    struct line line = {.len = 0};
    if (log_format == LOG_FORMAT_JSON)
        request_json(&line, record);
    else
        request_text(&line, record);
    line_write(&line);
}
