/* The one place where OpenMP regions are opened. */
#ifndef CORE_PARALLEL_H
#define CORE_PARALLEL_H

#include <stddef.h>

/* Calls body(context, i, thread) once for each i in [0, n), on up to `threads` threads; thread is
   in [0, threads). With one thread, or one piece of work, it is a plain loop on the caller's
   thread. The order is unspecified; all calls have ended on return. */
void parallel_for(size_t n, int threads, void (*body)(void *context, size_t i, int thread),
                  void *context);

#endif
