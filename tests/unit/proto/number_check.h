/* Checks of numbers that run a million times. */
#ifndef TESTS_NUMBER_CHECK_H
#define TESTS_NUMBER_CHECK_H

#include <check.h>
#include <stdbool.h>
#include <string.h>

/* ck_assert_msg without the system call that libcheck makes for each of its own assertions. */
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* Return true if both numbers have the same bits. */
static inline bool same32(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static inline bool same64(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

#endif
