/*
 * Sends the response: now, or after the rest of the body.
 */
#include "http/http_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "connection/connection_monitor.h"
#include "connection/tls.h"
#include "util/clock.h"
#include "util/digits.h"

enum {
    /* Maximum length of the body of a rejected request that is read and discarded, so that the
       connection stays usable. */
    HTTP_DISCARD_BODY = 64 * 1024,
};

/* ---- Headers ---- */

static bool add_header(struct MHD_Response *mhd_response, const char *name, const char *value)
{
    return MHD_add_response_header(mhd_response, name, value) == MHD_YES;
}

__attribute__((format(printf, 3, 4))) static bool
add_header_printf(struct MHD_Response *mhd_response, const char *name, const char *format, ...)
{
    char value[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    return add_header(mhd_response, name, value);
}

/* Writes "name;dur=12.345". Does not use snprintf, because this runs for every response. */
static char *put_duration(char *to, const char *name, double ms)
{
    to = stpcpy(stpcpy(to, name), ";dur=");
    return put_ms(to, (int64_t)(ms * 1e6));
}

static bool add_timing(struct MHD_Response *mhd_response, const struct response *response)
{
    char value[160], *to = put_duration(value, "decode", response->decode_ms);
    to = put_duration(to, ", compute", response->compute_ms);
    *put_duration(to, ", encode", response->encode_ms) = '\0';
    return add_header(mhd_response, "Server-Timing", value);
}

const char inference_header[] = "Inference-Header-Content-Length";

/* Returns true if caches may store the response: it is a successful response to GET or HEAD. */
static bool is_read(const struct request *request)
{
    return (request->response.status == 200 || request->response.status == 304) &&
           strcmp(request->method, "POST") != 0;
}

/* Adds the headers that few responses have. */
static bool add_rare_headers(const struct response *response, struct MHD_Response *mhd_response)
{
    bool added = !response->etag || add_header(mhd_response, "ETag", response->etag);
    for (const struct response_header *header = response->headers; added && header && header->name;
         header++)
        added = add_header(mhd_response, header->name, header->value);
    return added;
}

static bool add_headers(const struct request *request, struct MHD_Response *mhd_response)
{
    const struct response *response = &request->response;
    return add_header(mhd_response, "X-Request-Id", request->id) &&
           add_timing(mhd_response, response) &&
           (!request->traceparent ||
            add_header(mhd_response, "traceparent", request->traceparent)) &&
           add_header(mhd_response, "X-Content-Type-Options", "nosniff") &&
           (!response->content_type ||
            add_header(mhd_response, "Content-Type", response->content_type)) &&
           (!response->allow || add_header(mhd_response, "Allow", response->allow)) &&
           add_rare_headers(response, mhd_response) &&
           (response->inference_header == 0 ||
            add_header_printf(mhd_response, inference_header, "%zu", response->inference_header)) &&
           (!response->content_encoding ||
            add_header(mhd_response, "Content-Encoding", response->content_encoding)) &&
           (!(response->content_encoding || is_read(request)) ||
            add_header(mhd_response, "Vary", "Accept-Encoding")) &&
           (!response->accept_encoding ||
            add_header(mhd_response, "Accept-Encoding", response->accept_encoding)) &&
           (response->retry_after == 0 ||
            add_header_printf(mhd_response, "Retry-After", "%d", response->retry_after)) &&
           auth_add_headers(request->http->settings.auth, &request->identity, response->allow,
                            mhd_response) &&
           (!request->close || add_header(mhd_response, "Connection", "close"));
}

/* ---- Responses ---- */

/* Copies at most `room` bytes of the response, starting at offset `at`
   (MHD_ContentReaderCallback). */
static ssize_t read_body(void *context, uint64_t at, char *to, size_t room)
{
    const struct request *request = context;
    const struct buffer *body = &request->response.body;
    const size_t rest = body->len - (size_t)at,
                 size = rest < room ? rest : room; /* `at` is never beyond the end */
    memcpy(to, body->data + at, size);
    monitor_progress(request->monitored, at + size);
    return (ssize_t)size;
}

/* Creates the MHD_Response, which refers to the body of request->response; that exists until
   http_on_completed. Long bodies are copied piece by piece. Otherwise libmicrohttpd would send them
   in a single call, which lasts as long as the client keeps reading (25 ms for 22 MB) and delays
   the other connections of the thread. */
static struct MHD_Response *body_response(struct request *request)
{
    struct buffer *body = &request->response.body;
    if (body->len > HTTP_SEND_PIECE)
        return MHD_create_response_from_callback(body->len, HTTP_SEND_PIECE, read_body, request,
                                                 NULL);
    return MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_PERSISTENT);
}

/* Creates the MHD_Response with its headers. Returns NULL if memory is insufficient. */
static struct MHD_Response *make_response(struct request *request)
{
    struct response *response = &request->response;
    request->close |= atomic_load(&request->http->draining);
    if (response->body.failed)
        reply_error(response, 503, "insufficient memory for the response; retry later");
    struct MHD_Response *mhd_response = body_response(request);
    if (mhd_response && !add_headers(request, mhd_response)) {
        MHD_destroy_response(mhd_response);
        mhd_response = NULL;
    }
    return mhd_response;
}

