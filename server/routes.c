/*
 * What there is to ask for.
 */
#include "routes.h"

#include <stdio.h>
#include <string.h>

#include "refusal.h"
#include "v1.h"

static void answer_text(struct reply *reply, int status, const char *text)
{
    *reply = (struct reply){.status = status, .content_type = "text/plain; charset=utf-8"};
    buffer_text(&reply->body, text);
}

/* ---- the answers -------------------------------------------------------------------------------------------------- */

static void answer_root(const struct call *call, struct reply *reply)
{
    *reply = (struct reply){.status = 200, .content_type = "text/plain; charset=utf-8"};
    buffer_printf(&reply->body,
                  "lossd " LOSS_VERSION ": loss functions and their gradients over HTTP and JSON\n"
                  "\n"
                  "Try:\n"
                  "\n"
                  "  curl -s http://%s/v1/losses/mse -H 'Content-Type: application/json' \\\n"
                  "       -d '{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"grad\": true}'\n"
                  "\n"
                  "Where to look:\n"
                  "\n"
                  "  GET  /v1/losses         every loss, its tensors and its parameters\n"
                  "  GET  /v1/losses/{loss}  the same of one\n"
                  "  POST /v1/losses/{loss}  evaluate it\n"
                  "  GET  /healthz           whether the server lives\n"
                  "  GET  /readyz            whether it takes requests\n",
                  call->host);
}

static void answer_health(const struct call *call, struct reply *reply)
{
    (void)call;
    answer_text(reply, 200, "ok\n");
}

static void answer_ready(const struct call *call, struct reply *reply)
{
    if (call->draining)
        answer_text(reply, 503, "draining\n");
    else
        answer_text(reply, 200, "ready\n");
}

static void answer_list(const struct call *call, struct reply *reply)
{
    v1_list(call->accept, reply);
}

static void answer_describe(const struct call *call, struct reply *reply)
{
    v1_describe(call->loss, call->accept, reply);
}

static struct v1_request evaluation(const struct call *call)
{
    return (struct v1_request){.loss = call->loss,
                               .content_type = call->content_type,
                               .accept = call->accept,
                               .query = call->query,
                               .body = call->body,
                               .len = call->len,
                               .most_work = call->most_work,
                               .threads = call->threads};
}

static void answer_evaluate(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    v1_evaluate(&request, reply);
}

static bool evaluate_possible(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    return v1_evaluate_possible(&request, reply);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static const struct route routes[] = {
    {.method = "GET", .path = "/", .answer = answer_root},
    {.method = "GET", .path = "/healthz", .answer = answer_health, .draining_too = true},
    {.method = "GET", .path = "/readyz", .answer = answer_ready, .draining_too = true},
    {.method = "GET", .path = "/v1/losses", .answer = answer_list},
    {.method = "GET", .path = "/v1/losses/{loss}", .answer = answer_describe},
    {.method = "POST", .path = "/v1/losses/{loss}", .answer = answer_evaluate, .possible = evaluate_possible},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

static const char parameter[] = "{loss}";

const char routes_allow_any[] = "GET, HEAD, POST, OPTIONS";

/* Allow headers by which methods a path has: 1 for GET, 2 for POST. */
static const char *const allow_texts[] = {NULL, "GET, HEAD, OPTIONS", "POST, OPTIONS", routes_allow_any};

/* Bytes of a route's path before its parameter; all of them where it has none. */
static size_t fixed_len(const struct route *route)
{
    const char *open = strchr(route->path, '{');
    return open ? (size_t)(open - route->path) : strlen(route->path);
}

/* What {loss} stands for if `path` is that of the route ("" where it has no such thing), else NULL. */
static const char *match(const struct route *route, const char *path)
{
    size_t fixed = fixed_len(route);
    if (strncmp(path, route->path, fixed) != 0)
        return NULL;
    const char *rest = path + fixed;
    bool wants_rest = strcmp(route->path + fixed, parameter) == 0;
    return wants_rest == (*rest != '\0') && !strchr(rest, '/') ? rest : NULL;
}

struct route_match route_find(const char *method, const char *path)
{
    struct route_match found = {.route = NULL};
    unsigned methods = 0;
    bool head = strcmp(method, "HEAD") == 0;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const char *rest = match(&routes[i], path);
        if (!rest)
            continue;
        methods |= strcmp(routes[i].method, "GET") == 0 ? 1 : 2;
        found.loss = *rest ? rest : NULL;
        if (strcmp(routes[i].method, head ? "GET" : method) == 0)
            found.route = &routes[i];
    }
    found.allow = allow_texts[methods];
    return found;
}

void route_not_found(const char *path, struct reply *reply)
{
    char candidates[ROUTE_COUNT][320];
    struct loss_nearest search = {.name = path};
    const char *last = strrchr(path, '/');
    last = last && last[1] ? last + 1 : parameter;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        /* "/v1/loss/mse" is to find "/v1/losses/mse": whatever comes last may be the name of a loss. */
        size_t fixed = fixed_len(&routes[i]);
        snprintf(candidates[i], sizeof candidates[i], "%.*s%s", (int)fixed, routes[i].path, routes[i].path[fixed] ? last : "");
        if (strcmp(candidates[i], path) != 0)
            loss_nearest_try(&search, candidates[i]);
    }
    if (search.best)
        refuse(reply, 404, "there is no path %.100s; did you mean %.100s?", path, search.best);
    else
        refuse(reply, 404, "there is no path %.100s; GET / says which there are", path);
}
