/*
 * A second reading of what comes in on a connection, by the letter of RFC 9112, beside libmicrohttpd's. That library takes a
 * bare line feed for the end of a line, cuts names and values off at a NUL, glues folded lines to the wrong header, and lets
 * line feeds stand in chunk extensions and trailers: with each of these, a proxy before the server can be led to see the
 * requests of a connection end where the server does not (request smuggling). None of it can be seen in what the library hands
 * over, so the bytes are looked at as they are received: the program has a recv of its own, and a gnutls_record_recv, which
 * libmicrohttpd calls in place of the libraries'. It takes nothing away and changes nothing; requests are refused when the
 * library has brought them, if they were not sound, or if they end elsewhere than here.
 */
#ifndef SERVER_WIRE_H
#define SERVER_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* The reading of one connection. Everything but wire_begin and wire_has_begun belongs to the thread that has the connection. */
struct wire;

/* Makes room for the connections of descriptors below `files`; false where memory is missing. */
bool wire_open(size_t files);
/* When there is no connection left. */
void wire_close(void);

/* From now on what is received on this descriptor is read, as the first bytes of a connection. Before the connection is handed
   to the thread that will receive on it. `encrypted`: by TLS, and read behind that. */
void wire_begin(int fd, bool encrypted);
void wire_end(int fd);

/* The reading of a descriptor that wire_begin was called for. */
struct wire *wire_of(int fd);
/* Whether some of a request was read, but not all of it. From any thread, while the connection lives. */
bool wire_has_begun(const struct wire *wire);
/* The number that the next request of the connection has: to be called once for each that libmicrohttpd brings. */
unsigned wire_next(struct wire *wire);

/* What is wrong with a request whose headers are in, or with one that is in as a whole: static text. NULL if nothing is. */
const char *wire_head_fault(const struct wire *wire, unsigned number);
const char *wire_fault(const struct wire *wire, unsigned number);
/* What is already known to be wrong with a request that is still coming in. */
const char *wire_early_fault(const struct wire *wire, unsigned number);

/* Reads some bytes of a connection; what recv calls. */
void wire_read(struct wire *wire, const char *bytes, size_t len);

#endif
