/*
 * Authentication and authorization.
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
               "a client has the name of its token or certificate");

enum { AUTH_MESSAGE = 640 };

enum reload { RELOAD_TOKENS, RELOAD_CERTIFICATES, RELOADS };

struct auth {
    struct auth_settings settings;
    pthread_rwlock_t lock;           /* protects what a reload replaces */
    struct tokens *tokens;           /* owned; NULL: no tokens are required */
    atomic_ullong failures[RELOADS]; /* failed reloads */
};

static bool has_text(const char *text)
{
    return text && *text;
}

/* Returns false and writes a reason to `message` if a list has an invalid item. */
static bool check_lists(const struct auth_settings *settings, char *message, size_t size)
{
    char item[128];
    if (!origins_check_hosts(settings->hosts, item, sizeof item)) {
        snprintf(
            message, size,
            "allowed-hosts: \"%s\" is not a host name; expected a name or an IP address without a "
            "port, such as loss.example.org or [2001:db8::1], or *",
            item);
        return false;
    }
    if (!origins_check_origins(settings->origins, item, sizeof item)) {
        snprintf(message, size,
                 "cors-origins: \"%s\" is not an origin; expected http://host[:port] or "
                 "https://host[:port], without a trailing slash or default port, such as "
                 "https://example.org or http://localhost:3000, or null, or *",
                 item);
        return false;
    }
    return true;
}

struct auth *auth_new(const struct auth_settings *settings, char *message, size_t size)
{
    if (!check_lists(settings, message, size))
        return NULL;
    struct auth *auth = calloc(1, sizeof *auth);
    if (!auth) {
        snprintf(message, size, "insufficient memory for authentication");
        return NULL;
    }
    auth->settings = *settings;
    /* Prefers writers: otherwise readers could delay a reload forever. */
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&auth->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    if (has_text(settings->token_file) &&
        !(auth->tokens = tokens_read(settings->token_file, message, size))) {
        auth_free(auth);
        return NULL;
    }
    return auth;
}

void auth_free(struct auth *auth)
{
    if (!auth)
        return;
    tokens_free(auth->tokens);
    pthread_rwlock_destroy(&auth->lock);
    free(auth);
}

bool auth_may_listen(const struct auth *auth, const struct listen_address *listen_address,
                     char *message, size_t size)
{
    char text[ADDRESS_TEXT];
    const bool certified = listen_address->secure && tls_wants_clients(auth->settings.tls);
    if (listen_address->loopback || listen_address->admin || auth->tokens || certified ||
        auth->settings.allow_unauthenticated)
        return true;
    snprintf(message, size,
             "%s can be reached from other machines: configure authentication with --token-file "
             "(LOSSD_TOKEN_FILE) or --tls-client-ca, or allow everyone with "
             "--allow-unauthenticated (LOSSD_ALLOW_UNAUTHENTICATED=on)",
             address_text(&listen_address->address, text));
    return false;
}

static void reload_tokens(struct auth *auth)
{
    char message[AUTH_MESSAGE];
    if (!auth->tokens)
        return;
    struct tokens *tokens = tokens_read(auth->settings.token_file, message, sizeof message);
    if (!tokens) {
        atomic_fetch_add(&auth->failures[RELOAD_TOKENS], 1);
        log_message(LOG_LEVEL_ERROR,
                    "cannot reload the tokens; the previous ones stay in effect: %s", message);
        return;
    }
    log_message(LOG_LEVEL_INFO, "%zu tokens read from %s: %zu added, %zu removed",
                tokens_count(tokens), auth->settings.token_file,
                tokens_missing(tokens, auth->tokens), tokens_missing(auth->tokens, tokens));
    pthread_rwlock_wrlock(&auth->lock);
    struct tokens *before = auth->tokens;
    auth->tokens = tokens;
    pthread_rwlock_unlock(&auth->lock);
    tokens_free(before);
}

