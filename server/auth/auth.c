/*
 * Who gets in.
 */
#include "auth/auth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/origins.h"
#include "auth/tokens.h"
#include "content/response.h"
#include "observe/log.h"
#include "json/scanner.h"

_Static_assert((int)AUTH_NAME == (int)TOKENS_NAME && (int)AUTH_NAME == (int)TLS_NAME,
               "their names are the client's");

enum { AUTH_MESSAGE = 640 };

enum reload { RELOAD_TOKENS, RELOAD_CERTIFICATES, RELOADS };

struct auth {
    struct auth_settings settings;
    pthread_rwlock_t lock;           /* of what is read again */
    struct tokens *tokens;           /* owned; NULL: nobody needs one */
    atomic_ullong failures[RELOADS]; /* files that could not be read again */
};

static bool has_text(const char *text)
{
    return text && *text;
}

/* Whether the lists can be what they should. */
static bool check_lists(const struct auth_settings *settings, char *message, size_t size)
{
    char item[128];
    if (!origins_check_hosts(settings->hosts, item, sizeof item)) {
        snprintf(message, size,
                 "allowed-hosts: \"%s\" is not the name of a host, such as loss.example.org, "
                 "without a port",
                 item);
        return false;
    }
    if (!origins_check_origins(settings->origins, item, sizeof item)) {
        snprintf(message, size,
                 "cors-origins: \"%s\" is not an origin as browsers write it, such as "
                 "https://example.org or http://localhost:3000, "
                 "without a slash at its end or a port that is the usual one",
                 item);
        return false;
    }
    return true;
}

struct auth *auth_new(const struct auth_settings *settings, char *message, size_t size)
{
    if (!check_lists(settings, message, size))
        return NULL;
    struct auth *access = calloc(1, sizeof *access);
    if (!access) {
        snprintf(message, size, "no memory to keep access with");
        return NULL;
    }
    access->settings = *settings;
    pthread_rwlockattr_t patient; /* requests wait for what is read again: left to itself, that
                                     could wait for ever */
    pthread_rwlockattr_init(&patient);
    pthread_rwlockattr_setkind_np(&patient, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&access->lock, &patient);
    pthread_rwlockattr_destroy(&patient);
    if (has_text(settings->token_file) &&
        !(access->tokens = tokens_read(settings->token_file, message, size))) {
        auth_free(access);
        return NULL;
    }
    return access;
}

void auth_free(struct auth *access)
{
    if (!access)
        return;
    tokens_free(access->tokens);
    pthread_rwlock_destroy(&access->lock);
    free(access);
}

bool auth_may_listen(const struct auth *access, const struct entrance *entrance, char *message,
                     size_t size)
{
    char text[ADDRESS_TEXT];
    const bool certified = entrance->secure && tls_wants_clients(access->settings.tls);
    if (entrance->loopback || entrance->admin || access->tokens || certified ||
        access->settings.allow_unauthenticated)
        return true;
    snprintf(message, size,
             "%s can be reached from other machines, and anyone there could use it: name those who "
             "may with --token-file "
             "(LOSSD_TOKEN_FILE) or --tls-client-ca, or say --allow-unauthenticated "
             "(LOSSD_ALLOW_UNAUTHENTICATED=on) if that is what you want",
             address_text(&entrance->address, text));
    return false;
}

static void reload_tokens(struct auth *access)
{
    char message[AUTH_MESSAGE];
    if (!access->tokens)
        return;
    struct tokens *tokens = tokens_read(access->settings.token_file, message, sizeof message);
    if (!tokens) {
        atomic_fetch_add(&access->failures[RELOAD_TOKENS], 1);
        log_message(LOG_LEVEL_ERROR, "the tokens stay as they were: %s", message);
        return;
    }
    log_message(LOG_LEVEL_INFO, "%zu tokens read from %s: %zu added, %zu removed",
                tokens_count(tokens), access->settings.token_file,
                tokens_missing(tokens, access->tokens), tokens_missing(access->tokens, tokens));
    pthread_rwlock_wrlock(&access->lock);
    struct tokens *before = access->tokens;
    access->tokens = tokens;
    pthread_rwlock_unlock(&access->lock);
    tokens_free(before);
}

