/*
 * Counts what is allocated. The linker has the tests, and what they are linked with, call these
 * functions in place of the C library's (-Wl,--wrap); shared libraries do not.
 */
#ifndef TESTS_SUPPORT_COUNTED_MALLOC_H
#define TESTS_SUPPORT_COUNTED_MALLOC_H

#include <stddef.h>

/* Counts from 0 from now on, what any thread allocates. */
void counted_malloc_begin(void);
/* Stops. Returns how many bytes were asked for since the begin. */
size_t counted_malloc_end(void);

#endif
