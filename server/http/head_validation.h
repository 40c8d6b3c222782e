/*
 * What libmicrohttpd 0.9.75 lets through and a server must not: requests whose end two parties
 * could see in different places (request smuggling), and names, values and paths with bytes in them
 * that have no business there. libmicrohttpd has parsed the headers when this is asked, but read no
 * body yet. What it hides is found by strict_parser.h, which is asked before.
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
    bool expects_continue; /* the client waits for a 100 or a final answer before it sends the body
                            */
};

/* Checks a request whose headers are in. Fills `framing` if nothing speaks against it; where
   something does, nothing that follows on the connection can be trusted, so it must be closed. */
struct http_error guard_request(struct MHD_Connection *connection, const char *method,
                                const char *version, struct framing *framing);

enum guard_path { GUARD_PATH_OK, GUARD_PATH_MALFORMED, GUARD_PATH_UNKNOWN };

/* Decodes the raw target of a request (its query cut off), also in absolute form, to a path of
   printable ASCII in `path`. GUARD_PATH_MALFORMED where that has no meaning: control characters,
   raw or encoded, an encoded slash, a broken escape; GUARD_PATH_UNKNOWN where it has one but can be
   no path of ours: too long, or not ASCII. */
enum guard_path guard_decode_path(const char *raw, char *path, size_t size);

#endif
