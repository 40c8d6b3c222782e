/*
 * What there is to ask for: one table of methods, paths and the functions that answer. Knows
 * nothing of libmicrohttpd.
 */
#ifndef SERVER_ROUTES_ROUTES_H
#define SERVER_ROUTES_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "content/response.h"
#include "evaluation/work_limit.h"
#include "observe/metrics.h"
#include "openapi/openapi.h"

struct limits;

/* A request as the functions of the table see it. All text is borrowed; NULL where the request has
 * no such thing. */
struct call {
    const char *loss;    /* what {loss} of the path stands for */
    const char *version; /* what {version} of the path stands for */
    const char *file;    /* what {file} of the path stands for */
    const char *content_type;
    const char *accept;
    const char *if_none_match;
    const char *query;            /* percent-encoded, though '+' may have become a space */
    const char *inference_header; /* of the header Inference-Header-Content-Length */
    const char *host;             /* where the server can be reached, safe to echo; never NULL */
    struct metrics *metrics;
    const struct limits *limits; /* those in force */
    bool draining;               /* the server is about to end */
    const char *body;            /* NUL-terminated */
    size_t len;
    struct work_limits work; /* if it may not be done now, the reply's status stays 0 */
    struct quota *quota;     /* asked before memory is taken */
    int threads;             /* OpenMP threads that may be used; 1 in an I/O thread */
};

/* Which addresses a route is served on, where there is an admin address; without one every address
 * serves everything. */
enum route_side { ROUTE_MAIN, ROUTE_ADMIN, ROUTE_BOTH };

struct route {
    const char *method; /* "GET" (which answers HEAD too) or "POST" */
    const char
        *path; /* segments between slashes; "{loss}", "{version}" and "{file}" stand for any one */
    void (*answer)(const struct call *call, struct response *reply);
    /* Whether it can succeed at all, asked before the body is read; fills the reply if not. NULL:
     * it takes no body. */
    bool (*possible)(const struct call *call, struct response *reply);
    bool open; /* for everyone, whoever else needs a token: health, and pages that hold nothing but
                  themselves */
    enum route_side side; /* ROUTE_ADMIN: not on the main addresses if there is an admin address */
    const struct openapi_operation *says; /* what it says of itself */
    bool at_once; /* answered however long the executor computes: it may not even compress the
                     answer */
};

/* The table, for those who count by it. */
size_t route_count(void);
const struct route *route_at(size_t place);
size_t route_place(const struct route *route);
struct route_label route_label(size_t place); /* as metrics_new takes it */

#endif
