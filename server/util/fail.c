/*
 * Error messages of functions that return bool.
 */
#include "util/fail.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

bool fail(char *message, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, size, format, arguments);
    va_end(arguments);
    for (char *at = message; *at; at++) {
        if (iscntrl((unsigned char)*at))
            *at = '?';
    }
    return false;
}
