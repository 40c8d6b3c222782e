/*
 * Signal handling. One thread waits for signals, so that SIGTERM works even if all other threads
 * are blocked. Another thread reloads files, because a disk may not respond.
 */
#ifndef SERVER_SYSTEM_SIGNALS_H
#define SERVER_SYSTEM_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts both threads, and ignores signals that would accidentally terminate or stop the process.
   Must be called before any other thread is started. From then on, a second SIGTERM or SIGINT exits
   immediately with EXIT_FAILURE. On failure, returns false and writes a one-line reason to
   `message`. */
bool signals_start(char *message, size_t size);

/* From now on, calls `reload` on the reload thread after each SIGHUP. SIGHUPs that arrived before
   this call, or arrive while `reload` runs, together cause one more call. */
void signals_on_reload(void (*reload)(void *context), void *context);

/* Waits for the first SIGTERM or SIGINT, which may already have arrived. Returns its number. From
   then on, SIGHUP is ignored. */
int signals_wait(void);

/* Waits at most one second until `reload` is not running and will not be called again. Returns
   false if it is still running; what it uses must then not be freed. */
bool signals_stop(void);

#endif
