/*
 * Finds the route for a method and a path.
 */
#include "routes/router.h"

#include <stdio.h>
#include <string.h>

#include "content/response.h"
#include "json/scanner.h"

const char router_allow_any[] = "GET, HEAD, POST, OPTIONS";

/* Values of the Allow header, indexed by a bit mask of methods: 1 is GET, 2 is POST. */
static const char *const allow_texts[] = {NULL, "GET, HEAD, OPTIONS", "POST, OPTIONS",
                                          router_allow_any};

/* Path parameters. */
enum parameter { PARAMETER_LOSS, PARAMETER_VERSION, PARAMETER_FILE, PARAMETERS };
static const char *const parameter_names[PARAMETERS] = {"{loss}", "{version}", "{file}"};

/* Pointers to the parameters in a path; NULL if absent. Each parameter extends to the end of its
   segment. */
struct parameters {
    char *at[PARAMETERS];
};

static enum parameter parameter_of(const char *wanted, size_t len)
{
    enum parameter parameter = PARAMETER_LOSS;
    /* Terminates because the table of routes uses only these names. */
    while (strncmp(parameter_names[parameter], wanted, len) != 0)
        parameter++;
    return parameter;
}

/* Returns true if a path matches a route, segment by segment. Sets the parameters. */
static bool match(const struct route *route, char *path, struct parameters *parameters)
{
    const char *wanted = route->path;
    *parameters = (struct parameters){.at = {NULL}};
    for (;; wanted++, path++) {
        const size_t len = strcspn(path, "/"), wanted_len = strcspn(wanted, "/");
        if (*wanted == '{') {
            parameters->at[parameter_of(wanted, wanted_len)] = path;
            if (len == 0)
                return false;
        } else if (len != wanted_len || strncmp(path, wanted, len) != 0) {
            return false;
        }
        path += len;
        wanted += wanted_len;
        if (*path == '\0' || *wanted == '\0')
            return *path == *wanted;
    }
}

static const char *cut(char *segment)
{
    if (segment)
        segment[strcspn(segment, "/")] = '\0';
    return segment;
}

static bool is_served(const struct route *route, enum listener_scope scope)
{
    return scope == SCOPE_ALL || route->scope == SCOPE_ALL || route->scope == scope;
}

struct route_match route_find(enum listener_scope scope, const char *method, char *path)
{
    struct route_match found = {.route = NULL};
    struct parameters parameters, chosen = {.at = {NULL}};
    unsigned methods = 0;
    const bool head = strcmp(method, "HEAD") == 0;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        if (!is_served(route, scope) || !match(route, path, &parameters))
            continue;
        methods |= strcmp(route->method, "GET") == 0 ? 1 : 2;
        if (!found.route && strcmp(route->method, head ? "GET" : method) == 0) {
            found.route = route;
            chosen = parameters;
        }
    }
    found.allow = allow_texts[methods];
    found.loss = cut(chosen.at[PARAMETER_LOSS]);
    found.version = cut(chosen.at[PARAMETER_VERSION]);
    found.file = cut(chosen.at[PARAMETER_FILE]);
    return found;
}

enum response_errors route_errors(const char *target)
{
    /* strchr also finds the NUL, so "/v2" matches, too. */
    return strncmp(target, "/v2", 3) == 0 && strchr("/?", target[3]) ? RESPONSE_OIP
                                                                     : RESPONSE_PROBLEM;
}

/* ---- Unknown paths ---- */

enum { CANDIDATE = 320 };

/* Writes a route's path with its parameters replaced by the corresponding segments of `path`, so
 * that "/v1/losses/mse" is a candidate for "/v1/loss/mse". */
static void fill_in(const struct route *route, const char *path, char *text)
{
    size_t len = 0;
    for (const char *wanted = route->path; *wanted && len < CANDIDATE;) {
        const size_t wanted_len = 1 + strcspn(wanted + 1, "/"),
                     given_len = *path ? 1 + strcspn(path + 1, "/") : 0;
        const bool given = wanted[1] == '{' && given_len > 1;
        len += (size_t)snprintf(text + len, CANDIDATE - len, "%.*s",
                                (int)(given ? given_len : wanted_len), given ? path : wanted);
        wanted += wanted_len;
        path += given_len;
    }
}

void route_not_found(enum listener_scope scope, const char *path, struct response *response)
{
    char texts[2][CANDIDATE], *text = texts[0], suggestion[LOSS_SUGGESTION_TEXT],
                              quote[JSON_QUOTE_LONG], best[JSON_QUOTE_LONG];
    struct loss_nearest search = {.name = path};
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        fill_in(route, path, text);
        if (!is_served(route, scope) || strcmp(text, path) == 0)
            continue;
        loss_nearest_try(&search, text);
        if (search.best == text) /* keep it, and write the next candidate to the other buffer */
            text = texts[text == texts[0] ? 1 : 0];
    }
    json_quote_long(path, quote);
    if (search.best) /* it may contain untrusted segments of `path` */
        search.best = json_quote_long(search.best, best);
    if (!search.best && scope == SCOPE_ADMIN)
        reply_error(
            response, 404,
            "no such path '%s' on this address, which serves only health checks and metrics",
            quote);
    else
        reply_error(response, 404, "no such path '%s'%s", quote,
                    loss_nearest_text(&search, "'", "'", "GET / lists the paths", suggestion));
}
