/* The statuses that a request may get because of its body. */
#ifndef TESTS_FUZZ_CHECK_STATUS_H
#define TESTS_FUZZ_CHECK_STATUS_H

#include <stdlib.h>

static inline void check_status(int status)
{
    if (status != 200 && status != 400 && status != 422 && status != 503)
        abort();
}

#endif
