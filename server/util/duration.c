/*
 * Durations in seconds as text.
 */
#include "util/duration.h"

#include <stdlib.h>
#include <string.h>

bool duration_read(const char *text, uint64_t *ms)
{
    static const char decimal[] = "0123456789";
    const size_t digits = strspn(text, decimal),
                 places = text[digits] == '.' ? strspn(text + digits + 1, decimal) : 0;
    if (digits == 0 || digits > 9 || places > 3 ||
        text[digits + (places > 0 ? 1 + places : 0)] != '\0')
        return false;
    *ms = strtoull(text, NULL, 10) * 1000;
    for (size_t i = 0, unit = 100; i < places; i++, unit /= 10)
        *ms += unit * (uint64_t)(text[digits + 1 + i] - '0');
    return true;
}
