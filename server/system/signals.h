/*
 * Signals. A thread of its own waits for them, so that one that ends the server is noticed whatever
 * the other threads wait for. Another one reads files again: a file may be on a disk that does not
 * answer.
 */
#ifndef SERVER_SYSTEM_SIGNALS_H
#define SERVER_SYSTEM_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>

/* Starts both threads, and has signals that would end or stop the process by accident ignored. To
   be called before any other thread is started. From now on the second SIGTERM or SIGINT ends the
   process at once, with EXIT_FAILURE. Returns false with one line in `message` if the threads
   cannot be started. */
bool signals_start(char *message, size_t size);

/* From now on `reload` is called after each SIGHUP, in the thread that is for it. Several SIGHUPs
   that come before this call, or while `reload` runs, make it run once more. */
void signals_on_reload(void (*reload)(void *context), void *context);

/* Waits for the first SIGTERM or SIGINT, which may have come already, and returns it. From then on
 * SIGHUP is ignored. */
int signals_wait(void);

/* Waits until `reload` is not running and will not be called again, at most a second. Returns
   whether that is so; if not, what `reload` uses must not be freed. */
bool signals_stop(void);

#endif
