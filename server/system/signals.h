/*
 * Signal handling. One thread waits for signals, so that SIGTERM works whatever the other threads
 * wait for. Another thread reloads files, since a disk may not respond.
 */
#ifndef SERVER_SYSTEM_SIGNALS_H
#define SERVER_SYSTEM_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts both threads, and ignores signals that would end or stop the process by accident. Must be
   called before any other thread is started. From then on the second SIGTERM or SIGINT exits
   immediately with EXIT_FAILURE. On failure, returns false and writes a one-line reason to
   `message`. */
bool signals_start(char *message, size_t size);

/* Calls `reload` after each SIGHUP from now on, on the reload thread. If SIGHUPs arrived before
   this call, or arrive while `reload` runs, it runs once more. */
void signals_on_reload(void (*reload)(void *context), void *context);

/* Waits for the first SIGTERM or SIGINT, which may have arrived already, and returns its number.
   SIGHUP is ignored from then on. */
int signals_wait(void);

/* Waits, at most a second, until `reload` is not running and will not be called again. Returns
   false if it still runs; what it uses must then not be freed. */
bool signals_stop(void);

#endif
