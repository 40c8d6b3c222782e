#include "support/metric_values.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/server_fixture.h"

enum { LONGEST_WAIT_MS = 60000 };

double metric_value_on(struct http_client *by, const char *line)
{
    struct http_response metrics = {.status = 0};
    ck_assert(http_client_ask(by, "GET", "/metrics", NULL, NULL, 0, &metrics));
    char name[128];
    snprintf(name, sizeof name, "\n%s ", line);
    const char *const found = strstr(metrics.body, name);
    ck_assert_msg(found != NULL, "no %s in %s", line, metrics.body);
    const double value = strtod(found + strlen(name), NULL);
    http_response_free(&metrics);
    return value;
}

double metric_value(const char *line)
{
    struct http_client asking;
    connect_client(&asking);
    const double value = metric_value_on(&asking, line);
    http_client_close(&asking);
    return value;
}

void metric_wait(const char *line, double value)
{
    for (int waited = 0; metric_value(line) != value; waited += 10) {
        ck_assert_msg(waited < LONGEST_WAIT_MS, "%s is %g, expected %g", line, metric_value(line),
                      value);
        wait_ms(10);
    }
}

void metric_wait_at_least(const char *line, double value)
{
    for (int waited = 0; metric_value(line) < value; waited += 10) {
        ck_assert_msg(waited < LONGEST_WAIT_MS, "%s is %g, expected at least %g", line,
                      metric_value(line), value);
        wait_ms(10);
    }
}
