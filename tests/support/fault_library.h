/* Loads the library of faults.h into the programs that a test starts. */
#ifndef TESTS_FAULT_LIBRARY_H
#define TESTS_FAULT_LIBRARY_H

#include "faults/faults.h"

/* Loads the library into programs started from now on. Returns the memory shared with them, valid
   until fault_library_end. Aborts the test on failure. */
struct faults *fault_library_begin(void);

/* Stops loading the library. No-op if it is not loaded. */
void fault_library_end(void);

#endif
