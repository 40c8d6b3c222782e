/*
 * Loads the library of faults.h into the servers that a test starts.
 */
#ifndef TESTS_FAULT_LIBRARY_H
#define TESTS_FAULT_LIBRARY_H

#include "faults/faults.h"

/* Servers that are started from now on have the library. Returns what the test shares with them;
   valid until fault_library_end. Aborts the test on failure. */
struct faults *fault_library_begin(void);

/* Servers that are started from now on do not have it. No-op if they do not. */
void fault_library_end(void);

#endif
