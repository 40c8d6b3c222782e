/*
 * Error responses to requests that are rejected, cancelled or too late.
 */
#include "http/http_internal.h"

#include "admission/memory_budget.h"
#include "observe/rejections.h"

void request_count_rejection(struct request *request, enum rejection reason)
{
    rejections_add(metrics_rejections(request->http->settings.metrics), reason);
    request->reason = rejection_names[reason];
}

void request_fail_too_large(struct request *request)
{
    request_count_rejection(request, REJECTION_BODY_SIZE);
    reply_error(&request->response, 413,
                "the body is larger than %zu bytes, the limit that --max-body sets",
                request->http->settings.limits.max_body);
}

/* The status is 413 if the request can never get enough memory, or 503 if a retry may succeed. */
void request_fail_no_memory(struct request *request, const char *what)
{
    struct http *const http = request->http;
    request_count_rejection(request,
                            request->memory.never ? REJECTION_MEMORY_NEVER : REJECTION_MEMORY);
    if (request->memory.never)
        reply_error(
            &request->response, 413,
            "the request needs more than %zu bytes of memory, the maximum that --max-memory "
            "allows for one request",
            memory_budget_max_claim(http->budget));
    else
        reply_error(&request->response, 503, "insufficient memory for %s; retry later", what);
    if (!request->memory.never)
        memory_budget_note_rejection(http->budget);
}

static enum rejection rejection_reason(int status)
{
    switch (status) {
    case 413:
        return REJECTION_BODY_SIZE;
    case 414:
        return REJECTION_URL_SIZE;
    case 431:
        return REJECTION_HEADER_SIZE;
    default:
        return REJECTION_MALFORMED;
    }
}

/* The end of a malformed request is unknown, so nothing after it can be parsed. */
void request_fail_malformed(struct request *request, const struct http_error *fault)
{
    request_free_body(request);
    if (request->response.status == RESPONSE_NONE) { /* otherwise it was already rejected */
        request_count_rejection(request, rejection_reason(fault->status));
        reply_error(&request->response, fault->status, "%s", fault->detail);
    }
    request->close = true;
    request->unread = true;
}

bool request_is_cancelled(const struct request *request)
{
    return quota_cancelled(&request->memory.quota);
}

/* The status is 499 if the client disconnected, or 503 if the server is shutting down. */
void request_fail_cancelled(struct request *request)
{
    const bool ending = __atomic_load_n(&request->http->cancel_all, __ATOMIC_RELAXED);
    request_count_rejection(request, ending ? REJECTION_DRAINING : REJECTION_GONE);
    reply_error(&request->response, ending ? 503 : response_status(LOSS_CANCELLED),
                "the request was cancelled: %s",
                ending ? "the server is shutting down" : "the client disconnected");
    request->close = true;
}

/* Sets Retry-After only if at least half of the time was spent waiting. Otherwise a retry would
   also time out. */
void request_fail_timeout(struct request *request)
{
    const int64_t limit_ms = request_timeout_ms(request), waited_ms = request->waited / 1000000;
    const bool by_client = limit_ms != request->http->settings.limits.compute_timeout;
    request_count_rejection(request, REJECTION_COMPUTE_TIME);
    reply_error(
        &request->response, 503,
        "the response was not ready within %.10g seconds, the limit that %s sets; the request "
        "waited for %.1f of them",
        (double)limit_ms / 1000, by_client ? timeout_header : "--compute-timeout",
        (double)waited_ms / 1000);
    request->response.retry_after =
        2 * waited_ms < limit_ms ? 0 : executor_retry_after(request->http->settings.executor);
}

void request_fail_queue_full(struct request *request)
{
    request_count_rejection(request, REJECTION_QUEUE);
    reply_error(
        &request->response, 503,
        "too many requests are waiting to be computed; the limit that --max-queue sets is %d",
        request->http->settings.limits.max_queue);
    request->response.retry_after = executor_retry_after(request->http->settings.executor);
}

enum MHD_Result request_fail_enqueue(struct request *request)
{
    request_free_body(request);
    if (atomic_load(&request->http->ended)) {
        request_count_rejection(request, REJECTION_DRAINING);
        reply_error(&request->response, 503, "the server is shutting down");
    } else {
        request_fail_queue_full(request);
    }
    return MHD_YES;
}
