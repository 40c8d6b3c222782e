/* The only OpenMP regions of the library, and of the programs. The library of the Python package
   replaces them by threads of its own. */
#ifndef CORE_PARALLEL_H
#define CORE_PARALLEL_H

#include <stddef.h>

/* Calls body(context, i, thread) once for each i in [0, n), on up to `threads` threads; `thread` is
   in [0, threads). If `threads` or `n` is 1, this is a loop on the caller's thread. The order is
   unspecified. Returns after all calls have returned. */
void parallel_for(size_t n, int threads, void (*body)(void *context, size_t i, int thread),
                  void *context);

#endif
