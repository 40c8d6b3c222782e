/* Line plots as SVG elements within an HTML page, which defines the colors of the classes line0,
   line1, line2, grid and axis. Texts are not escaped: they must not contain '<', '&' or quotes. */
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
    const char *title, *x_label, *y_label;
    bool log_y; /* values that are not positive are omitted */
    int lines;
    struct plot_line line[PLOT_LINES];
    int ticks; /* named ticks of the x axis; 0: chosen from the data */
    double tick[PLOT_TICKS];
    const char *tick_name[PLOT_TICKS];
};

/* Appends the SVG element. */
void plot_put(const struct plot *plot, struct buffer *out);

#endif
