/*
 * Memory for a request: reserved before its body, waited for, and trimmed to its answer.
 */
#include "http/http_internal.h"

#include <stddef.h>

#include "connection/connection_monitor.h"
#include "util/clock.h"

enum {
    HTTP_BODY_FACTOR = 2,  /* what a request is expected to need in all, by its body: numbers and
                               answer are about as large */
    HTTP_CODED_FACTOR = 5, /* the same, of a body that is compressed */
    HTTP_REQUEST_BYTES = 64 * 1024, /* that are expected of any request that has a body */
    HTTP_ANSWER_FREE =
        4096, /* bytes of an answer that are not counted: those of a connection do for it */
};

/* What a request with a body of so many bytes, as long as one is known, is expected to need. */
size_t request_expected_bytes(const struct request *request, size_t bytes)
{
    const size_t factor =
        request->transfer.content.coding == CODING_IDENTITY ? HTTP_BODY_FACTOR : HTTP_CODED_FACTOR;
    const size_t expected =
        HTTP_REQUEST_BYTES + bytes * factor; /* --max-body is far from overflowing */
    const size_t most = memory_budget_max_claim(request->http->budget);
    return expected < most ? expected : most;
}

/* As watch_holds has it. */
uint64_t request_body_length(const struct request *request)
{
    return request->framing.chunked ? WATCH_ANY_LENGTH : request->framing.length;
}

/* Refuses a request that waited for memory. */
static void fail_memory_wait(struct request *request)
{
    const bool whole = request->state == REQUEST_GATHERING;
    if (whole)
        request->waited = clock_ns() - request->whole;
    if (request_is_cancelled(request))
        request_fail_cancelled(request);
    else if (whole && clock_ns() >= request_deadline(request))
        request_fail_timeout(request);
    else
        request_fail_no_memory(request, "this request");
    if (whole)
        request_free_body(request);
    else
        watch_turn(request->watched, WATCH_BODY);
    request->state = whole ? REQUEST_READY : REQUEST_LATE;
    MHD_resume_connection(request->connection);
}

/* Memory was found for a request, or its time to wait for it is up. From any thread. */
static void on_memory(struct reservation *memory, bool granted)
{
    struct request *const request =
        (struct request *)(void *)((char *)memory - offsetof(struct request, memory));
    if (!granted) {
        fail_memory_wait(request);
    } else if (request->state == REQUEST_GATHERING) {
        request->waited = clock_ns() - request->whole;
        if (request_enqueue_suspended(request))
            return;
        request_fail_enqueue(request);
        MHD_resume_connection(request->connection);
    } else {
        request->state = REQUEST_RECEIVING;
        watch_turn(request->watched, WATCH_BODY);
        watch_holds(request->watched, request_body_length(request), request->memory.reserved);
        MHD_resume_connection(request->connection);
    }
}

/* Leaves what is still to come of the body with the client until there is memory for what was last
 * asked for. */
void request_wait_for_memory(struct request *request, enum request_state state)
{
    const int64_t deadline = state == REQUEST_GATHERING ? request_deadline(request) : INT64_MAX;
    request->state = state;
    request->memory.quota.asked = NULL; /* this thread's, which does not work on it meanwhile */
    watch_turn(request->watched, WATCH_NOTHING);
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
        watch_holds(request->watched, request_body_length(request), request->memory.reserved);
        return MHD_YES;
    }
    if (framing->has_length && reservation_may_wait(&request->memory)) {
        request_wait_for_memory(request, REQUEST_WAITING);
        return MHD_YES;
    }
    request_fail_no_memory(request, "this request");
    return request_reply_after_headers(request);
}

/* Once the answer is known: keeps the memory for it, and gives back the rest. */
void request_keep_response_memory(struct request *request)
{
    struct buffer *const body = &request->reply.body;
    const size_t piece =
        body->len > HTTP_SEND_PIECE ? HTTP_SEND_PIECE : 0; /* that libmicrohttpd copies */
    struct quota *const quota = &request->memory.quota;
    if (request->kept)
        return;
    request->kept = true;
    const bool probe = request->route &&
                       request->route->scope != SCOPE_MAIN; /* needed most when memory is used up */
    const size_t bytes =
        piece + (body->quota || body->capacity <= HTTP_ANSWER_FREE ? 0 : body->capacity);
    if (!probe && bytes > 0 && !quota_reserve(quota, bytes))
        request_fail_no_memory(request, "the answer");
    reservation_trim(&request->memory);
}