static void reload_tls(struct auth *auth)
{
    char message[AUTH_MESSAGE];
    if (!auth->settings.tls)
        return;
    if (tls_reload(auth->settings.tls, message, sizeof message)) {
        log_message(LOG_LEVEL_INFO, "certificates reloaded");
        return;
    }
    atomic_fetch_add(&auth->failures[RELOAD_CERTIFICATES], 1);
    log_message(LOG_LEVEL_ERROR,
                "cannot reload the certificates; the previous ones stay in effect: %s", message);
}

void auth_reload(struct auth *auth)
{
    reload_tokens(auth);
    reload_tls(auth);
}

static double read_failures(void *context, size_t index)
{
    const struct auth *auth = context;
    return (double)atomic_load(&auth->failures[index]);
}

#define FAILURES(file)                                                                             \
    {                                                                                              \
        "lossd_reload_failures_total", METRIC_COUNTER, "Failed reloads of a file after SIGHUP.",   \
            "file=\"" file "\"", read_failures                                                     \
    }

static const struct metric_source sources[RELOADS] = {
    [RELOAD_TOKENS] = FAILURES("tokens"), [RELOAD_CERTIFICATES] = FAILURES("certificates")};

bool auth_add_metrics(struct auth *auth, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, auth) &&
           tls_add_metrics(auth->settings.tls, metrics);
}

/* ---- Requests ---- */

