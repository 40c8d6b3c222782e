/*
 * Reserves memory for a request before its body arrives, waits for it if necessary, and later
 * reduces the reservation to what the response needs.
 */
#include "http/http_internal.h"

#include <stddef.h>

#include "connection/connection_monitor.h"
#include "util/clock.h"

enum {
    /* A request is expected to need HTTP_REQUEST_BYTES plus this multiple of its body: the numbers
       and the response are about as large as the body. */
    HTTP_BODY_FACTOR = 2,
    HTTP_CODED_FACTOR = 5,          /* the multiple for a compressed body */
    HTTP_REQUEST_BYTES = 64 * 1024, /* bytes, regardless of the size of the body */
    HTTP_RESPONSE_FREE =
        4096, /* bytes; responses up to this size count as part of the connection's memory */
};

size_t request_expected_bytes(const struct request *request, size_t bytes)
{
    const size_t factor = request->content_coding.content.encoding == ENCODING_IDENTITY
                              ? HTTP_BODY_FACTOR
                              : HTTP_CODED_FACTOR;
    /* Cannot overflow: --max-body is small enough. */
    const size_t expected = HTTP_REQUEST_BYTES + bytes * factor;
    const size_t max_claim = memory_budget_max_claim(request->http->budget);
    return expected < max_claim ? expected : max_claim;
}

uint64_t request_body_length(const struct request *request)
{
    return request->framing.chunked ? MONITOR_ANY_LENGTH : request->framing.length;
}

/* Rejects a request that waited for memory, and resumes its connection. */
static void fail_memory_wait(struct request *request)
{
    const bool whole = request->state == REQUEST_WAITING_FOR_COMPUTE_MEMORY;
    if (whole)
        request->waited = clock_ns() - request->body_complete;
    if (request_is_cancelled(request))
        request_fail_cancelled(request);
    else if (whole && clock_ns() >= request_deadline(request))
        request_fail_timeout(request);
    else
        request_fail_no_memory(request, "the request");
    if (whole)
        request_free_body(request);
    else
        monitor_set_phase(request->monitored, MONITOR_BODY);
    request->state = whole ? REQUEST_READY : REQUEST_REJECTED;
    MHD_resume_connection(request->connection);
}

/* Called on any thread when the wait for memory ends. */
static void on_memory(struct reservation *memory, bool granted)
{
    struct request *const request =
        (struct request *)(void *)((char *)memory - offsetof(struct request, memory));
    if (!granted) {
        fail_memory_wait(request);
    } else if (request->state == REQUEST_WAITING_FOR_COMPUTE_MEMORY) {
        request->waited = clock_ns() - request->body_complete;
        if (request_enqueue_suspended(request))
            return;
        request_fail_enqueue(request);
        MHD_resume_connection(request->connection);
    } else {
        request->state = REQUEST_RECEIVING;
        monitor_set_phase(request->monitored, MONITOR_BODY);
        monitor_set_memory(request->monitored, request_body_length(request),
                           request->memory.reserved);
        MHD_resume_connection(request->connection);
    }
}

void request_wait_for_memory(struct request *request, enum request_state state)
{
    const int64_t deadline =
        state == REQUEST_WAITING_FOR_COMPUTE_MEMORY ? request_deadline(request) : INT64_MAX;
    request->state = state;
    request->memory.quota.heartbeat = NULL; /* it belongs to this thread */
    monitor_set_phase(request->monitored, MONITOR_COMPUTING);
    MHD_suspend_connection(request->connection);
    if (!reservation_wait(&request->memory,
                          deadline < INT64_MAX ? deadline / 1000000 + 1 : deadline, on_memory))
        fail_memory_wait(request);
}

enum MHD_Result request_reserve_memory(struct request *request)
{
    const struct framing *const framing = &request->framing;
    const size_t claim = request_expected_bytes(request, (size_t)framing->length);
    request->state = REQUEST_RECEIVING;
    if (reservation_is_possible(&request->memory, (size_t)framing->length + 1) &&
        reservation_begin(&request->memory, claim)) {
        monitor_set_memory(request->monitored, request_body_length(request),
                           request->memory.reserved);
        return MHD_YES;
    }
    if (framing->has_length && reservation_may_wait(&request->memory)) {
        request_wait_for_memory(request, REQUEST_WAITING_FOR_BODY_MEMORY);
        return MHD_YES;
    }
    request_fail_no_memory(request, "the request");
    return request_respond_after_headers(request);
}

void request_keep_response_memory(struct request *request)
{
    struct buffer *const body = &request->response.body;
    /* libmicrohttpd allocates a buffer for one piece. */
    const size_t piece = body->len > HTTP_SEND_PIECE ? HTTP_SEND_PIECE : 0;
    struct quota *const quota = &request->memory.quota;
    if (request->kept)
        return;
    request->kept = true;
    /* Health checks and metrics must work even if no memory is left. */
    const bool probe = request->route && request->route->scope != SCOPE_MAIN;
    const size_t bytes =
        piece + (body->quota || body->capacity <= HTTP_RESPONSE_FREE ? 0 : body->capacity);
    if (!probe && bytes > 0 && !quota_reserve(quota, bytes))
        request_fail_no_memory(request, "the response");
    reservation_trim(&request->memory);
}
