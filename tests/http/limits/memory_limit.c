#include "memory_limit.h"

#include <check.h>

#include "support/metric_values.h"
#include "support/server_fixture.h"

void hold(struct http_client *by, const char *body)
{
    const double before = metric_value(METRIC_USED);
    announce(by, LARGE, "");
    ck_assert(http_client_send(by, body, HELD));
    metric_wait_at_least(METRIC_USED, before + HELD);
}
