/*
 * Parses requests exactly as RFC 9112 specifies, in addition to libmicrohttpd's parser.
 *
 * libmicrohttpd accepts a bare LF as the end of a line, truncates names and values at a NUL, joins
 * folded lines to the wrong header, and accepts LFs in chunk extensions and trailers. With any of
 * these, a client can make a proxy in front of the server see different request boundaries than the
 * server (request smuggling). The parsed requests no longer show these faults, so this parser reads
 * the bytes as they are received: the program defines its own recv and gnutls_record_recv, which
 * libmicrohttpd calls instead of those of the libraries. When the library delivers a request, the
 * server rejects it if it is malformed or does not end where this parser says.
 *
 * Valid bytes are passed on unchanged, except the name of the Cookie header, so that the library
 * does not parse cookies. In place of the first malformed byte and everything after it, the library
 * gets the shortest text that completes a request. So it delivers the request immediately, and
 * lossd writes the error response. Otherwise the library would respond to some faults with an HTML
 * page and to others with two header sections, or would wait for line ends that never arrive.
 */
#ifndef SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H
#define SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "admission/limits.h"
#include "util/http_error.h"

enum { STRICT_PARSER_PARAMETERS = 64 }; /* maximum number of parameters in a query */

/* The parser of one connection. Only the thread of the connection may call these functions, except
   strict_parser_begin, strict_parser_of and strict_parser_has_begun. */
struct strict_parser;

/* Allocates parsers for connections with descriptors below `files`. Borrows `limits`; requests
   whose target, headers or trailers exceed the limits are rejected. Returns false if memory is
   insufficient. */
bool strict_parser_open(size_t files, const struct limits *limits);

/* Frees the parsers. Call it after the last connection has ended. */
void strict_parser_close(void);

/* Starts parsing the bytes received on `fd`, at the start of a connection. Must be called before
   another thread receives on the connection. `encrypted`: the connection uses TLS, and the parser
   sees the decrypted bytes. */
void strict_parser_begin(int fd, bool encrypted);

/* Stops parsing the bytes received on `fd`. */
void strict_parser_end(int fd);

/* Returns the parser of a descriptor. strict_parser_begin must have been called for it. */
struct strict_parser *strict_parser_of(int fd);

/* Returns true if part of a request has been received. Thread-safe while the connection is open. */
bool strict_parser_has_begun(const struct strict_parser *parser);

/* Sets whether recv hides from the library that a client without TLS has closed its sending half.
   If the library saw the end before it gets the response, it would drop the request. While the end
   is hidden, connection_monitor.h detects disconnects. */
void strict_parser_hide_end(struct strict_parser *parser, bool hidden);

/* Returns the number of the connection's next request. Call it once for each request that
   libmicrohttpd delivers. */
unsigned strict_parser_next(struct strict_parser *parser);

/* Returns how many words of the request line were received; the last one may be incomplete. Any
   further words that the library reports come from the replacement text. */
unsigned strict_parser_words(const struct strict_parser *parser, unsigned number);

/* Return the fault of a request of which the library has delivered the headers, or all of it.
   Status 0: no fault. */
struct http_error strict_parser_head_fault(const struct strict_parser *parser, unsigned number);
struct http_error strict_parser_fault(const struct strict_parser *parser, unsigned number);

/* Returns the fault found so far in a request that is still being received. */
struct http_error strict_parser_early_fault(const struct strict_parser *parser, unsigned number);

/* Parses `len` received bytes in a buffer of `size` bytes; recv calls it. Returns the number of
   bytes to pass to the library. From the first fault on, the bytes are replaced as described above,
   and later calls return 0. */
size_t strict_parser_read(struct strict_parser *parser, char *bytes, size_t len, size_t size);

/* Writes replacement bytes that strict_parser_read had no room for, up to `size`, and returns their
   number. They must be passed to the library before more bytes are received. */
size_t strict_parser_rest(struct strict_parser *parser, char *bytes, size_t size);

#endif
