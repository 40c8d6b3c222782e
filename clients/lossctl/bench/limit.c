#include "bench/limit.h"
#include "number/number.h"

#include <string.h>

static const struct {
    const char *name;
    enum quantity quantity;
} names[] = {
    {"p50", P50},         {"p90", P90},           {"p99", P99},       {"p99.9", P999},
    {"max", LATENCY_MAX}, {"mean", LATENCY_MEAN}, {"errors", ERRORS}, {"throughput", THROUGHPUT}};
enum { NAMES = sizeof names / sizeof names[0] };

/* Parses the text after the '='. A percentage of errors changes the quantity to ERROR_RATE. Returns
   false if the text is not a valid value of the quantity. */
static bool read_bound(struct limit *limit, const char *text)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}};
    const char *const end = number_read_f64(text, &limit->bound);
    if (!end || limit->bound < 0)
        return false;
    if (limit->quantity == ERRORS && strcmp(end, "%") == 0) {
        limit->quantity = ERROR_RATE;
        limit->bound /= 100;
        return true;
    }
    if (limit->quantity == ERRORS || limit->quantity == THROUGHPUT)
        return *end == '\0';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0) {
            limit->bound *= units[i].ms;
            return true;
        }
    return false;
}

static const char *example_of(enum quantity quantity)
{
    if (quantity == ERRORS)
        return "0 or errors=0.1%";
    return quantity == THROUGHPUT ? "1000" : "50ms, 800us or 2s";
}

enum exit_code limit_read(struct limit *limit, const char *text)
{
    const size_t len = strcspn(text, "=");
    *limit = (struct limit){.quantity = QUANTITY_COUNT, .text = text};
    for (int i = 0; i < NAMES; i++)
        if (strlen(names[i].name) == len && strncmp(names[i].name, text, len) == 0)
            limit->quantity = names[i].quantity;
    if (limit->quantity == QUANTITY_COUNT)
        return fail(EXIT_USAGE,
                    "--limit is '%s'; it must limit p50, p90, p99, p99.9, max, mean, errors "
                    "or throughput",
                    text);
    if (text[len] != '=' || !read_bound(limit, text + len + 1))
        return fail(EXIT_USAGE, "--limit is '%s'; expected a limit such as %.*s=%s", text, (int)len,
                    text, example_of(limit->quantity));
    return EXIT_OK;
}

bool limit_is_met(const struct scenario *scenario, const struct limit *limit)
{
    const double found = scenario_quantity(scenario, limit->quantity);
    if (scenario->result.answered == 0) /* nothing was measured */
        return false;
    return limit->quantity == THROUGHPUT ? found >= limit->bound : found <= limit->bound;
}
