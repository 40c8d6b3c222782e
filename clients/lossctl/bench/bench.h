/* What lossctl bench measures, and how that is reported. */
#ifndef LOSSCTL_BENCH_BENCH_H
#define LOSSCTL_BENCH_BENCH_H

#include "bench/load.h"

/* One combination, and what came out of it. */
struct scenario {
    const struct loss_descriptor *loss;
    const char *spec; /* borrowed: the loss as it was given, with its values */
    size_t size;
    enum payload_format format;
    int connections;
    size_t request_bytes, answer_bytes; /* of bodies */
    bool ran;
    struct load_result result;
};

/* What a scenario must not miss. */
enum quantity { P50, P90, P99, P999, LONGEST, MEAN, ERRORS, ERROR_SHARE, THROUGHPUT, QUANTITIES };
struct bench_limit {
    enum quantity quantity;
    double bound;     /* milliseconds, a count, a share, requests a second */
    const char *text; /* borrowed, as it was given */
};

struct bench {
    const char *url; /* borrowed */
    bool grad;
    double rate, warm_up, duration;
    char *losses; /* owned: what the specs point to */
    int count;
    struct scenario *scenario; /* owned */
    int limits;
    struct bench_limit limit[MAX_REPEATED];
};

/* Reads "p99=50ms" and so on. EXIT_USAGE where it is none. */
enum exit_code bench_limit_read(struct bench_limit *limit, const char *text);
/* What a scenario has of a quantity; and whether it keeps within a limit. */
double bench_quantity(const struct scenario *scenario, enum quantity quantity);
bool bench_keeps(const struct scenario *scenario, const struct bench_limit *limit);

/* "mse, 1000 elements, json, 8 connections" in `text` of BENCH_LABEL bytes, which is returned. */
enum { BENCH_LABEL = 256 };
const char *bench_label(const struct scenario *scenario, char *text);

/* Append the table, the JSON, the page. */
void bench_put_table(const struct bench *bench, struct buffer *out);
void bench_put_json(const struct bench *bench, struct buffer *out);
void bench_put_html(const struct bench *bench, struct buffer *out);

#endif