static void reload_tls(struct auth *access)
{
    char message[AUTH_MESSAGE];
    if (!access->settings.tls)
        return;
    if (tls_reload(access->settings.tls, message, sizeof message)) {
        log_message(LOG_LEVEL_INFO, "certificates read again");
        return;
    }
    atomic_fetch_add(&access->failures[RELOAD_CERTIFICATES], 1);
    log_message(LOG_LEVEL_ERROR, "the certificates stay as they were: %s", message);
}

void auth_reload(struct auth *access)
{
    reload_tokens(access);
    reload_tls(access);
}

static double read_failures(void *context, size_t index)
{
    const struct auth *access = context;
    return (double)atomic_load(&access->failures[index]);
}

#define FAILURES(file)                                                                             \
    {                                                                                              \
        "lossd_reload_failures_total", METRIC_COUNTER,                                             \
            "How often files were read again after SIGHUP and found broken.", "file=\"" file "\"", \
            read_failures                                                                          \
    }

static const struct metric_source sources[RELOADS] = {
    [RELOAD_TOKENS] = FAILURES("tokens"), [RELOAD_CERTIFICATES] = FAILURES("certificates")};

bool auth_add_metrics(struct auth *access, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, access) &&
           tls_add_metrics(access->settings.tls, metrics);
}

/* ---- requests ---- */

