#include "bench/plot.h"

#include <math.h>

/* The size of the image, and the margins around the plot, in units of its viewBox. */
enum { WIDTH = 560, HEIGHT = 260, LEFT = 64, RIGHT = 12, TOP = 30, BOTTOM = 44 };
enum { TICKS = 5 }; /* approximate number of ticks of an axis */

struct frame {
    double x_min, x_max, y_min, y_max; /* range of y, or of log10(y) if log_y */
    bool log_y;
};

static double x_position(const struct frame *f, double x)
{
    return LEFT + (x - f->x_min) / (f->x_max - f->x_min) * (WIDTH - LEFT - RIGHT);
}

static double y_position(const struct frame *f, double y)
{
    const double value = f->log_y ? log10(y) : y;
    return HEIGHT - BOTTOM - (value - f->y_min) / (f->y_max - f->y_min) * (HEIGHT - TOP - BOTTOM);
}

static bool is_plotted(const struct plot *plot, double y)
{
    return isfinite(y) && (!plot->log_y || y > 0);
}

/* Returns a frame that encloses all points; x_min is infinite if there are none. A linear scale of
   y begins at 0, a logarithmic one at a power of ten. */
static struct frame frame_of(const struct plot *plot)
{
    struct frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY, plot->log_y};
    for (int i = 0; i < plot->lines; i++)
        for (size_t k = 0; k < plot->line[i].count; k++) {
            const double x = plot->line[i].x[k], y = plot->line[i].y[k];
            if (!is_plotted(plot, y))
                continue;
            const double value = plot->log_y ? log10(y) : y;
            f.x_min = fmin(f.x_min, x);
            f.x_max = fmax(f.x_max, x);
            f.y_min = fmin(f.y_min, value);
            f.y_max = fmax(f.y_max, value);
        }
    f.y_min = plot->log_y ? floor(f.y_min) : 0;
    f.y_max = plot->log_y ? ceil(f.y_max) : f.y_max * 1.05;
    if (!(f.x_max > f.x_min))
        f.x_max = f.x_min + 1;
    if (!(f.y_max > f.y_min))
        f.y_max = f.y_min + 1;
    return f;
}

/* Returns 1, 2 or 5 times a power of ten, so that the range has about TICKS steps. */
static double step_of(double range)
{
    const double rough = range / TICKS, power = pow(10, floor(log10(rough))), digit = rough / power;
    if (digit < 1.5)
        return power;
    if (digit < 3.5)
        return 2 * power;
    return digit < 7.5 ? 5 * power : 10 * power;
}

/* Labels large numbers in thousands or millions to save space. */
static void put_y_tick(const struct frame *f, double y, struct buffer *out)
{
    const double at = y_position(f, y);
    const char *unit = "";
    if (y >= 1e6) {
        y /= 1e6;
        unit = "M";
    } else if (y >= 1e4) {
        y /= 1e3;
        unit = "k";
    }
    buffer_printf(
        out,
        "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"axis\" x=\"%d\" y=\"%.1f\" "
        "text-anchor=\"end\">%.4g%s</text>\n",
        LEFT, at, WIDTH - RIGHT, LEFT - 6, at + 4, y, unit);
}

static void put_x_tick(const struct frame *f, double x, const char *name, struct buffer *out)
{
    const double at = x_position(f, x);
    buffer_printf(out,
                  "<path class=\"grid\" d=\"M%.1f %dV%d\"/><text class=\"axis\" x=\"%.1f\" "
                  "y=\"%d\" text-anchor=\"middle\">",
                  at, TOP, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 16);
    if (name)
        buffer_text(out, name);
    else
        buffer_printf(out, "%.4g", x);
    buffer_text(out, "</text>\n");
}

static void put_ticks(const struct plot *plot, const struct frame *f, struct buffer *out)
{
    const double y_step = f->log_y ? 1 : step_of(f->y_max - f->y_min),
                 x_step = step_of(f->x_max - f->x_min);
    for (int i = 0; i <= (int)((f->y_max - f->y_min) / y_step + 1e-6); i++)
        put_y_tick(f, f->log_y ? pow(10, f->y_min + i) : f->y_min + i * y_step, out);
    for (int i = 0; i < plot->ticks; i++)
        if (plot->tick[i] >= f->x_min && plot->tick[i] <= f->x_max)
            put_x_tick(f, plot->tick[i], plot->tick_name[i], out);
    const double first = ceil(f->x_min / x_step) * x_step;
    for (int i = 0; plot->ticks == 0 && i <= (int)((f->x_max - first) / x_step + 1e-6); i++)
        put_x_tick(f, first + i * x_step, NULL, out);
}

static void put_line(const struct plot *plot, int i, const struct frame *f, struct buffer *out)
{
    const struct plot_line *const line = &plot->line[i];
    bool drawing = false;
    buffer_printf(out, "<path class=\"line%d\" d=\"", i);
    for (size_t k = 0; k < line->count; k++) {
        const bool plotted = is_plotted(plot, line->y[k]);
        if (plotted)
            buffer_printf(out, "%s%.1f %.1f", drawing ? "L" : "M", x_position(f, line->x[k]),
                          y_position(f, line->y[k]));
        drawing = plotted;
    }
    buffer_printf(out, "\"><title>%s</title></path>\n", line->name);
    if (plot->lines > 1)
        buffer_printf(out,
                      "<path class=\"line%d\" d=\"M%d 22h18\"/><text class=\"axis\" x=\"%d\" "
                      "y=\"26\">%s</text>\n",
                      i, WIDTH - 250 + 84 * i, WIDTH - 228 + 84 * i, line->name);
}

void plot_put(const struct plot *plot, struct buffer *out)
{
    const struct frame f = frame_of(plot);
    buffer_printf(out,
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n<text "
                  "class=\"name\" x=\"%d\" y=\"18\">%s</text>\n",
                  WIDTH, HEIGHT, plot->title, LEFT, plot->title);
    if (isfinite(f.y_min) && isfinite(f.x_min)) {
        put_ticks(plot, &f, out);
        for (int i = 0; i < plot->lines; i++)
            put_line(plot, i, &f, out);
    }
    buffer_printf(out,
                  "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n"
                  "<text class=\"axis\" transform=\"translate(14 %d) rotate(-90)\" "
                  "text-anchor=\"middle\">%s</text>\n</svg>\n",
                  (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, plot->x_label,
                  (TOP + HEIGHT - BOTTOM) / 2, plot->y_label);
}
