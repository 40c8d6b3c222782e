/* Reports of `lossctl bench`. */
#ifndef LOSSCTL_BENCH_REPORT_H
#define LOSSCTL_BENCH_REPORT_H

#include "bench/limit.h"
#include "cli/arguments.h"

struct bench {
    const char *url; /* borrowed */
    bool grad;
    double rate, warm_up, duration;
    char *losses; /* owned: the text that the specs point into */
    int count;
    struct scenario *scenario; /* owned */
    int limits;
    struct limit limit[MAX_REPEATED];
};

/* Append a text table, a JSON document, an HTML page. */
void report_put_table(const struct bench *bench, struct buffer *out);
void report_put_json(const struct bench *bench, struct buffer *out);
void report_put_html(const struct bench *bench, struct buffer *out);

#endif