struct MHD_Response *http_no_memory_response(void)
{
    static const char text[] =
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"detail\":\"insufficient memory; retry later\"}\n";
    struct MHD_Response *mhd_response = MHD_create_response_from_buffer(
        sizeof text - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (mhd_response && (!add_header(mhd_response, "Content-Type", "application/problem+json") ||
                         !add_header(mhd_response, "X-Content-Type-Options", "nosniff") ||
                         !add_header(mhd_response, "Retry-After", "1"))) {
        MHD_destroy_response(mhd_response);
        mhd_response = NULL;
    }
    return mhd_response;
}

/* ---- Sending ---- */

/* Sends the out-of-memory response that http_start created. It has no "Connection: close", so it is
   sent only if the connection may stay open. */
static enum MHD_Result send_no_memory(struct request *request)
{
    if (request->close)
        return MHD_NO;
    response_free(&request->response);
    request->response = (struct response){.status = 503};
    request->state = REQUEST_RESPONDED;
    request->enqueued = clock_ns();
    return MHD_queue_response(request->connection, 503, request->http->no_memory);
}

enum MHD_Result request_send_response(struct request *request)
{
    if (!monitor_set_phase(request->monitored, MONITOR_RESPONSE))
        return MHD_NO;
    struct MHD_Response *mhd_response = make_response(request);
    if (!mhd_response)
        return send_no_memory(request);
    if (request->response.body.len > HTTP_SEND_PIECE) /* shorter bodies report no progress */
        monitor_set_memory(request->monitored, request->response.body.len,
                           request->memory.reserved);
    request->state = REQUEST_RESPONDED;
    request->enqueued = clock_ns();
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)request->response.status, mhd_response);
    MHD_destroy_response(mhd_response); /* the connection has its own reference */
    return result;
}

/* Responds at the first call, without reading the body. libmicrohttpd then closes the connection:
   see lingering_close.h. */
static enum MHD_Result respond_before_body(struct request *request)
{
    request->unread = true;
    return request_send_response(request);
}

enum MHD_Result request_respond_after_headers(struct request *request)
{
    const struct framing *framing = &request->framing;
    bool body = framing->chunked || framing->length > 0;
    if (!body) {
        /* libmicrohttpd would close the connection after a response at the first call. The next
           call follows immediately. */
        request->state = REQUEST_READY;
        return MHD_YES;
    }
    /* A client that waits for "100 Continue" must get the response before it sends the body. */
    if (framing->chunked || framing->expects_continue || framing->length > HTTP_DISCARD_BODY)
        return respond_before_body(request);
    request->state = REQUEST_DISCARDING;
    request->discard_limit = framing->length;
    return MHD_YES;
}

/* ---- Sending without libmicrohttpd ---- */

static enum MHD_Result append_header(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind;
    buffer_printf(context, "%s: %s\r\n", name, value);
    return MHD_YES;
}

/* Writes directly to the socket, bypassing libmicrohttpd. Returns false unless all bytes are sent
   immediately. */
static bool send_now(struct request *request, const struct buffer *text)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (request->connection_info->listen_address->secure)
        return tls_send(connection_tls_session(request->connection), text->data, text->len);
    return send(info->connect_fd, text->data, text->len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)text->len;
}

/* libmicrohttpd cannot respond in the middle of a body: it would wait for the end of the body,
   which may never arrive. So this function writes the response, a few hundred bytes, directly to
   the socket; no part of it has been sent yet. lingering_close.h reads what the client still
   sends. */
enum MHD_Result request_respond_and_close(struct request *request)
{
    const struct buffer *body = &request->response.body;
    struct buffer text = {.data = NULL};
    if (!monitor_set_phase(request->monitored,
                           MONITOR_RESPONSE)) /* the monitor has closed the connection */
        return MHD_NO;
    request->close = true;
    struct MHD_Response *mhd_response = make_response(request);
    if (!mhd_response)
        goto cleanup;
    unsigned status = (unsigned)request->response.status;
    buffer_printf(&text, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n", status,
                  MHD_get_reason_phrase_for(status), body->len);
    MHD_get_response_headers(mhd_response, append_header, &text);
    buffer_text(&text, "\r\n");
    buffer_append(&text, body->data, body->len);
    if (!text.failed)
        request->sent_directly = send_now(request, &text);
cleanup:
    if (mhd_response)
        MHD_destroy_response(mhd_response);
    buffer_free(&text);
    return MHD_NO;
}

/* ---- Compression ---- */

/* Enqueues the compression of the response. If the queue is full, leaves the response uncompressed,
   or fails if the client accepts only compressed responses. */
static enum MHD_Result enqueue_compression(struct request *request)
{
    if (request_enqueue_compute(request))
        return MHD_YES;
    if (request->content_coding.choice.required)
        return request_fail_enqueue(request);
    request->content_coding.choice.encoding = ENCODING_IDENTITY;
    return MHD_YES;
}

/* Returns true if compressing the response takes too long for an I/O thread. */
static bool is_long_compression(const struct request *request)
{
    return request->response.body.len > COMPRESS_INLINE_MAX &&
           !(request->route && request->route->inline_only);
}

/* If the response is too long to be compressed on the I/O thread and the executor is busy, sends it
   uncompressed if the client accepts that. So documentation pages do not wait for a job. */
enum MHD_Result request_finish_response(struct request *request)
{
    struct content_coding *const content_coding = &request->content_coding;
    const bool due = content_coding_due(content_coding, &request->response);
    if (due && !is_long_compression(request))
        content_coding_compress(content_coding, 1, &request->response);
    else if (due && (content_coding->choice.required ||
                     executor_is_idle(request->http->settings.executor)))
        return enqueue_compression(request);
    request_keep_response_memory(request);
    return request_send_response(request);
}
