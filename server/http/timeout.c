/*
 * The time limit of a request: X-Request-Timeout and --compute-timeout.
 */
#include "http/http_internal.h"

#include "util/duration.h"
#include "json/scanner.h"

enum {
    HTTP_TIMEOUT_MAX_MS = 86400000,
};

const char timeout_header[] = "X-Request-Timeout";

bool request_read_timeout(struct request *request)
{
    char quote[JSON_QUOTE];
    uint64_t ms = 0;
    if (request->timeouts == 0)
        return true;
    if (request->timeouts > 1) {
        reply_error(&request->response, 400, "%u %s headers; expected at most one",
                    request->timeouts, timeout_header);
        return false;
    }
    if (!duration_read(request->timeout, &ms) || ms == 0 || ms > HTTP_TIMEOUT_MAX_MS) {
        reply_error(&request->response, 400,
                    "%s is '%s'; expected a number of seconds from 0.001 to %d with at most three "
                    "decimals, such as 2.5",
                    timeout_header, json_quote(request->timeout, quote),
                    HTTP_TIMEOUT_MAX_MS / 1000);
        return false;
    }
    request->timeout_ms = (int64_t)ms;
    return true;
}

int64_t request_timeout_ms(const struct request *request)
{
    const int64_t server_ms = request->http->settings.limits.compute_timeout,
                  client_ms = request->timeout_ms;
    return client_ms > 0 && (server_ms == 0 || client_ms < server_ms) ? client_ms : server_ms;
}

int64_t request_deadline(const struct request *request)
{
    const int64_t limit_ms = request_timeout_ms(request);
    return limit_ms > 0 ? request->body_complete + limit_ms * 1000000 : INT64_MAX;
}
