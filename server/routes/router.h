/*
 * Finds the route for a method and a path.
 */
#ifndef SERVER_ROUTES_ROUTER_H
#define SERVER_ROUTES_ROUTER_H

#include "routes/routes.h"

/* The result of route_find. */
struct route_match {
    const struct route *route; /* NULL if no route matches */
    const char *loss;          /* the segment that matches {loss}, or NULL */
    const char *version;       /* the segment that matches {version}, or NULL */
    const char *file;          /* the segment that matches {file}, or NULL */
    const char *allow; /* value of the Allow header for the path; NULL if no route has this path */
};
/* Finds the route among those that addresses of scope `scope` serve (SCOPE_ALL: all routes). Writes
   NULs into `path` to end the segments that the result points to. */
struct route_match route_find(enum listener_scope scope, const char *method, char *path);

/* Returns the format of error responses for a request target, raw or decoded. */
enum response_errors route_errors(const char *target);

/* The methods that any route supports, for "OPTIONS *". */
extern const char router_allow_any[];

/* Fills the response with a 404 for a path without a route. It suggests the nearest existing
   path. */
void route_not_found(enum listener_scope scope, const char *path, struct response *response);

#endif
