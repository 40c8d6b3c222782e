/*
 * The callbacks of libmicrohttpd, and the states of a request.
 *
 * libmicrohttpd calls http_on_request several times for one request, always on the I/O thread of
 * the connection: after the headers, for each piece of the body, after the body, and after a
 * suspended connection is resumed. request.state determines what to do next:
 *
 *                    rejected, body long or malformed
 *     (first call) ---------------------------------------------------------------> RESPONDED
 *          |  |  rejected, body short, or chunked and over the limit
 *          |  +-----------------------> DISCARDING -- body complete -------> READY --> RESPONDED
 *          |  no body needed                                                   ^
 *          |  +----------------------------------------------------------------+
 *          v                                                                   |
 *      WAITING_FOR_BODY_MEMORY -- too late --> REJECTED: respond and close     |
 *          |  ^ the body grows                                                 |
 *      RECEIVING -- body complete, small: compute inline ----------------------+
 *          |  +-- memory short: WAITING_FOR_COMPUTE_MEMORY -------- too late --+  resumed
 *          |                              v                                    |
 *          +------- body complete, large: queued --> COMPUTING ----------------+  resumed
 *
 * The WAITING states are skipped if memory is available. READY changes to COMPUTING at most once,
 * if the executor must compress the response.
 *
 * Ownership of a request (struct request): the I/O thread owns it from the first call until
 * http_on_completed frees it, except in three states. In COMPUTING the executor owns it. In the
 * two WAITING states memory_budget.h owns it, and may pass it to the executor directly. These
 * owners return it by calling on_job_done or on_memory. They may do so on the executor thread, its
 * supervisor, the monitor thread, or an I/O thread that frees memory or queues a job. This is safe
 * for three reasons:
 * (1) The connection is suspended before the request changes owner. libmicrohttpd does not access a
 *     suspended connection, even if the client disconnects, so neither http_on_request nor
 *     http_on_completed can run.
 * (2) MHD_resume_connection is the last operation of the other owner on a request. Afterwards the
 *     I/O thread may free the request, so the other owner uses neither the request nor the
 *     connection after that call.
 * (3) MHD_resume_connection locks the mutex that the I/O thread locks to take the connection back,
 *     so the I/O thread sees all earlier writes.
 *
 * If the client resets or closes the connection in one of these states, connection_monitor.h
 * detects that and cancels the work. Sending then fails, and http_on_completed frees the request.
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

/* Headers with the identity and the time limit of a request. */
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

static struct strict_parser *strict_parser_of_connection(struct MHD_Connection *connection)
{
    return strict_parser_of(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
}

static struct request *request_new(struct http *http, struct MHD_Connection *connection,
                                   const char *target, const char *method)
{
    struct strict_parser *const parser = strict_parser_of_connection(connection);
    const unsigned number = strict_parser_next(parser);
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->parser = parser;
    request->number = number;
    request->http = http;
    request->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->monitored = info ? info->socket_context : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    request->connection_info = &http->connection_info[info->connect_fd];
    request->started = clock_ns();
    for (size_t i = 0; i < PHASE_COUNT; i++)
        request->ns[i] = -1;
    request->method = method;
    request->target = target;
    reservation_init(&request->memory, http->budget);
    request->memory.quota.cancel =
        request->monitored ? monitor_gone_flag(request->monitored) : &http->cancel_all;
    request->response.errors = route_errors(target);
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
    if (!monitor_set_phase(request->monitored, MONITOR_BODY))
        return MHD_NO;
    struct http_error fault = strict_parser_head_fault(request->parser, request->number);
    if (fault.status == 0)
        fault = head_validate(request->connection, request->method, version, &request->framing);
    if (fault.status != 0) {
        const unsigned words = strict_parser_words(request->parser, request->number);
        request->method = words > 0 ? request->method : "-";
        request->target = words > 1 ? request->target : "-";
        request_fail_malformed(request, &fault);
        return request_send_response(request);
    }
    if (!request_dispatch(request))
        return request_respond_after_headers(request);
    return request_reserve_memory(request);
}

/* ---- Progress ---- */

void request_report_to_watchdog(struct request *request)
{
    watchdog_request(request->id, request->path);
    request->memory.quota.heartbeat = watchdog_progress_flag();
}

/* Implements http_on_request, which also reports to the watchdog. */
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
    if (request->state == REQUEST_REJECTED)
        return request_respond_and_close(request);
    if (*size > 0)
        return request_on_body_chunk(request, data, size);
    if (request->state == REQUEST_RECEIVING && request->received < request->framing.length)
        return MHD_YES; /* resumed after a wait for memory */
    const struct http_error fault = strict_parser_fault(request->parser, request->number);
    if (fault.status != 0) {
        request_fail_malformed(request, &fault);
        return request_send_response(request);
    }
    switch (request->state) {
    case REQUEST_RECEIVING:
        return request_on_body_complete(request);
    case REQUEST_DISCARDING:
    case REQUEST_READY:
        return request_finish_response(request);
    case REQUEST_WAITING_FOR_BODY_MEMORY:    /* impossible: the connection is suspended */
    case REQUEST_WAITING_FOR_COMPUTE_MEMORY: /* likewise */
    case REQUEST_REJECTED:                   /* impossible: the connection is closed */
    case REQUEST_COMPUTING:                  /* impossible: the connection is suspended */
    case REQUEST_RESPONDED:                  /* impossible: libmicrohttpd makes no further call */
        break;
    }
    return MHD_YES;
}

