/*
 * Rejects malformed requests that libmicrohttpd 0.9.75 accepts: requests whose end a proxy could
 * see elsewhere (request smuggling), and names, values and paths with bytes that are not allowed in
 * them. These checks run when libmicrohttpd has parsed the headers and before it reads the body.
 * strict_parser.h runs first and checks what the parsed headers do not show.
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

/* Checks the headers of a request and fills `framing`. On failure, the error's status is not 0;
   close the connection after the response, as the end of the request is unknown. */
struct http_error head_validate(struct MHD_Connection *connection, const char *method,
                                const char *version, struct framing *framing);

enum head_path { HEAD_PATH_OK, HEAD_PATH_MALFORMED, HEAD_PATH_UNKNOWN };

/* Decodes the raw target of a request, without its query, to `path`, `size` bytes of printable
   ASCII. The target may have the absolute form. Returns HEAD_PATH_MALFORMED if it contains a
   control character, raw or encoded, an encoded slash or a broken escape. Returns
   HEAD_PATH_UNKNOWN if it is valid but cannot match a route: too long, or not ASCII. */
enum head_path head_decode_path(const char *raw, char *path, size_t size);

#endif
