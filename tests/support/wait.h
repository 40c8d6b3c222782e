/* Waits and durations in milliseconds. */
#ifndef TESTS_WAIT_H
#define TESTS_WAIT_H

#include <stdint.h>

/* Waits without any condition. */
void wait_ms(int ms);

/* Returns the time since an arbitrary point, which is the same for a whole test run. */
int64_t now_ms(void);

#endif