static const char *header(const struct auth_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Checks the token of a request, if tokens are configured. */
static enum tokens_verdict token_verdict(struct auth *auth, const struct auth_request *request,
                                         char client[AUTH_NAME])
{
    pthread_rwlock_rdlock(&auth->lock);
    const enum tokens_verdict verdict =
        auth->tokens ? tokens_check(auth->tokens, header(request, "Authorization"), client)
                     : TOKENS_KNOWN;
    pthread_rwlock_unlock(&auth->lock);
    return verdict;
}

/* Returns true if a host name belongs to the server. Without this check, a web page whose host name
   resolves to 127.0.0.1 could use a server listening there as if they had the same origin (DNS
   rebinding). */
static bool is_known_host(const struct auth *auth, const struct auth_request *request,
                          const char *host)
{
    const char *own = request->listen_address->address.host;
    return origins_host_is_local(host) || origins_same_host(host, own, strlen(own)) ||
           origins_list_has_host(auth->settings.hosts, host);
}

/* Copies the host of a request target in absolute form. Returns false if the target has another
   form. */
static bool host_of_target(const char *target, char *host, size_t size)
{
    const char *scheme_end = target[0] == '/' ? NULL : strstr(target, "://");
    if (!scheme_end)
        return false;
    snprintf(host, size, "%.*s", (int)strcspn(scheme_end + 3, "/"), scheme_end + 3);
    return true;
}

static bool check_host(const struct auth *auth, const struct auth_request *request,
                       struct response *response)
{
    const struct listen_address *listen_address = request->listen_address;
    char target_host[256];
    if (listen_address->address.is_unix ||
        (!listen_address->loopback && (request->public || !has_text(auth->settings.hosts))))
        return true;
    const char *host = header(request, "Host");
    if (has_text(host) && is_known_host(auth, request, host) &&
        host_of_target(request->target, target_host, sizeof target_host))
        host = target_host;
    /* Browsers always send a host name, so other clients may omit it (HTTP/1.0) or leave it empty.
     */
    if (!has_text(host) || is_known_host(auth, request, host))
        return true;
    char quote[JSON_QUOTE_LONG];
    reply_error(response, 421,
                "'%s' is not a host name of this server; add it with --allowed-hosts",
                json_quote_long(host, quote));
    return false;
}

static bool is_method(const struct auth_request *request, const char *method)
{
    return strcmp(request->method, method) == 0;
}

/* Returns true if one of the server's own pages sent the request. Sec-Fetch-Site shows this even if
   a proxy has changed Host. */
static bool is_own_page(const struct auth_request *request, const char *origin)
{
    const char *host = header(request, "Host"), *site = header(request, "Sec-Fetch-Site");
    return (host && origins_is_host(origin, host)) ||
           (site && strcasecmp(site, "same-origin") == 0);
}

/* Rejects requests from pages of other sites, except those in --cors-origins and requests that only
   read. Browsers let any page send a POST request, and only hide the response from the page. */
static bool check_origin(const struct auth *auth, const struct auth_request *request,
                         struct client_identity *identity, struct response *response)
{
    const char *origin = header(request, "Origin");
    if (!origin)
        return true;
    const bool preflight =
        is_method(request, "OPTIONS") && header(request, "Access-Control-Request-Method");
    if (origins_list_has_origin(auth->settings.origins, origin)) {
        identity->origin = origin;
        identity->preflight = preflight;
        return true;
    }
    const bool reads =
        is_method(request, "GET") || is_method(request, "HEAD") || is_method(request, "OPTIONS");
    if ((reads && !preflight) || is_own_page(request, origin))
        return true;
    char quote[JSON_QUOTE_LONG];
    reply_error(response, 403, "origin '%s' is not allowed; add it with --cors-origins",
                json_quote_long(origin, quote));
    return false;
}

/* Checks the client certificate if client certificates are configured. If the request also has a
   token, the name of the token later replaces the name of the certificate. */
static bool check_certificate(const struct auth *auth, const struct auth_request *request,
                              struct client_identity *identity, struct response *response)
{
    struct tls *const tls = auth->settings.tls;
    if (!request->listen_address->secure || !tls_wants_clients(tls) || request->public ||
        identity->preflight)
        return true;
    if (!tls_check_peer(tls, request->session, request->peer)) {
        reply_error(response, 403, "%s", request->peer->fault);
        return false;
    }
    snprintf(identity->client, sizeof identity->client, "%s", request->peer->name);
    return true;
}

static bool check_token(struct auth *auth, const struct auth_request *request,
                        struct client_identity *identity, struct response *response)
{
    static const struct response_header challenge[] = {{"WWW-Authenticate", "Bearer"},
                                                       {NULL, NULL}};
    const enum tokens_verdict verdict = token_verdict(auth, request, identity->client);
    /* CORS preflight requests have no token. */
    if (verdict == TOKENS_KNOWN || request->public || request->listen_address->admin ||
        identity->preflight)
        return true;
    if (verdict == TOKENS_MISSING) {
        reply_error(response, 401,
                    "a token is required: send a header `Authorization: Bearer TOKEN`");
        response->headers = challenge;
    } else {
        reply_error(response, 403, "unknown token");
    }
    return false;
}

bool auth_allow(struct auth *auth, const struct auth_request *request,
                struct client_identity *identity, struct response *response)
{
    if (!check_host(auth, request, response))
        identity->rejection = REJECTION_HOST;
    else if (!check_origin(auth, request, identity, response))
        identity->rejection = REJECTION_ORIGIN;
    else if (!check_certificate(auth, request, identity, response) ||
             !check_token(auth, request, identity, response))
        identity->rejection = REJECTION_CREDENTIALS;
    else
        return true;
    return false;
}

/* ---- Responses ---- */

bool auth_add_headers(const struct auth *auth, const struct client_identity *identity,
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
        !has_text(auth->settings.origins) || MHD_add_response_header(response, "Vary", "Origin");
    if (!identity->origin)
        return added;
    added =
        added && MHD_add_response_header(response, "Access-Control-Allow-Origin", identity->origin);
    if (identity->preflight && allow)
        added = added && MHD_add_response_header(response, "Access-Control-Allow-Methods", allow);
    for (const struct response_header *header = identity->preflight ? preflight : other;
         added && header->name; header++)
        added = MHD_add_response_header(response, header->name, header->value);
    return added;
}
