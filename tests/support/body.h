/* Bodies of requests that are large, and what becomes of them. */
#ifndef TESTS_BODY_H
#define TESTS_BODY_H

#include <stddef.h>

#include "support/http_client.h"

/* A text made `len` bytes long with blanks; to be freed. */
char *padded_body(const char *text, size_t len);

/* Sends 4 MiB in pieces of so many bytes to a server with --max-body=1M: it must take all of them,
 * answer 413 and close. */
void body_is_refused_as_it_comes(struct http_client *client, struct http_response *response,
                                 size_t piece);

/* Asks for an info_nce of so many rows, with headers that each end in CRLF: some 70 ns for each
   pair of rows, which takes minutes for 40 000. Returns whether it could be sent. */
enum { ROWS_COLUMNS = 64 };
bool rows_ask(struct http_client *client, size_t rows, const char *headers);

#endif
