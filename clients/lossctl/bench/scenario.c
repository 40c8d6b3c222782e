#include "bench/scenario.h"

#include <stdio.h>

double scenario_quantity(const struct scenario *scenario, enum quantity quantity)
{
    static const double fractions[] = {[P50] = 0.5, [P90] = 0.9, [P99] = 0.99, [P999] = 0.999};
    const struct load_result *const result = &scenario->result;
    const double errors = (double)load_errors(result), all = errors + (double)result->answered;
    switch (quantity) {
    case LATENCY_MAX:
        return (double)result->latency.max / 1e6;
    case LATENCY_MEAN:
        return histogram_mean(&result->latency);
    case ERRORS:
        return errors;
    case ERROR_RATE:
        return all > 0 ? errors / all : 0;
    case THROUGHPUT:
        return load_throughput(result);
    default:
        return histogram_percentile(&result->latency, fractions[quantity]);
    }
}

const char *scenario_label(const struct scenario *scenario, char *text)
{
    snprintf(text, SCENARIO_LABEL, "%s, %zu element%s, %s, %d connection%s", scenario->spec,
             scenario->size, scenario->size == 1 ? "" : "s", payload_names[scenario->format],
             scenario->connections, scenario->connections == 1 ? "" : "s");
    return text;
}
