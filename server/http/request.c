/*
 * The HTTP server: what becomes of each request between its first header and its last byte.
 *
 * libmicrohttpd calls on_request several times for one request, always on the I/O thread that has
 * the connection: once when the headers are in, once for each piece of the body, once when all is
 * in, and once more when a suspended connection was resumed. What to do next is kept in
 * request.state:
 *
 *                    refused, body long or not to be trusted
 *     (first call) ---------------------------------------------------------------> ANSWERED
 *          |  |  refused, body short, or too long without having said so
 *          |  +-----------------------> DISCARDING ------ all is in -------> READY --> ANSWERED
 *          |  answered from the headers alone                                  ^
 *          |  +----------------------------------------------------------------+
 *          v                                                                   |
 *      WAITING (until there is memory) -- too late ---> LATE: answered and dropped
 *          |  ^ the body grows                                                 |
 *      RECEIVING -- all is in, small: computed at once ------------------------+
 *          |  +------- all is in, no memory to compute: GATHERING -- too late -+  resumed
 *          |                                      v                            |
 *          +------- all is in, large: queued --> COMPUTING --------------------+  resumed
 *
 * READY goes to COMPUTING once if the executor has to compress the answer.
 *
 * Who owns a request (struct request): the I/O thread, from the first call until on_completed frees
 * it, except in three states. In COMPUTING it belongs to the executor, in WAITING and GATHERING to
 * memory_budget.h, and from there it may be given to the executor without the I/O thread. Each of
 * them gives it back by a call of on_job_done or on_memory, on any thread: the executor's two, the
 * one of connection_monitor.h, or an I/O thread that frees memory or queues a job. That is safe
 * because of three things. (1) The connection is suspended before the request is given away, and
 * libmicrohttpd does nothing to a suspended connection, it does not even notice that the client has
 * gone: so neither on_request nor on_completed can run meanwhile. (2) The last thing that is done
 * to a request before it is given back is MHD_resume_connection; from that call on the I/O thread
 * may free it, so neither the request nor the connection is touched again. (3)
 * MHD_resume_connection locks the same mutex under which the I/O thread takes the connection back,
 * so whatever was written is seen there.
 *
 * A client that resets or closes its connection in the meantime is noticed by connection_monitor.h,
 * and its work is given up; in any case sending fails, and on_completed frees the request as ever.
 */
#include "http/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connection/connection_monitor.h"
#include "mhd_workarounds/strict_parser.h"
#include "observe/log.h"
#include "observe/traceparent.h"
#include "routes/router.h"
#include "system/watchdog.h"
#include "util/clock.h"
#include "util/digits.h"
#include "util/header_value.h"

/* ---- Identity ---- */

/* Headers that tell a request from others, and how long its answer may take. */
struct identity {
    const char *id, *traceparent;
    unsigned traceparents;
    const char *timeout;
    unsigned timeouts;
};

static enum MHD_Result read_identity_header(void *context, enum MHD_ValueKind kind,
                                            const char *name, const char *value)
{
    struct identity *const identity = context;
    (void)kind;
    if (value && strcasecmp(name, "X-Request-Id") == 0 && !identity->id) {
        identity->id = value;
    } else if (value && strcasecmp(name, "traceparent") == 0) {
        identity->traceparent = value;
        identity->traceparents++;
    } else if (value && strcasecmp(name, timeout_header) == 0) {
        identity->timeout = value;
        identity->timeouts++;
    }
    return MHD_YES;
}

static void set_identity(struct request *request)
{
    unsigned long long number = atomic_fetch_add(&request->http->served, 1);
    struct identity given = {.id = NULL};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, read_identity_header, &given);
    if (given.id && is_request_id(given.id))
        snprintf(request->id, sizeof request->id, "%s", given.id);
    else
        *put_digits(stpcpy(stpcpy(request->id, request->http->id_prefix), "-"), number, 16, 1) =
            '\0';
    if (given.traceparents == 1 && traceparent_is_valid(given.traceparent))
        request->traceparent = given.traceparent;
    request->timeout = given.timeout;
    request->timeouts = given.timeouts;
}

