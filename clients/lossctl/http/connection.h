/*
 * The server, as the command line says how to reach it: requests and their answers, by libcurl.
 */
#ifndef LOSSCTL_HTTP_CONNECTION_H
#define LOSSCTL_HTTP_CONNECTION_H

#include <curl/curl.h>

#include "cli/arguments.h"
#include "memory/buffer.h"

enum { CONNECTION_URL = 2048 };

struct connection {
    CURL *curl;                 /* owned: one for all requests, so that the connection is kept */
    char url[CONNECTION_URL];   /* of the server, without a '/' behind it */
    char shown[CONNECTION_URL]; /* url with *** for user and password */
    const char *unix_socket;    /* borrowed: through which it is reached; NULL: none */
    const char *cacert, *cert, *key; /* borrowed: files; NULL: none */
    char *authorization;             /* owned: a header; NULL: none */
    char time_limit[40];             /* a header: how long the client waits; empty: none */
    long timeout_ms;
    bool can_be_local; /* the command needs no server, if told so */
};

/* Some bytes of a body, one behind the other. */
struct segment {
    const void *bytes;
    size_t len;
};

struct request {
    const char *path;             /* with its query */
    const char *content_type;     /* NULL: it has no body, and is a GET */
    const char *accept;           /* NULL: anything */
    const char *inference_header; /* for Inference-Header-Content-Length; NULL: no such header */
    const struct segment *segment;
    int segments;
};

struct response {
    int status;
    char content_type[128];
    struct buffer body; /* owned; a NUL stands behind it */
    double ms;          /* from the first byte sent to the last received */
};

/* Prepares everything; connects nowhere yet. */
enum exit_code connection_open(struct connection *connection, const struct arguments *arguments);
void connection_close(struct connection *connection);

/* Sets what all requests of this connection have on another handle of libcurl's. */
void connection_setup(const struct connection *connection, CURL *curl);

/* Asks, and waits for the answer, of whatever status; EXIT_UNREACHABLE where none comes.
 * response_free frees the answer. */
enum exit_code connection_ask(struct connection *connection, const struct request *request,
                              struct response *response);
/* Says what a response with a status other than 200 says, and returns what it amounts to. */
enum exit_code response_refused(const struct connection *connection,
                                const struct response *response);
/* GET of a path, of which only 200 will do. */
enum exit_code connection_get(struct connection *connection, const char *path,
                              struct response *response);
/* Says that no answer came, and why. */
enum exit_code connection_failed(const struct connection *connection, CURLcode code,
                                 const char *why);
void response_free(struct response *response);

#endif
