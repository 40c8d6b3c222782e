/*
 * Validation of traceparent: https://www.w3.org/TR/trace-context/#traceparent-header
 */
#include "observe/traceparent.h"

#include <string.h>

#include "util/header_value.h"

enum {
    TRACE_VERSION = 2, /* number of digits of each part */
    TRACE_ID = 32,
    TRACE_PARENT = 16,
    TRACE_FLAGS = 2,
};

/* Skips `count` lower-case hexadecimal digits. Returns false if there are fewer or all of them are
   `but`. */
static bool skip_digits(const char **at, size_t count, char but)
{
    const bool valid =
        strspn(*at, "0123456789abcdef") >= count && strspn(*at, (const char[]){but, '\0'}) < count;
    *at += valid ? count : 0;
    return valid;
}

static bool skip_hyphen(const char **at)
{
    return *(*at)++ == '-';
}

bool traceparent_is_valid(const char *text)
{
    const char *at = text;
    if (!skip_digits(&at, TRACE_VERSION, 'f') || !skip_hyphen(&at) ||
        !skip_digits(&at, TRACE_ID, '0') || !skip_hyphen(&at) ||
        !skip_digits(&at, TRACE_PARENT, '0') || !skip_hyphen(&at) ||
        !skip_digits(&at, TRACE_FLAGS, '\0'))
        return false;
    if (strncmp(text, "00", TRACE_VERSION) == 0)
        return *at == '\0';
    /* Later versions may append fields after a hyphen. They are echoed, so they must be as safe as
       a request id. */
    return *at == '\0' || (*at == '-' && is_request_id(text));
}
