/*
 * The log: lines on stderr, as text or JSON. Lines are written as a whole (log_writer.h), so lines
 * of different threads do not mix. Text from clients is escaped, so that it cannot forge lines or
 * control a terminal.
 */
#ifndef SERVER_OBSERVE_LOG_H
#define SERVER_OBSERVE_LOG_H

#include <stdbool.h>

struct request_record;

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_COUNT
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_COUNT };

/* Values of the options --log-level and --log-format, in the order of the enums;
   NULL-terminated. */
extern const char *const log_level_names[LOG_LEVEL_COUNT + 1];
extern const char *const log_format_names[LOG_FORMAT_COUNT + 1];

/* Must be called before any thread is started. Until then, the log has text format and level
   info. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/* Logs a message about the server itself. */
__attribute__((format(printf, 2, 3))) void log_message(enum log_level level, const char *format,
                                                       ...);

/* Which requests are logged: all, all except successful health and metrics requests, only failed
   ones, or none. */
enum access_log {
    ACCESS_LOG_ALL,
    ACCESS_LOG_WORK,
    ACCESS_LOG_FAILED,
    ACCESS_LOG_NONE,
    ACCESS_LOG_COUNT
};
extern const char *const access_log_names[ACCESS_LOG_COUNT + 1];
/* Must be called before any thread is started. Until then, all requests are logged. */
void access_log_setup(enum access_log which);

/* Logs a line about a completed request, at level info. */
void access_log_write(const struct request_record *record);

#endif
