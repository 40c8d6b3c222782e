/*
 * Parses requests exactly as RFC 9112 specifies, in addition to libmicrohttpd's parser.
 *
 * libmicrohttpd accepts a bare LF as the end of a line, truncates names and values at a NUL, joins
 * folded lines to the wrong header, and accepts LFs in chunk extensions and trailers. With any of
 * these, a client can make a proxy before the server see other request boundaries than the server
 * (request smuggling). What the library passes on no longer shows these faults, so this parser sees
 * the bytes as they are received: the program defines its own recv and gnutls_record_recv, which
 * libmicrohttpd calls instead of the libraries'. A request is rejected, once the library delivers
 * it, if it is malformed or does not end where this parser says.
 *
 * Valid bytes are passed on unchanged, except for the name of the Cookie header: the library would
 * parse cookies. From the first malformed byte on, the library gets the shortest text that
 * completes a request, and nothing after that. So it delivers the request at once, and this server
 * writes the error response. Otherwise the library would respond to some faults with an HTML page,
 * to some with two header sections in a row, and would wait for line ends that never arrive.
 */
#ifndef SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H
#define SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "admission/limits.h"
#include "util/http_error.h"

enum { STRICT_PARSER_PARAMETERS = 64 }; /* the most parameters of a query */

/* The parser of one connection. Only the thread of the connection may use it, except for
   strict_parser_begin and strict_parser_has_begun. */
struct strict_parser;

/* Allocates parsers for connections with descriptors below `files`. Borrows `limits`; requests
   whose target, headers or trailers exceed them are rejected. Returns false if memory is
   insufficient. */
bool strict_parser_open(size_t files, const struct limits *limits);

/* Frees the parsers. Call it after the last connection has ended. */
void strict_parser_close(void);

/* Starts parsing what is received on `fd`, as the first bytes of a connection. Call it before
   another thread receives on the connection. `encrypted`: the connection uses TLS, and the parser
   sees the decrypted bytes. */
void strict_parser_begin(int fd, bool encrypted);

/* Stops parsing what is received on `fd`. */
void strict_parser_end(int fd);

/* Returns the parser of a descriptor. strict_parser_begin must have been called for it. */
struct strict_parser *strict_parser_of(int fd);

/* Returns true if a request has been received in part. Thread-safe while the connection is open. */
bool strict_parser_has_begun(const struct strict_parser *parser);

/* Sets whether recv hides from the library that a client without TLS has closed its sending half.
   If the library notices it before it gets the response, it drops the request. While it is hidden,
   connection_monitor.h detects it. */
void strict_parser_hide_end(struct strict_parser *parser, bool hidden);

/* Returns the number of the connection's next request. Call it once for each request that
   libmicrohttpd delivers. */
unsigned strict_parser_next(struct strict_parser *parser);

/* Returns how many words of the request line were received; the last one may be incomplete. Words
   that the library reports beyond these were made up by this parser. */
unsigned strict_parser_words(const struct strict_parser *parser, unsigned number);

/* Return the fault of a request of which the library has delivered the headers, or everything.
   Status 0: no fault. */
struct http_error strict_parser_head_fault(const struct strict_parser *parser, unsigned number);
struct http_error strict_parser_fault(const struct strict_parser *parser, unsigned number);

/* Returns the fault found so far in a request that is still being received. */
struct http_error strict_parser_early_fault(const struct strict_parser *parser, unsigned number);

/* Parses `len` received bytes in a buffer of `size` bytes; recv calls it. Returns the number of
   bytes to pass to the library. From the first fault on the bytes are replaced as described above,
   and later calls return 0. */
size_t strict_parser_read(struct strict_parser *parser, char *bytes, size_t len, size_t size);

/* Writes replacement bytes that strict_parser_read had no room for, up to `size`, and returns their
   number. They must be passed to the library before anything else is received. */
size_t strict_parser_rest(struct strict_parser *parser, char *bytes, size_t size);

#endif