static const char *header(const struct auth_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Judges the token of a request, where one is needed. */
static enum tokens_verdict judge(struct auth *access, const struct auth_request *request,
                                 char client[AUTH_NAME])
{
    pthread_rwlock_rdlock(&access->lock);
    const enum tokens_verdict verdict =
        access->tokens ? tokens_judge(access->tokens, header(request, "Authorization"), client)
                       : TOKENS_RIGHT;
    pthread_rwlock_unlock(&access->lock);
    return verdict;
}

/* Whether a name is one of the server's. Where anyone can have a name point to 127.0.0.1, a page of
   that name could use a server that listens there as if it were its own (DNS rebinding). */
static bool is_known_host(const struct auth *access, const struct auth_request *request,
                          const char *host)
{
    const char *own = request->entrance->address.host;
    return origins_host_is_local(host) || origins_same_host(host, own, strlen(own)) ||
           origins_list_has_host(access->settings.hosts, host);
}

/* The host of a target in absolute form, copied; false if it has none. */
static bool host_of_target(const char *target, char *host, size_t size)
{
    const char *scheme_end = target[0] == '/' ? NULL : strstr(target, "://");
    if (!scheme_end)
        return false;
    snprintf(host, size, "%.*s", (int)strcspn(scheme_end + 3, "/"), scheme_end + 3);
    return true;
}

static bool check_host(const struct auth *access, const struct auth_request *request,
                       struct response *reply)
{
    const struct entrance *entrance = request->entrance;
    char target_host[256];
    if (entrance->address.is_unix ||
        (!entrance->loopback && (request->open || !has_text(access->settings.hosts))))
        return true;
    const char *host = header(request, "Host");
    if (has_text(host) && is_known_host(access, request, host) &&
        host_of_target(request->target, target_host, sizeof target_host))
        host = target_host;
    if (!has_text(host) ||
        is_known_host(access, request,
                      host)) /* HTTP/1.0 knows no Host, and browsers do not speak it */
        return true;
    char quote[JSON_QUOTE_LONG];
    reply_error(
        reply, 421,
        "this server does not go by the name '%s'; if it is to, start it with --allowed-hosts",
        json_quote_long(host, quote));
    return false;
}

static bool is_method(const struct auth_request *request, const char *method)
{
    return strcmp(request->method, method) == 0;
}

/* Whether a page of the server itself sent the request; where a proxy has changed the Host, the
 * browser's word is left. */
static bool is_own_page(const struct auth_request *request, const char *origin)
{
    const char *host = header(request, "Host"), *site = header(request, "Sec-Fetch-Site");
    return (host && origins_is_host(origin, host)) ||
           (site && strcasecmp(site, "same-origin") == 0);
}

/* Browsers let any page send a POST, and only keep the answer from it. */
static bool check_origin(const struct auth *access, const struct auth_request *request,
                         struct client_identity *visitor, struct response *reply)
{
    const char *origin = header(request, "Origin");
    if (!origin)
        return true;
    const bool preflight =
        is_method(request, "OPTIONS") && header(request, "Access-Control-Request-Method");
    if (origins_list_has_origin(access->settings.origins, origin)) {
        visitor->origin = origin;
        visitor->preflight = preflight;
        return true;
    }
    const bool reads =
        is_method(request, "GET") || is_method(request, "HEAD") || is_method(request, "OPTIONS");
    if ((reads && !preflight) || is_own_page(request, origin))
        return true;
    char quote[JSON_QUOTE_LONG];
    reply_error(
        reply, 403,
        "pages of '%s' may not use this server; if they are to, start it with --cors-origins",
        json_quote_long(origin, quote));
    return false;
}

/* Whether a client certificate is there where one is needed; with a token besides it is the token
 * that gives the name. */
static bool check_certificate(const struct auth *access, const struct auth_request *request,
                              struct client_identity *visitor, struct response *reply)
{
    struct tls *const tls = access->settings.tls;
    if (!request->entrance->secure || !tls_wants_clients(tls) || request->open ||
        visitor->preflight)
        return true;
    if (!tls_judge(tls, request->session, request->peer)) {
        reply_error(reply, 403, "%s", request->peer->fault);
        return false;
    }
    snprintf(visitor->client, sizeof visitor->client, "%s", request->peer->name);
    return true;
}

static bool check_token(struct auth *access, const struct auth_request *request,
                        struct client_identity *visitor, struct response *reply)
{
    static const struct response_header challenge[] = {{"WWW-Authenticate", "Bearer"},
                                                       {NULL, NULL}};
    const enum tokens_verdict verdict = judge(access, request, visitor->client);
    /* A browser sends no token when it asks what it may send. */
    if (verdict == TOKENS_RIGHT || request->open || request->entrance->admin || visitor->preflight)
        return true;
    if (verdict == TOKENS_MISSING) {
        reply_error(reply, 401, "a token is needed: send a header `Authorization: Bearer TOKEN`");
        reply->headers = challenge;
    } else {
        reply_error(reply, 403, "the token is not one of those that are known here");
    }
    return false;
}

bool auth_allow(struct auth *access, const struct auth_request *request,
                struct client_identity *visitor, struct response *reply)
{
    if (!check_host(access, request, reply))
        visitor->fault = REJECTION_HOST;
    else if (!check_origin(access, request, visitor, reply))
        visitor->fault = REJECTION_ORIGIN;
    else if (!check_certificate(access, request, visitor, reply) ||
             !check_token(access, request, visitor, reply))
        visitor->fault = REJECTION_CREDENTIALS;
    else
        return true;
    return false;
}

/* ---- answers ---- */

bool auth_add_headers(const struct auth *access, const struct client_identity *visitor,
                      const char *allow, struct MHD_Response *response)
{
    static const struct response_header preflight[] = {
        {"Access-Control-Allow-Headers",
         "Authorization, Content-Encoding, Content-Type, If-None-Match, "
         "Inference-Header-Content-Length, traceparent, tracestate, X-Request-Id, "
         "X-Request-Timeout"},
        {"Access-Control-Max-Age", "7200"},
        {NULL, NULL}};
    static const struct response_header other[] = {
        {"Access-Control-Expose-Headers", "ETag, Inference-Header-Content-Length, Retry-After, "
                                          "Server-Timing, traceparent, X-Request-Id"},
        {NULL, NULL}};
    bool added =
        !has_text(access->settings.origins) || MHD_add_response_header(response, "Vary", "Origin");
    if (!visitor->origin)
        return added;
    added =
        added && MHD_add_response_header(response, "Access-Control-Allow-Origin", visitor->origin);
    if (visitor->preflight && allow)
        added = added && MHD_add_response_header(response, "Access-Control-Allow-Methods", allow);
    for (const struct response_header *header = visitor->preflight ? preflight : other;
         added && header->name; header++)
        added = MHD_add_response_header(response, header->name, header->value);
    return added;
}
