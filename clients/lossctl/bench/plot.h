/* Line plots as SVG that stands within an HTML page; its colours are the page's: classes line0,
 * line1, line2, grid, axis. */
#ifndef LOSSCTL_BENCH_PLOT_H
#define LOSSCTL_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/buffer.h"

enum { PLOT_LINES = 3, PLOT_TICKS = 16 };

struct plot_line {
    const char *name;
    const double *x, *y; /* borrowed */
    size_t count;
};

struct plot {
    const char *title, *x_label, *y_label; /* plain text of ours: no markup in it */
    bool log_y;                            /* then what is not above 0 is left out */
    int lines;
    struct plot_line line[PLOT_LINES];
    int ticks; /* of x, where they are named; 0: chosen here */
    double tick[PLOT_TICKS];
    const char *tick_name[PLOT_TICKS];
};

void plot_put(const struct plot *plot, struct buffer *out);

#endif
