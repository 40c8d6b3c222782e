#include "memory_limit.h"

#include <check.h>
#include <sys/socket.h>

#include "support/metric_values.h"
#include "support/server_fixture.h"

void hold(struct http_client *by, const char *body)
{
    const double before = metric_value(METRIC_USED);
    announce(by, LARGE, "");
    ck_assert(http_client_send(by, body, HELD));
    metric_wait_at_least(METRIC_USED, before + HELD);
}

void connect_waiter(struct http_client *by, size_t len, const char *headers, int waiting)
{
    connect_and_announce(by, len, headers);
    metric_wait(METRIC_WAITING, waiting);
}

void send_until_waiting(struct http_client *by, const char *body, size_t len)
{
    for (size_t at = 0; at < len && metric_value(METRIC_WAITING) < 1;) {
        const ssize_t sent = send(by->fd, body + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
    }
    metric_wait(METRIC_WAITING, 1);
}
