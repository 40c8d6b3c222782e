/*
 * Authentication and authorization: decides from the headers of a request whether the client may
 * use the server. Checks the host name, the origin of web pages, client certificates and tokens.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "connection/listener.h"
#include "connection/tls.h"
#include "content/response.h"
#include "observe/metrics.h"
#include "observe/rejections.h"

enum { AUTH_NAME = 65 }; /* size of a client name, including the NUL */

/* All pointers are borrowed. */
struct auth_settings {
    struct tls *tls;            /* NULL: no TLS */
    const char *token_file;     /* empty: no tokens are required */
    bool allow_unauthenticated; /* allow any listen address without authentication */
    const char *hosts;          /* --allowed-hosts */
    const char *origins;        /* --cors-origins */
};

struct auth;

/* Creates the authentication state, and reads the token file. On failure, returns NULL and writes a
   one-line reason to `message`. */
struct auth *auth_new(const struct auth_settings *settings, char *message, size_t size);

/* No-op if NULL. */
void auth_free(struct auth *auth);

/* Returns true if the server may listen on an address: it is a loopback or admin address, clients
   must authenticate, or the settings allow unauthenticated clients. Otherwise returns false and
   writes a one-line reason to `message`. */
bool auth_may_listen(const struct auth *auth, const struct listen_address *listen_address,
                     char *message, size_t size);

/* Reloads the token file and the certificates. If a file is invalid, its previous content stays in
   effect. Logs the result. */
void auth_reload(struct auth *auth);

/* Adds the metrics of reloads and certificates. Returns false if memory is insufficient. */
bool auth_add_metrics(struct auth *auth, struct metrics *metrics);

struct auth_request {
    struct MHD_Connection *connection; /* the headers have been received */
    const struct listen_address *listen_address;
    gnutls_session_t session; /* NULL without TLS */
    struct tls_peer *peer;    /* used only with TLS */
    const char *method, *target;
    bool public; /* the route needs no authentication */
};

/* The client that sent a request. The caller zeroes it. */
struct client_identity {
    char client[AUTH_NAME]; /* name of the token or certificate, or "" */
    const char *origin; /* origin of a web page that may read the response, or NULL; valid as long
                           as the request */
    bool preflight;     /* the request is a CORS preflight from that page */
    enum rejection rejection; /* reason of the rejection, if it was rejected */
};

/* Returns true if the request is allowed. Otherwise fills `response` with an error and returns
   false. Fills `identity` in both cases. Thread-safe. */
bool auth_allow(struct auth *auth, const struct auth_request *request,
                struct client_identity *identity, struct response *response);

/* Adds the CORS headers (https://fetch.spec.whatwg.org/#http-cors-protocol) to a response. `allow`:
   the methods of the path, for a preflight request. Returns false if memory is insufficient. */
bool auth_add_headers(const struct auth *auth, const struct client_identity *identity,
                      const char *allow, struct MHD_Response *response);

#endif