/* Returns the kind of I/O thread that serves the connection. */
static enum watchdog_thread watchdog_thread_of(const struct http *http,
                                               struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info && http->connection_info[info->connect_fd].listen_address->admin ? WATCHDOG_ADMIN
                                                                                 : WATCHDOG_IO;
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection,
                                const char *target, const char *method, const char *version,
                                const char *data, size_t *size, void **slot)
{
    struct http *http = context;
    watchdog_begin(watchdog_thread_of(http, connection), "receiving or responding");
    const enum MHD_Result result =
        advance(http, connection, target, method, version, data, size, slot);
    watchdog_end();
    return result;
}

/* ---- End ---- */

static void set_phase(struct request *request, enum phase phase, double ms)
{
    if (request->response.status == response_status(LOSS_OK) && request->response.decode_ms > 0)
        request->ns[phase] = ms > 0 ? (int64_t)(ms * 1e6) : 0;
}

/* Returns true if a route evaluates losses and, if its path names a loss, that loss exists. */
static bool evaluates(const struct route *route, const struct loss_descriptor *loss)
{
    return route->evaluate && (loss || !strstr(route->path, "{loss}"));
}

static enum protocol protocol_of(const struct route *route)
{
    return route && route_errors(route->path) == RESPONSE_OIP ? PROTOCOL_V2 : PROTOCOL_V1;
}

static int recorded_status(const struct request *request, bool responded)
{
    if (responded)
        return request->response.status;
    const int status = monitor_status(request->monitored);
    return status > 0 ? status : RECORD_CLIENT_GONE;
}

/* Counts and logs a request. */
static void record_request(struct request *request, bool responded)
{
    const struct response *response = &request->response;
    const bool body = responded && strcmp(request->method, "HEAD") != 0 && response->status != 304;
    const int64_t now = clock_ns();
    set_phase(request, PHASE_DECODE, response->decode_ms);
    set_phase(request, PHASE_COMPUTE, response->compute_ms);
    set_phase(request, PHASE_ENCODE, response->encode_ms);
    if (request->state == REQUEST_RESPONDED)
        request->ns[PHASE_SEND] = now - request->enqueued;
    const union MHD_ConnectionInfo *const address =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct route *const route = request->route;
    const struct loss_descriptor *const loss =
        request->input.view.loss ? loss_find(request->input.view.loss) : NULL;
    const struct request_record record = {
        .id = request->id,
        .method = request->method,
        .target = request->target,
        .client = request->identity.client,
        .route = route ? route_index(route) : route_count(),
        .probe = route && route->scope != SCOPE_MAIN,
        .evaluates = route && evaluates(route, loss),
        .protocol = protocol_of(route),
        .loss = loss,
        .traceparent = request->traceparent,
        .address = address ? address->client_addr : NULL,
        .reason = request->reason ? request->reason : monitor_reason(request->monitored),
        .status = recorded_status(request, responded),
        .bytes_in = request->received,
        .bytes_out = body ? response->body.len : 0,
        .elements = response->elements,
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
    bool responded = request->sent_directly || (request->state == REQUEST_RESPONDED &&
                                                how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    record_request(request, responded);
    if (responded && (request->unread || request->sent_directly)) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            lingering_close_add(http->settings.linger, info->connect_fd);
    }
    monitor_set_phase(request->monitored, MONITOR_HEADERS);
    strict_parser_hide_end(request->parser, false);
    request_free_body(request);
    buffer_free(&request->query);
    response_free(&request->response);
    reservation_end(&request->memory);
    free(request);

    pthread_mutex_lock(&http->mutex);
    if (--http->active == 0)
        pthread_cond_signal(&http->idle);
    pthread_mutex_unlock(&http->mutex);
    watchdog_end();
}
