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
enum place { PLACE_LOSS, PLACE_VERSION, PLACE_FILE, PLACES };
static const char *const place_names[PLACES] = {"{loss}", "{version}", "{file}"};

/* Pointers to the parameters in a path; NULL if absent. Each parameter extends to the end of its
   segment. */
struct places {
    char *at[PLACES];
};

static enum place place_of(const char *wanted, size_t len)
{
    enum place place = PLACE_LOSS;
    /* Terminates because the table of routes uses only these names. */
    while (strncmp(place_names[place], wanted, len) != 0)
        place++;
    return place;
}

/* Returns true if a path matches a route, segment by segment. Sets the parameters. */
static bool match(const struct route *route, char *path, struct places *places)
{
    const char *wanted = route->path;
    *places = (struct places){.at = {NULL}};
    for (;; wanted++, path++) {
        const size_t len = strcspn(path, "/"), wanted_len = strcspn(wanted, "/");
        if (*wanted == '{') {
            places->at[place_of(wanted, wanted_len)] = path;
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

static bool is_served(const struct route *route, enum listener_scope side)
{
    return side == SCOPE_ALL || route->scope == SCOPE_ALL || route->scope == side;
}

struct route_match route_find(enum listener_scope side, const char *method, char *path)
{
    struct route_match found = {.route = NULL};
    struct places places, chosen = {.at = {NULL}};
    unsigned methods = 0;
    const bool head = strcmp(method, "HEAD") == 0;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        if (!is_served(route, side) || !match(route, path, &places))
            continue;
        methods |= strcmp(route->method, "GET") == 0 ? 1 : 2;
        if (!found.route && strcmp(route->method, head ? "GET" : method) == 0) {
            found.route = route;
            chosen = places;
        }
    }
    found.allow = allow_texts[methods];
    found.loss = cut(chosen.at[PLACE_LOSS]);
    found.version = cut(chosen.at[PLACE_VERSION]);
    found.file = cut(chosen.at[PLACE_FILE]);
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

void route_not_found(enum listener_scope side, const char *path, struct response *reply)
{
    char texts[2][CANDIDATE], *text = texts[0], meant[LOSS_MEANT_TEXT], quote[JSON_QUOTE_LONG],
                              best[JSON_QUOTE_LONG];
    struct loss_nearest search = {.name = path};
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        fill_in(route, path, text);
        if (!is_served(route, side) || strcmp(text, path) == 0)
            continue;
        loss_nearest_try(&search, text);
        if (search.best == text) /* keep it, and write the next candidate to the other buffer */
            text = texts[text == texts[0] ? 1 : 0];
    }
    json_quote_long(path, quote);
    if (search.best) /* it may contain untrusted segments of `path` */
        search.best = json_quote_long(search.best, best);
    if (!search.best && side == SCOPE_ADMIN)
        reply_error(
            reply, 404,
            "no such path '%s' on this address, which serves only health checks and metrics",
            quote);
    else
        reply_error(reply, 404, "no such path '%s'%s", quote,
                    loss_nearest_text(&search, "'", "'", "GET / lists the paths", meant));
}
