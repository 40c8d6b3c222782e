/* Limits of `lossctl bench --limit`. */
#ifndef LOSSCTL_BENCH_LIMIT_H
#define LOSSCTL_BENCH_LIMIT_H

#include "bench/scenario.h"

struct limit {
    enum quantity quantity;
    double bound;     /* milliseconds, a count, a fraction, or requests per second */
    const char *text; /* borrowed, as given */
};

/* Parses a limit such as "p99=50ms". Borrows `text`. Returns EXIT_USAGE if it is not a limit. */
enum exit_code limit_read(struct limit *limit, const char *text);
/* Returns true if the scenario meets the limit. A scenario without responses meets none. */
bool limit_is_met(const struct scenario *scenario, const struct limit *limit);

#endif
