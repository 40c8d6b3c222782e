/* Checks that a response has one of the statuses that a request with an arbitrary body can get. */
#ifndef TESTS_FUZZ_CHECK_STATUS_H
#define TESTS_FUZZ_CHECK_STATUS_H

#include <stdlib.h>

static inline void check_status(int status)
{
    if (status != 200 && status != 400 && status != 422 && status != 503)
        abort();
}

#endif
