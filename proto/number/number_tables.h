/* Powers of ten for reading and writing number text. make_number_tables.py generates and checks
 * them.
 */
#ifndef PROTO_NUMBER_NUMBER_TABLES_H
#define PROTO_NUMBER_NUMBER_TABLES_H

#include <stdint.h>

enum { NUMBER_INTEGER_POWERS = 20, NUMBER_POWER_MIN = -342, NUMBER_POWER_MAX = 324 };

/* 10^0 to 10^19, the largest in 64 bits. */
extern const uint64_t number_integer_powers[NUMBER_INTEGER_POWERS];

/* The first 128 bits of 10^(NUMBER_POWER_MIN + i), truncated; the highest bit is set. */
struct number_power {
    uint64_t high, low;
};
extern const struct number_power number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1];

/* The doubles nearest to 10^(NUMBER_NEAR_MIN + i) and to its negative. */
enum { NUMBER_NEAR_MIN = -64, NUMBER_NEAR_MAX = 40 };
extern const double number_near_powers[2][NUMBER_NEAR_MAX - NUMBER_NEAR_MIN + 1];

/* floor(log2(10^q)) for the q of the table: 1741647 is log2(10) * 2^19, truncated. */
static inline int number_log2_of_power10(int q)
{
    return q * 1741647 >> 19;
}

#endif
