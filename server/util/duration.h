/*
 * Durations in seconds as text: "5", "0.25".
 */
#ifndef SERVER_UTIL_DURATION_H
#define SERVER_UTIL_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* Reads up to nine digits and, after a point, up to three more. Writes milliseconds. Returns false
   if the text has any other form. */
bool duration_read(const char *text, uint64_t *ms);

#endif
