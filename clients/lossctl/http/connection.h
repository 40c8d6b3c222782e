/* The connection to the server given on the command line: requests and responses, with libcurl. */
#ifndef LOSSCTL_HTTP_CONNECTION_H
#define LOSSCTL_HTTP_CONNECTION_H

#include <curl/curl.h>

#include "cli/arguments.h"
#include "memory/buffer.h"

enum { CONNECTION_URL = 2048 };

struct connection {
    CURL *curl;                 /* owned: one handle for all requests, which keeps the connection */
    char url[CONNECTION_URL];   /* of the server, without a trailing '/' */
    char shown[CONNECTION_URL]; /* url with *** for user and password */
    const char *unix_socket;    /* borrowed: path of the socket; NULL: TCP */
    const char *cacert, *cert, *key; /* borrowed: file names; NULL: none */
    char *authorization;             /* owned: a header line; NULL: none */
    char time_limit[40];             /* a header line: the client's timeout; empty: none */
    long timeout_ms;
    bool can_be_local; /* the command accepts --local */
};

/* One part of a body. */
struct segment {
    const void *bytes;
    size_t len;
};

struct http_request {
    const char *path;             /* with its query */
    const char *content_type;     /* NULL: a GET request without a body */
    const char *accept;           /* NULL: anything */
    const char *inference_header; /* for Inference-Header-Content-Length; NULL: no such header */
    const struct segment *segment;
    int segments;
};

struct http_response {
    int status;
    char content_type[128];
    struct buffer body; /* owned; followed by a NUL */
    double ms; /* milliseconds from the start, with connecting, to the last byte received */
};

/* Reads the options of the connection, which borrows them. Does not connect yet. Call
   connection_close() in any case. */
enum exit_code connection_open(struct connection *connection, const struct arguments *arguments);
void connection_close(struct connection *connection);

/* Sets the options that all requests of this connection share on another libcurl handle. */
void connection_setup(const struct connection *connection, CURL *curl);

/* Sends a request and receives the response, which may have any status. Returns EXIT_UNREACHABLE if
   there is no response. The caller frees the response with http_response_free(). */
enum exit_code connection_perform(struct connection *connection, const struct http_request *request,
                                  struct http_response *response);
/* Reports a response whose status is not 200, and returns the exit code for it. */
enum exit_code http_response_fail(const struct connection *connection,
                                  const struct http_response *response);
/* Gets a path. If the status is not 200, reports the response, frees it and returns an error. */
enum exit_code connection_get(struct connection *connection, const char *path,
                              struct http_response *response);
/* Reports that there was no response. `why` is libcurl's message for `code`, or "". Returns
   EXIT_UNREACHABLE, or EXIT_FAILED if memory ran out. */
enum exit_code connection_fail(const struct connection *connection, CURLcode code, const char *why);
void http_response_free(struct http_response *response);

#endif
