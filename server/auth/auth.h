/*
 * Who gets in: the one place where a request is let in or turned away for who sent it, from its
 * headers alone.
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

enum { AUTH_NAME = 65 }; /* bytes of a client's name, with its NUL */

struct auth_settings {
    struct tls *tls;            /* borrowed, as all text; NULL where there is none */
    const char *token_file;     /* borrowed, as all text; empty: nobody needs a token */
    bool allow_unauthenticated; /* let anyone in, from wherever */
    const char *hosts;          /* further names of the server, with commas between them */
    const char *origins;        /* whose pages may use it, likewise */
};

struct auth;

/* Reads what the settings name. NULL with one line in `message` if that cannot be. */
struct auth *auth_new(const struct auth_settings *settings, char *message, size_t size);
void auth_free(struct auth *access); /* NULL is let be */

/* Whether it is safe to listen there: only this machine can reach it, or clients must say who they
   are, or the settings say that anyone may come; or it is an admin address, which shows health and
   metrics alone. Else false with one line in `message`.
 */
bool auth_may_listen(const struct auth *access, const struct entrance *entrance, char *message,
                     size_t size);

/* Reads the files again. Where one is broken what it said before goes on to hold. The log tells how
 * it went. */
void auth_reload(struct auth *access);

/* Adds how often that failed, and when certificates expire, to the metrics. False if memory has run
 * out. */
bool auth_add_metrics(struct auth *access, struct metrics *metrics);

struct auth_request {
    struct MHD_Connection *connection; /* whose headers are in */
    const struct entrance *entrance;
    gnutls_session_t session; /* of TLS, else NULL */
    struct tls_peer *peer;    /* likewise */
    const char *method, *target;
    bool open; /* what is asked for is for everyone */
};

/* What is known of who sent a request; zeroed before that. */
struct client_identity {
    char client[AUTH_NAME]; /* the name of the token, or of the certificate; "" for nobody in
                                 particular */
    const char
        *origin; /* of a page that may read the answer, else NULL; lives as long as the request */
    bool preflight;       /* a browser asks for that page what it may send */
    enum rejection fault; /* why the request was refused, where it was */
};

/* Whether a request may be answered; fills the visitor in any case. If not, the reply is filled.
 * From any thread. */
bool auth_allow(struct auth *access, const struct auth_request *request,
                struct client_identity *visitor, struct response *reply);

/* Adds the headers of CORS (https://fetch.spec.whatwg.org/#http-cors-protocol) to an answer;
   `allow` are the methods that the path has, where it was OPTIONS. False where memory has run out.
 */
bool auth_add_headers(const struct auth *access, const struct client_identity *visitor,
                      const char *allow, struct MHD_Response *response);

#endif
