/*
 * Reads environment variables.
 */
#include "system/environment.h"

#include <errno.h>
#include <stdlib.h>

long environment_number(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    const long number = text && *text ? strtol(text, &end, 10) : -1;
    return end && *end == '\0' && errno == 0 ? number : -1;
}
