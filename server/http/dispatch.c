/*
 * Routing, authentication, rate limits, and the checks that need only the headers.
 */
#include "http/http_internal.h"

#include <string.h>

#include "admission/rate_limit.h"
#include "connection/client_key.h"
#include "routes/router.h"
#include "util/header_value.h"
#include "json/scanner.h"

gnutls_session_t connection_tls_session(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

uint64_t request_client_key(const struct request *request)
{
    if (request->identity.client[0] != '\0')
        return rate_limit_key(request->identity.client);
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info && info->client_addr ? client_key(info->client_addr) : 0;
}

/* ---- The request view ---- */

/* Rebuilds the query, which libmicrohttpd has split into arguments. They are still encoded: see
   on_unescape. */
static enum MHD_Result append_argument(void *context, enum MHD_ValueKind kind, const char *name,
                                       const char *value)
{
    struct buffer *const query = context;
    (void)kind;
    buffer_text(query, query->len > 0 ? "&" : "");
    buffer_text(query, name);
    if (value)
        buffer_text(query, "=");
    buffer_text(query, value ? value : "");
    return MHD_YES;
}

static const char *header(struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result read_encoding_header(void *context, enum MHD_ValueKind kind,
                                            const char *name, const char *value)
{
    (void)kind;
    content_coding_header(context, name, value);
    return MHD_YES;
}

static void fill_view(struct request *request, const struct route_match *match)
{
    const char *host = header(request, "Host");
    request->input = (struct route_request){
        .view = {.loss = match->loss,
                 .version = match->version,
                 .content_type = header(request, "Content-Type"),
                 .accept = header(request, "Accept"),
                 .inference_header = header(request, inference_header)},
        .file = match->file,
        .if_none_match = header(request, "If-None-Match"),
        .host = host && is_host(host) ? host : request->http->settings.address,
        .metrics = request->http->settings.metrics,
        .limits = &request->http->settings.limits,
        .draining = request->close};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, append_argument,
                              &request->query);
    if (request->query.len > 0) {
        buffer_append(&request->query, "", 1);
        request->input.view.query = request->query.data;
    }
}

/* ---- Checks ---- */

/* Checks the headers of a request with a body. On failure, returns false and fills the response. */
static bool validate_body_head(struct request *request)
{
    struct loss_error error;
    const struct framing *framing = &request->framing;
    size_t limit = request->http->settings.limits.max_body;
    if (!request_read_timeout(request) ||
        !content_coding_content(&request->content_coding, &request->response))
        return false;
    if (request->route->evaluate->validate_head(&request->input.view, &error) != LOSS_OK) {
        response_error(&request->response, &error);
        return false;
    }
    if (!framing->chunked && !framing->has_length) {
        reply_error(&request->response, 411,
                    "a body is required, with Content-Length or Transfer-Encoding: chunked");
        return false;
    }
    if (framing->length > limit) {
        request_fail_too_large(request);
        return false;
    }
    return true;
}

static void respond_options(struct request *request, const char *allow)
{
    request->response = (struct response){.status = 204, .allow = allow};
}

/* Returns the scope of the routes that the address of the connection serves. */
static enum listener_scope scope_of(const struct request *request)
{
    if (request->connection_info->listen_address->admin)
        return SCOPE_ADMIN;
    return request->http->settings.has_admin ? SCOPE_MAIN : SCOPE_ALL;
}

/* Applies --request-rate. If the client exceeds it, returns false and fills the response. */
static bool check_rate(struct request *request)
{
    struct http *const http = request->http;
    const int64_t early_ns =
        http->rates ? rate_limit_take(http->rates, request_client_key(request), request->started)
                    : 0;
    if (early_ns == 0)
        return true;
    request_count_rejection(request, REJECTION_RATE);
    reply_error(&request->response, 429,
                "the client sent more than %d requests per second, the limit that --request-rate "
                "sets",
                http->settings.limits.request_rate);
    request->response.retry_after = (int)(early_ns / 1000000000) + 1;
    return false;
}

bool request_dispatch(struct request *request)
{
    if (strcmp(request->method, "OPTIONS") == 0 && strcmp(request->target, "*") == 0) {
        respond_options(request, router_allow_any);
        return false;
    }
    enum head_path path = head_decode_path(request->target, request->path, sizeof request->path);
    if (path == HEAD_PATH_MALFORMED) {
        reply_error(
            &request->response, 400,
            "the request target is not a path, or contains a control character, an encoded slash "
            "or a broken percent escape");
        return false;
    }
    if (path == HEAD_PATH_UNKNOWN) {
        reply_error(&request->response, 404, "no such path; GET / lists the paths");
        return false;
    }
    request->response.errors = route_errors(request->path);
    const enum listener_scope scope = scope_of(request);
    struct route_match match = route_find(scope, request->method, request->path);
    const struct auth_request auth_request = {
        .connection = request->connection,
        .listen_address = request->connection_info->listen_address,
        .session = connection_tls_session(request->connection),
        .peer = &request->connection_info->peer,
        .method = request->method,
        .target = request->target,
        .public = match.route && match.route->public};
    const bool allowed = auth_allow(request->http->settings.auth, &auth_request, &request->identity,
                                    &request->response);
    /* The rate also applies to rejected requests; auth_allow has set the client's name. */
    if (!auth_request.public && !request->connection_info->listen_address->admin &&
        !check_rate(request))
        return false;
    if (!allowed) {
        request_count_rejection(request, request->identity.rejection);
        return false;
    }
    if (!match.allow) {
        route_not_found(scope, request->path, &request->response);
        return false;
    }
    if (strcmp(request->method, "OPTIONS") == 0) {
        respond_options(request, match.allow);
        return false;
    }
    if (!match.route) {
        char method[JSON_QUOTE], quote[JSON_QUOTE_LONG];
        reply_error(&request->response, 405, "method %s is not allowed for '%s'; use %s",
                    json_quote(request->method, method), json_quote_long(request->path, quote),
                    match.allow);
        request->response.allow = match.allow;
        return false;
    }
    request->route = match.route;
    fill_view(request, &match);
    if (request->query.failed) {
        reply_error(&request->response, 503, "insufficient memory for the query; retry later");
        return false;
    }
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, read_encoding_header,
                              &request->content_coding);
    if (!content_coding_accept(&request->content_coding, &request->response))
        return false;
    if (!request->http->settings.compress && !request->content_coding.choice.required)
        request->content_coding.choice.encoding = ENCODING_IDENTITY;
    if (match.route->evaluate)
        return validate_body_head(request);
    match.route->handle(&request->input, &request->response);
    return false;
}