/* ---- Start ---- */

static struct wire *wire_of_connection(struct MHD_Connection *connection)
{
    return wire_of(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

static struct request *request_new(struct http *http, struct MHD_Connection *connection,
                                   const char *target, const char *method)
{
    struct wire *const wire = wire_of_connection(connection);
    const unsigned number = wire_next(wire);
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->wire = wire;
    request->number = number;
    request->http = http;
    request->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->watched = info ? info->socket_context : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    request->arrival = &http->arrival[info->connect_fd];
    request->started = clock_ns();
    for (size_t i = 0; i < PHASE_COUNT; i++)
        request->ns[i] = -1;
    request->method = method;
    request->target = target;
    reservation_init(&request->memory, http->budget);
    request->memory.quota.cancel = request->watched ? watch_gone(request->watched) : &http->give_up;
    request->reply.errors = route_errors(target);
    request->close = atomic_load(&http->draining);
    set_identity(request);
    pthread_mutex_lock(&http->mutex);
    http->active++;
    pthread_mutex_unlock(&http->mutex);
    return request;
}

static enum MHD_Result on_headers(struct request *request, const char *version)
{
    request_report_to_watchdog(request);
    if (!watch_turn(request->watched, WATCH_BODY))
        return MHD_NO;
    struct http_error fault = wire_head_fault(request->wire, request->number);
    if (fault.status == 0)
        fault = guard_request(request->connection, request->method, version, &request->framing);
    if (fault.status != 0) {
        const unsigned words = wire_words(request->wire, request->number);
        request->method = words > 0 ? request->method : "-";
        request->target = words > 1 ? request->target : "-";
        request_fail_malformed(request, &fault);
        return request_send_reply(request);
    }
    if (!request_dispatch(request))
        return request_reply_after_headers(request);
    return request_reserve_memory(request);
}

/* ---- Progress ---- */

/* Tells the watchdog that the calling thread is at this request, and the request how to show it
 * that it progresses. */
void request_report_to_watchdog(struct request *request)
{
    watchdog_request(request->id, request->path);
    request->memory.quota.asked = watchdog_progress_flag();
}

/* As on_request has it. */
static enum MHD_Result advance(struct http *http, struct MHD_Connection *connection,
                               const char *target, const char *method, const char *version,
                               const char *data, size_t *size, void **slot)
{
    struct request *request = *slot;
    if (request)
        request_report_to_watchdog(request);
    if (!request) {
        request = request_new(http, connection, target, method);
        *slot = request;
        return request ? on_headers(request, version)
                       : MHD_queue_response(connection, 503, http->no_memory);
    }
    if (request->state == REQUEST_LATE)
        return request_reply_and_close(request);
    if (*size > 0)
        return request_on_body_chunk(request, data, size);
    if (request->state == REQUEST_RECEIVING && request->received < request->framing.length)
        return MHD_YES; /* it was resumed, having waited for memory */
    const struct http_error fault = wire_fault(request->wire, request->number);
    if (fault.status != 0) {
        request_fail_malformed(request, &fault);
        return request_send_reply(request);
    }
    switch (request->state) {
    case REQUEST_RECEIVING:
        return request_on_body_complete(request);
    case REQUEST_DISCARDING:
    case REQUEST_READY:
        return request_finish_reply(request);
    case REQUEST_WAITING:   /* cannot be: the connection is suspended */
    case REQUEST_GATHERING: /* likewise */
    case REQUEST_LATE:      /* cannot be: it was dropped */
    case REQUEST_COMPUTING: /* cannot be: the connection is suspended */
    case REQUEST_ANSWERED:  /* cannot be: libmicrohttpd does not ask again */
        break;
    }
    return MHD_YES;
}

/* The kind of thread that has a connection. */
static enum watchdog_thread watchdog_thread_of(const struct http *http,
                                               struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info && http->arrival[info->connect_fd].entrance->admin ? WATCHDOG_ADMIN : WATCHDOG_IO;
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection,
                                const char *target, const char *method, const char *version,
                                const char *data, size_t *size, void **slot)
{
    struct http *http = context;
    watchdog_begin(watchdog_thread_of(http, connection), "receiving or answering");
    const enum MHD_Result result =
        advance(http, connection, target, method, version, data, size, slot);
    watchdog_end();
    return result;
}

/* ---- End ---- */

static void set_phase(struct request *request, enum phase phase, double ms)
{
    if (request->reply.status == response_status(LOSS_OK) && request->reply.decode_ms > 0)
        request->ns[phase] = ms > 0 ? (int64_t)(ms * 1e6) : 0;
}

/* Returns true if a route evaluates losses, and `loss` is not NULL if its path names one. */
static bool evaluates(const struct route *route, const struct loss_descriptor *loss)
{
    return route->evaluate && (loss || !strstr(route->path, "{loss}"));
}

static enum protocol protocol_of(const struct route *route)
{
    return route && route_errors(route->path) == RESPONSE_OIP ? PROTOCOL_V2 : PROTOCOL_V1;
}

/* Has it counted and logged. */
static void record_request(struct request *request, bool answered)
{
    const struct response *reply = &request->reply;
    const bool body = answered && strcmp(request->method, "HEAD") != 0 && reply->status != 304;
    const int64_t now = clock_ns();
    const int cut = watch_status(request->watched);
    set_phase(request, PHASE_DECODE, reply->decode_ms);
    set_phase(request, PHASE_COMPUTE, reply->compute_ms);
    set_phase(request, PHASE_ENCODE, reply->encode_ms);
    if (request->state == REQUEST_ANSWERED)
        request->ns[PHASE_SEND] = now - request->handed;
    const union MHD_ConnectionInfo *const address =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct route *const route = request->route;
    const struct loss_descriptor *const loss =
        request->input.view.loss ? loss_find(request->input.view.loss) : NULL;
    const struct request_record record = {
        .id = request->id,
        .method = request->method,
        .target = request->target,
        .client = request->visitor.client,
        .route = route ? route_place(route) : route_count(),
        .probe = route && route->scope != SCOPE_MAIN,
        .evaluates = route && evaluates(route, loss),
        .protocol = protocol_of(route),
        .loss = loss,
        .traceparent = request->traceparent,
        .address = address ? address->client_addr : NULL,
        .reason = request->reason ? request->reason : watch_reason(request->watched),
        .status = answered  ? reply->status
                  : cut > 0 ? cut
                            : RECORD_CLIENT_GONE,
        .bytes_in = request->received,
        .bytes_out = body ? reply->body.len : 0,
        .elements = reply->elements,
        .ns = request->ns,
        .duration_ns = now - request->started};
    metrics_count(request->http->settings.metrics, &record);
    access_log_write(&record);
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode how)
{
    struct http *http = context;
    struct request *request = *slot;
    if (!request)
        return;
    *slot = NULL;
    watchdog_begin(watchdog_thread_of(http, connection), "ending a request");
    watchdog_request(request->id, request->path);
    bool answered = request->dropped || (request->state == REQUEST_ANSWERED &&
                                         how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    record_request(request, answered);
    if (answered && (request->unread || request->dropped)) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            linger_add(http->settings.linger, info->connect_fd);
    }
    watch_turn(request->watched, WATCH_HEADERS);
    wire_hide_end(request->wire, false);
    request_free_body(request);
    buffer_free(&request->query);
    response_free(&request->reply);
    reservation_end(&request->memory);
    free(request);

    pthread_mutex_lock(&http->mutex);
    if (--http->active == 0)
        pthread_cond_signal(&http->idle);
    pthread_mutex_unlock(&http->mutex);
    watchdog_end();
}
