/*
 * Error messages of functions that return bool.
 */
#ifndef SERVER_UTIL_FAIL_H
#define SERVER_UTIL_FAIL_H

#include <stdbool.h>
#include <stddef.h>

/* Formats one line into `message` and returns false, so that a caller can `return fail(...)`.
   Control characters in quoted text become '?'. */
__attribute__((format(printf, 3, 4))) bool fail(char *message, size_t size, const char *format,
                                                ...);

#endif
