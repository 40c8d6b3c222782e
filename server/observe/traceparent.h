/*
 * W3C Trace Context: the trace that a request belongs to. The server creates no spans. It logs the
 * traceparent and returns it in the response.
 */
#ifndef SERVER_OBSERVE_TRACEPARENT_H
#define SERVER_OBSERVE_TRACEPARENT_H

#include <stdbool.h>

/* Returns true if `text` is a valid `traceparent` value:
   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", where neither id is all zeros. Later
   versions may append fields. */
bool traceparent_is_valid(const char *text);

#endif
