/*
 * A second reading of what comes in on a connection, by the letter of RFC 9112, beside
 * libmicrohttpd's. That library takes a bare line feed for the end of a line, cuts names and values
 * off at a NUL, glues folded lines to the wrong header, and lets line feeds stand in chunk
 * extensions and trailers: with each of these, a proxy before the server can be led to see the
 * requests of a connection end where the server does not (request smuggling). None of it can be
 * seen in what the library hands over, so the bytes are looked at as they are received: the program
 * has a recv of its own, and a gnutls_record_recv, which libmicrohttpd calls in place of the
 * libraries'. Requests are refused when the library has brought them, if they were not sound, or if
 * they end elsewhere than here.
 *
 * What is sound is handed on as it came, but for the name of cookies, which the library would make
 * much of. From the first fault on, the library is given not what came but the shortest end that
 * makes a request of what it has, and nothing after that: so it brings the request at once, and it
 * is this server that says what was wrong. Left to itself it would answer some faults with a page
 * in HTML, some with two headers one after the other, and wait for the end of a line that has none.
 */
#ifndef SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H
#define SERVER_MHD_WORKAROUNDS_STRICT_PARSER_H

#include <stdbool.h>
#include <stddef.h>

#include "admission/limits.h"
#include "util/http_error.h"

enum { WIRE_PARAMETERS = 64 }; /* that a query may have */

/* The reading of one connection. Everything but wire_begin and wire_has_begun belongs to the thread
 * that has the connection. */
struct wire;

/* Makes room for the connections of descriptors below `files`; false where memory is missing.
   Targets, headers and trailers longer than the limits, which are borrowed, are faults. */
bool wire_open(size_t files, const struct limits *limits);
/* When there is no connection left. */
void wire_close(void);

/* From now on what is received on this descriptor is read, as the first bytes of a connection.
   Before the connection is handed to the thread that will receive on it. `encrypted`: by TLS, and
   read behind that. */
void wire_begin(int fd, bool encrypted);
void wire_end(int fd);

/* The reading of a descriptor that wire_begin was called for. */
struct wire *wire_of(int fd);
/* Whether some of a request was read, but not all of it. From any thread, while the connection
 * lives. */
bool wire_has_begun(const struct wire *wire);
/* Whether it is hidden from the library that a client without TLS has closed its sending half. Else
   the library drops the request that it has, if it happens to look before it is given the answer.
   Afterwards connection_monitor.h finds that out. */
void wire_hide_end(struct wire *wire, bool hidden);
/* The number that the next request of the connection has: to be called once for each that
 * libmicrohttpd brings. */
unsigned wire_next(struct wire *wire);

/* How many words of the request line have come, the last of them perhaps in part: what the library
   says beyond these was made up here. */
unsigned wire_words(const struct wire *wire, unsigned number);

/* What is wrong with a request whose headers are in, or with one that is in as a whole. */
struct http_error wire_head_fault(const struct wire *wire, unsigned number);
struct http_error wire_fault(const struct wire *wire, unsigned number);
/* What is already known to be wrong with a request that is still coming in. */
struct http_error wire_early_fault(const struct wire *wire, unsigned number);

/* Reads `len` bytes of a connection, which came into room for `size`; what recv calls. Returns how
   many the library is to be given: from the first fault on they are others, and then none. */
size_t wire_read(struct wire *wire, char *bytes, size_t len, size_t size);
/* What is left of these others, for want of room: up to `size` bytes, to be given before anything
 * else is received. */
size_t wire_rest(struct wire *wire, char *bytes, size_t size);

#endif
