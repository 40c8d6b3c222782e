/* Reports of `lossctl bench`. */
#ifndef LOSSCTL_BENCH_REPORT_H
#define LOSSCTL_BENCH_REPORT_H

#include "bench/limit.h"
#include "cli/arguments.h"

/* The settings and scenarios of a run. */
struct bench {
    const char *url;          /* borrowed */
    bool grad;                /* requests ask for gradients */
    double rate;              /* requests per second; 0: a closed loop */
    double warm_up, duration; /* seconds, of each scenario */
    char *losses;             /* owned: the text that the specs point into */
    int count;
    struct scenario *scenario; /* owned */
    int limits;
    struct limit limit[MAX_REPEATED];
};

/* Each function appends the results of the scenarios that ran. */

/* Appends a text table. */
void report_put_table(const struct bench *bench, struct buffer *out);
/* Appends a JSON document. */
void report_put_json(const struct bench *bench, struct buffer *out);
/* Appends an HTML page. */
void report_put_html(const struct bench *bench, struct buffer *out);

#endif
