/* Threads that belong to this library, not to Python. */
#ifndef NATIVE_THREAD_H
#define NATIVE_THREAD_H

#include <stdbool.h>

/* Starts a detached thread that calls run(context), with all signals blocked, so that the threads
   of Python receive them, and with the default floating-point environment. Returns false if the
   system has no memory or no thread for it. */
bool thread_start(void *(*run)(void *context), void *context);

#endif
