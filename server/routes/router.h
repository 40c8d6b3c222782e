/*
 * Finding the route of a path.
 */
#ifndef SERVER_ROUTES_ROUTER_H
#define SERVER_ROUTES_ROUTER_H

#include "routes/routes.h"

/* What a method and a path lead to. */
struct route_match {
    const struct route *route; /* NULL: there is none */
    const char *loss;          /* what {loss} stands for, else NULL */
    const char *version;       /* what {version} stands for, else NULL */
    const char *file;          /* what {file} stands for, else NULL */
    const char *
        allow; /* the methods that the path has, for an Allow header; NULL: there is no such path */
};
/* Finds among the routes of a side, SCOPE_ALL for all. Where there is a route, `path` is cut into
   what its parameters stand for. */
struct route_match route_find(enum listener_scope side, const char *method, char *path);

/* How what is refused on a target, raw or decoded, is answered. */
enum response_errors route_errors(const char *target);

/* Every method that any path has, for "OPTIONS *". */
extern const char router_allow_any[];

/* Fills a 404 for a path that is not there on a side, naming the nearest that is. */
void route_not_found(enum listener_scope side, const char *path, struct response *reply);

#endif
