/* Large request bodies. */
#ifndef TESTS_BODY_H
#define TESTS_BODY_H

#include <stddef.h>

#include "support/http_client.h"

/* Returns `text` padded with blanks to `len` bytes; the caller frees it. */
char *padded_body(const char *text, size_t len);

/* Returns a request for mse with `numbers` numbers per tensor, and with `more` before the closing
   brace; the caller frees it. */
char *large_body(size_t numbers, const char *more);

/* The headers of a chunked request for mse. */
extern const char chunked_head[];
/* Sends bytes as chunks of `piece` bytes, without the last chunk. Returns true if all were sent. */
bool send_chunks(struct http_client *client, const char *bytes, size_t len, size_t piece);

/* Sends 4 MiB in pieces of `piece` bytes to a server with --max-body=1M, which must read them all,
   respond with 413 and close. */
void body_is_refused_as_it_comes(struct http_client *client, struct http_response *response,
                                 size_t piece);

/* Sends a request for info_nce of `rows` rows, with headers that each end in CRLF. The evaluation
   takes about 15 ns of one core per pair of rows: a minute for 65 536. Returns true if the request
   was sent. */
enum { ROWS_COLUMNS = 32 };
bool rows_ask(struct http_client *client, size_t rows, const char *headers);

#endif
