/* Random numbers that are the same in every run. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

/* The state before the first number. */
#define RANDOM_SEED UINT64_C(88172645463325252)

/* Returns 64 random bits (xorshift64, Marsaglia 2003). */
uint64_t random_bits(uint64_t *state);

#endif
