/*
 * The access log: one line per request. Lines have a bounded length, and contain neither tensor
 * values nor queries.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "observe/log_line.h"
#include "observe/request_record.h"
#include "util/digits.h"

const char *const access_log_names[ACCESS_LOG_COUNT + 1] = {"all", "work", "failed", "none"};

enum { LOG_METHOD = 40, LOG_NUMBER = 32, LOG_ADDRESS = 64, LOG_CLIENT = 80 };

static enum access_log access_log = ACCESS_LOG_ALL;

void access_log_setup(enum access_log which)
{
    access_log = which;
}

static bool is_wanted(const struct request_record *record)
{
    const bool failed = record->status >= 400;
    switch (access_log) {
    case ACCESS_LOG_ALL:
        return true;
    case ACCESS_LOG_WORK:
        return failed || !record->probe;
    case ACCESS_LOG_FAILED:
        return failed;
    case ACCESS_LOG_NONE:
    case ACCESS_LOG_COUNT:
        break;
    }
    return false;
}

/* ---- Fields: `,"name":` or ` name=`, then a value ---- */

static void name(struct log_line *line, const char *text)
{
    const bool json = line->format == LOG_FORMAT_JSON;
    log_line_text(line, json ? ",\"" : " ");
    log_line_text(line, text);
    log_line_text(line, json ? "\":" : "=");
}

/* No-op if `text` is NULL. */
static void text_field(struct log_line *line, const char *field, const char *text, size_t max_bytes)
{
    const bool json = line->format == LOG_FORMAT_JSON;
    if (!text)
        return;
    name(line, field);
    log_line_text(line, json ? "\"" : "");
    log_line_escaped(line, text, max_bytes);
    log_line_text(line, json ? "\"" : "");
}

static void number_field(struct log_line *line, const char *field, uint64_t number)
{
    char text[LOG_NUMBER];
    *put_digits(text, number, 10, 1) = '\0';
    name(line, field);
    log_line_text(line, text);
}

/* No-op if `ns` is negative. */
static void duration_field(struct log_line *line, const char *what, int64_t ns)
{
    char field[LOG_NUMBER], text[LOG_NUMBER];
    if (ns < 0)
        return;
    strcpy(stpcpy(field, what), "_ms");
    *put_ms(text, ns) = '\0';
    name(line, field);
    log_line_text(line, text);
}

static void address_field(struct log_line *line, const struct sockaddr *address)
{
    char text[LOG_ADDRESS] = "unix";
    if (!address)
        return;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
                  sizeof text);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
                  sizeof text);
    text_field(line, "address", text, LOG_ADDRESS);
}

/* ---- The line ---- */

/* In text format, method, path and status have no names, as in the logs of other servers. */
static void write_head(struct log_line *line, const struct request_record *record)
{
    if (line->format == LOG_FORMAT_JSON) {
        text_field(line, "id", record->id, LOG_LINE_FIELD);
        text_field(line, "method", record->method, LOG_METHOD);
        text_field(line, "path", record->target, LOG_LINE_FIELD);
        number_field(line, "status", (uint64_t)record->status);
        return;
    }
    char status[LOG_NUMBER];
    *put_digits(status, (uint64_t)record->status, 10, 3) = '\0';
    log_line_text(line, " ");
    log_line_escaped(line, record->method, LOG_METHOD);
    log_line_text(line, " ");
    log_line_escaped(line, record->target, LOG_LINE_FIELD);
    log_line_text(line, " ");
    log_line_text(line, status);
    text_field(line, "id", record->id, LOG_LINE_FIELD);
}

static void write_evaluation(struct log_line *line, const struct request_record *record)
{
    text_field(line, "loss", request_record_loss(record), LOG_METHOD);
    text_field(line, "protocol", protocol_names[record->protocol], LOG_METHOD);
    number_field(line, "elements", record->elements);
    for (size_t i = 0; i < PHASE_COUNT; i++)
        duration_field(line, phase_names[i], record->ns[i]);
}

void access_log_write(const struct request_record *record)
{
    if (!log_enabled(LOG_LEVEL_INFO) || !is_wanted(record))
        return;
    struct log_line line;
    log_line_begin(&line, LOG_LEVEL_INFO);
    write_head(&line, record);
    number_field(&line, "bytes_in", record->bytes_in);
    number_field(&line, "bytes_out", record->bytes_out);
    duration_field(&line, "duration", record->duration_ns);
    if (record->evaluates)
        write_evaluation(&line, record);
    text_field(&line, "reason", record->reason, LOG_METHOD);
    text_field(&line, "client", *record->client ? record->client : NULL, LOG_CLIENT);
    address_field(&line, record->address);
    text_field(&line, "traceparent", record->traceparent, LOG_LINE_FIELD);
    log_line_text(&line, line.format == LOG_FORMAT_JSON ? "}" : "");
    log_line_write(&line);
}
