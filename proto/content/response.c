#include "content/response.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const int http_status[LOSS_STATUS_COUNT] = {
    [LOSS_OK] = 200,          [LOSS_MALFORMED] = 400,      [LOSS_INVALID] = 422,
    [LOSS_NOT_FOUND] = 404,   [LOSS_NOT_ALLOWED] = 405,    [LOSS_TOO_LARGE] = 413,
    [LOSS_UNSUPPORTED] = 415, [LOSS_NOT_ACCEPTABLE] = 406, [LOSS_UNAVAILABLE] = 503,
    [LOSS_INTERNAL] = 500,    [LOSS_CANCELLED] = 499,
};

static const struct {
    int status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

enum { RETRY_SECONDS = 1 };

static const char *title_of(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Internal Server Error";
}

int response_status(enum loss_status status)
{
    return http_status[status];
}

static void append_problem(struct buffer *body, const struct loss_error *error, int status)
{
    buffer_printf(body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
                  title_of(status), status);
    json_append_string(body, error->message);
    if (error->path[0]) {
        buffer_text(body, ",\"pointer\":");
        json_append_string(body, error->path);
    }
    if (error->offset >= 0)
        buffer_printf(body, ",\"offset\":%" PRId64, error->offset);
    buffer_text(body, "}\n");
}

void response_error_status(struct response *response, const struct loss_error *error, int status)
{
    const bool oip = response->errors == RESPONSE_OIP;
    if (oip && status == http_status[LOSS_INVALID])
        status = http_status[LOSS_MALFORMED];
    response_free(response);
    *response =
        (struct response){.errors = response->errors,
                          .status = status,
                          .body = {.quota = response->body.quota},
                          .content_type = oip ? "application/json" : "application/problem+json"};
    if (status == 503)
        response->retry_after = RETRY_SECONDS;
    if (oip) {
        buffer_text(&response->body, "{\"error\":");
        json_append_string(&response->body, error->message);
        buffer_text(&response->body, "}\n");
    } else {
        append_problem(&response->body, error, status);
    }
    if (response->body.failed) { /* only the status line can still be sent */
        buffer_free(&response->body);
        response->content_type = NULL;
    }
}

void response_error(struct response *response, const struct loss_error *error)
{
    response_error_status(response, error, response_status(error->status));
}

void reply_error(struct response *response, int status, const char *format, ...)
{
    struct loss_error error;
    char detail[sizeof error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    loss_fail(&error, LOSS_MALFORMED, "%s", detail); /* `status` replaces that of LOSS_MALFORMED */
    response_error_status(response, &error, status);
}

void response_free(struct response *response)
{
    buffer_free(&response->body);
}
