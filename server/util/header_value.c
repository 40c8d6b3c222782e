/*
 * Checks header values that are copied to responses or logs.
 */
#include "util/header_value.h"

#include <stddef.h>
#include <string.h>

enum {
    REQUEST_ID_MAX = 128,
    HOST_MAX = 255,
};

bool is_alphanumeric(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

/* Returns true if `text` has 1 to `max` bytes, all of them letters, digits or among `marks`. */
static bool consists_of(const char *text, size_t max, const char *marks)
{
    const size_t len = strlen(text);
    if (len == 0 || len > max)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_alphanumeric(text[i]) && !strchr(marks, text[i]))
            return false;
    }
    return true;
}

bool is_request_id(const char *text)
{
    return consists_of(text, REQUEST_ID_MAX, "._-");
}

bool is_host(const char *text)
{
    return consists_of(text, HOST_MAX, "._-:[]");
}
