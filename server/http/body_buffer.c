/*
 * Stores or discards the body, piece by piece. strict_parser.c has already checked the chunked
 * framing.
 */
#include "http/http_internal.h"

#include <string.h>

#include "connection/connection_monitor.h"
#include "memory/block_cache.h"
#include "mhd_workarounds/strict_parser.h"

enum {
    /* Initial size of the buffer in bytes. The buffer grows with the bytes that have arrived,
       regardless of Content-Length. */
    HTTP_BODY_START = 64 * 1024,
    HTTP_BODY_DOUBLES = 2 << 20, /* bytes; smaller buffers double when they grow */
    /* Larger buffers grow by 1/4, rounded up to huge pages, which the kernel remaps without
       copying. */
    HTTP_BODY_GROWTH = 4,
};

void request_free_body(struct request *request)
{
    prepared_free(request->prepared);
    request->prepared = NULL;
    block_cache_free(request->body, request->capacity + 1);
    quota_release(&request->memory.quota, request->body ? request->capacity + 1 : 0);
    request->body = NULL;
    request->len = request->capacity = 0;
}

void request_discard_body(struct request *request)
{
    request_free_body(request);
    reservation_trim(&request->memory);
    monitor_set_memory(request->monitored, 0, 0);
    request->state = REQUEST_DISCARDING;
    request->discard_limit = request->http->settings.limits.max_body;
}

/* Resizes the buffer to `size` bytes plus one for a NUL. Returns false if memory is
   insufficient. */
static bool resize_body(struct request *request, size_t size)
{
    const size_t before = request->body ? request->capacity + 1 : 0, more = size + 1 - before;
    if (!quota_reserve(&request->memory.quota, more))
        return false;
    const struct framing *const framing = &request->framing;
    const size_t expected = framing->has_length ? (size_t)framing->length : size;
    char *body = block_cache_grow(request->body, before, size + 1, expected + 1);
    if (!body) {
        quota_release(&request->memory.quota, more);
        return false;
    }
    request->body = body;
    request->capacity = size;
    return true;
}

/* Returns the buffer size for a body of `wanted` bytes, at most max_body. */
static size_t next_capacity(const struct request *request, size_t wanted)
{
    const struct framing *const framing = &request->framing;
    const size_t has = request->capacity, limit = request->http->settings.limits.max_body;
    const size_t max = framing->has_length ? (size_t)framing->length : limit;
    size_t next = has < HTTP_BODY_DOUBLES ? has * 2 : has + has / HTTP_BODY_GROWTH;
    if (next > HTTP_BODY_DOUBLES) /* leave one byte for a NUL */
        next = next / HTTP_BODY_DOUBLES * HTTP_BODY_DOUBLES + HTTP_BODY_DOUBLES - 1;
    if (next < HTTP_BODY_START)
        next = HTTP_BODY_START;
    if (next > max)
        next = max;
    return next > wanted ? next : wanted;
}

static void append_chunk(struct request *request, const char *data, size_t size)
{
    memcpy(request->body + request->len, data, size);
    request->len += size;
    monitor_set_memory(request->monitored, request_body_length(request), request->memory.reserved);
}

/* Stores a piece of the body, or rejects the request. If the piece must wait for memory, returns
   false without storing it. */
static bool store_chunk(struct request *request, const char *data, size_t size)
{
    const size_t wanted = request->len + size, has = request->body ? request->capacity + 1 : 0;
    /* Only a chunked body can be too long here, because validate_body_head checks
       Content-Length. */
    if (size > request->http->settings.limits.max_body - request->len) {
        request_fail_too_large(request);
        request_discard_body(request);
        return true;
    }
    const size_t next =
        wanted > request->capacity ? next_capacity(request, wanted) : request->capacity;
    const bool room =
        reservation_extend(&request->memory, next > request->capacity ? next + 1 - has : 0,
                           request_expected_bytes(request, next));
    if (!room && reservation_may_wait(&request->memory)) {
        request_wait_for_memory(request, REQUEST_WAITING_FOR_BODY_MEMORY);
        return false;
    }
    if (!room || (next > request->capacity && !resize_body(request, next))) {
        request_fail_no_memory(request, "the body");
        request_discard_body(request);
    } else {
        append_chunk(request, data, size);
    }
    return true;
}

enum MHD_Result request_on_body_chunk(struct request *request, const char *data, size_t *size)
{
    const struct http_error fault = strict_parser_early_fault(request->parser, request->number);
    if (fault.status != 0) {
        request->received += *size;
        request_fail_malformed(request, &fault);
        return request_respond_and_close(request);
    }
    const bool wanted = request->state == REQUEST_RECEIVING;
    if (wanted && !store_chunk(request, data, *size))
        return MHD_YES; /* libmicrohttpd delivers the piece again */
    request->received += *size;
    monitor_progress(request->monitored, request->received);
    if (!wanted && request->state == REQUEST_DISCARDING) {
        if (*size > request->discard_limit)
            return request_respond_and_close(request);
        request->discard_limit -= *size;
    }
    *size = 0;
    return MHD_YES;
}
