/* Counts bytes allocated by the test program, and makes allocations fail. The linker redirects
   malloc, calloc and realloc
   (-Wl,--wrap), except in shared libraries. */
#ifndef TESTS_SUPPORT_COUNTED_MALLOC_H
#define TESTS_SUPPORT_COUNTED_MALLOC_H

#include <stddef.h>

/* Starts counting the allocations of all threads. */
void counted_malloc_begin(void);
/* Stops counting. Returns the number of bytes allocated since counted_malloc_begin. */
size_t counted_malloc_end(void);

/* Makes one allocation of any thread fail: the next one if `index` is 1, the one after it if it is
   2, and so on; none if it is 0. */
void counted_malloc_fail(size_t index);

#endif
