/*
 * Rejects malformed requests that libmicrohttpd 0.9.75 accepts: requests whose end a proxy could
 * interpret differently (request smuggling), and names, values and paths with invalid bytes. These
 * checks run after libmicrohttpd has parsed the headers and before it reads the body.
 * strict_parser.h runs earlier and checks what the parsed headers no longer show.
 */
#ifndef SERVER_HTTP_HEAD_VALIDATION_H
#define SERVER_HTTP_HEAD_VALIDATION_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/http_error.h"

/* How the body of a request is delimited. */
struct framing {
    bool has_length;
    uint64_t length; /* 0 unless has_length */
    bool chunked;
    bool expects_continue; /* the client sends the body only after a "100 Continue" */
};

/* Checks the headers of a request and fills `framing`. On failure, the status of the returned error
   is not 0. The connection must then be closed after the response, because the end of the request
   is unknown. */
struct http_error head_validate(struct MHD_Connection *connection, const char *method,
                                const char *version, struct framing *framing);

enum head_path { HEAD_PATH_OK, HEAD_PATH_MALFORMED, HEAD_PATH_UNKNOWN };

/* Decodes a raw request target without its query to `path`, a buffer of `size` bytes, as printable
   ASCII. Returns HEAD_PATH_MALFORMED if the target is neither a path nor an http or https URL, or
   if its path contains a raw space, a control character, raw or encoded, an encoded slash or a
   broken escape. Returns HEAD_PATH_UNKNOWN if it is valid but cannot match a route because it is
   too long or not ASCII. */
enum head_path head_decode_path(const char *raw, char *path, size_t size);

#endif
