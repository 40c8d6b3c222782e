/*
 * Checks header values that are copied to responses or logs.
 */
#ifndef SERVER_UTIL_HEADER_VALUE_H
#define SERVER_UTIL_HEADER_VALUE_H

#include <stdbool.h>

/* Returns true if `byte` is an ASCII letter or digit. */
bool is_alphanumeric(char byte);

/* Returns true if `text` is a valid X-Request-Id: 1 to 128 letters, digits, '.', '_' and '-'. */
bool is_request_id(const char *text);

/* Returns true if `text` is a host, with or without a port, that is safe to echo: 1 to 255 letters,
   digits, '.', '_', '-', ':', '[' and ']'. */
bool is_host(const char *text);

#endif
