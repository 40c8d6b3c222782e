/*
 * Graceful shutdown: waits until requests are complete and clients have received the responses.
 */
#include "http/http_internal.h"

#include <time.h>

#include "admission/memory_budget.h"
#include "connection/connection_limits.h"
#include "connection/connection_monitor.h"
#include "observe/log.h"
#include "util/clock.h"

enum {
    HTTP_DRAIN_RESPONSE_MS =
        2000,                 /* for clients to read the error responses of cancelled requests */
    HTTP_DRAIN_IDLE_MS = 100, /* period without requests, after which none is in transit */
    HTTP_DRAIN_POLL_MS = 2,   /* polling interval of wait_closed */
};

/* Waits for at most `limit_ms` milliseconds until no request is in progress. Returns false on
   timeout. */
static bool wait_idle(struct http *http, int64_t limit_ms)
{
    struct timespec until = {0};
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit_ms / 1000;
    until.tv_nsec += limit_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int error = 0;
    pthread_mutex_lock(&http->mutex);
    while (http->active > 0 && error == 0)
        error = pthread_cond_timedwait(&http->idle, &http->mutex, &until);
    bool idle = http->active == 0;
    pthread_mutex_unlock(&http->mutex);
    return idle;
}

void http_set_draining(struct http *http)
{
    atomic_store(&http->draining, true);
}

static void cancel_requests(struct http *http)
{
    __atomic_store_n(&http->cancel_all, true, __ATOMIC_RELAXED);
    monitor_cancel_requests(http->monitor);
    memory_budget_close(http->budget);
}

/* Waits for at most `limit_ms` milliseconds until all connections are closed. Returns false on
   timeout. */
static bool wait_closed(struct http *http, int64_t limit_ms)
{
    const int64_t end = clock_ms() + limit_ms;
    while (connections_count(http->connections) > 0) {
        if (clock_ms() >= end)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = HTTP_DRAIN_POLL_MS * 1000000L}, NULL);
    }
    return true;
}

/* Waits for at most --drain-timeout until all requests are complete. Then cancels the remaining
   requests and gives their clients HTTP_DRAIN_RESPONSE_MS to read the error response. */
static void wait_for_clients(struct http *http)
{
    const int64_t late = clock_ms() + http->settings.limits.drain_timeout,
                  end = late + HTTP_DRAIN_RESPONSE_MS;
    while (clock_ms() < end) {
        unsigned long long served = atomic_load(&http->served);
        if (clock_ms() >= late)
            cancel_requests(http);
        if (!wait_idle(http, HTTP_DRAIN_IDLE_MS))
            continue;
        /* A request may be in transit on a keep-alive connection. Wait for it, so that its response
           can contain "Connection: close". */
        if (wait_closed(http, HTTP_DRAIN_IDLE_MS))
            return;
        if (!monitor_expects_request(http->monitor) && atomic_load(&http->served) == served)
            return;
    }
    log_message(LOG_LEVEL_WARNING,
                "closing the connections of slow clients: the drain timeout has expired");
}

void http_drain(struct http *http)
{
    http_set_draining(http);
    wait_for_clients(http);
    atomic_store(&http->ended, true);
}
