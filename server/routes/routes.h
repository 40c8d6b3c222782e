/*
 * The table of routes: methods, paths and handlers. Independent of libmicrohttpd.
 */
#ifndef SERVER_ROUTES_ROUTES_H
#define SERVER_ROUTES_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "content/response.h"
#include "evaluation/handler.h"
#include "observe/metrics.h"
#include "openapi/openapi.h"

struct limits;

/* A request as passed to the handlers. All text is borrowed, and NULL if it is not in the
   request. */
struct route_request {
    struct request_view view;
    const char *file; /* the {file} parameter of the path */
    const char *if_none_match;
    const char *host; /* host at which the server can be reached; safe to echo, never NULL */
    struct metrics *metrics;
    const struct limits *limits; /* the limits in effect */
    bool draining;               /* the server is shutting down */
};

/* The addresses that serve a route if there is an admin address. Without one, every address serves
   every route. */
enum listener_scope { SCOPE_MAIN, SCOPE_ADMIN, SCOPE_ALL };

struct route {
    const char *method; /* "GET", which serves HEAD too, or "POST" */
    const char *path;   /* "{loss}", "{version}" and "{file}" each match any one segment */
    /* Fills the response, using only the headers; the body is discarded. NULL if `evaluate` is
       set. */
    void (*handle)(const struct route_request *request, struct response *response);
    const struct handler *evaluate; /* evaluates losses, using the body; NULL if `handle` is set */
    bool public; /* requires no authentication: health checks, and pages without data */
    enum listener_scope scope;               /* the addresses that serve it */
    const struct openapi_operation *openapi; /* its description in the OpenAPI document */
    bool inline_only; /* always handled and compressed on the I/O thread, so that it never waits for
                         the executor */
};

/* Access to the table. */
size_t route_count(void);
const struct route *route_at(size_t index);
size_t route_index(const struct route *route);
struct route_label route_label(size_t index); /* for metrics_new */

#endif
