/*
 * W3C Trace Context: the id of a trace that a request belongs to. The server does not trace by
 * itself and asks nobody else, so that it has no span of its own to tell of: it logs the id and
 * gives it back.
 */
#ifndef SERVER_OBSERVE_TRACEPARENT_H
#define SERVER_OBSERVE_TRACEPARENT_H

#include <stdbool.h>

/* Whether a text is a sound `traceparent`:
   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", where neither id is all zeros; or of a
   later version, which may add to that, as far as this one can tell. */
bool traceparent_is_valid(const char *text);

#endif
