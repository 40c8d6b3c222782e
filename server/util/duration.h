/*
 * Durations in seconds as text, such as "5" and "0.25".
 */
#ifndef SERVER_UTIL_DURATION_H
#define SERVER_UTIL_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* Reads up to nine digits and, optionally, a decimal point and up to three more digits. Sets *ms to
   milliseconds. Returns false if the text has another form. */
bool duration_read(const char *text, uint64_t *ms);

#endif
