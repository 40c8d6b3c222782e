/* Requests to the server of server_fixture.h that take long to compute or to read. */
#ifndef TESTS_LONG_REQUESTS_H
#define TESTS_LONG_REQUESTS_H

#include <sys/types.h>

#include "support/http_client.h"

enum { ROWS_MINUTE = 65536, ROWS_MOMENT = 2000 };

/* Sends a request for info_nce of `rows` rows; see rows_ask. */
void ask_for_rows(struct http_client *by, size_t rows, const char *headers);
/* Sends a request of ROWS_MINUTE rows, which takes about a minute of one core. */
void ask_for_minutes(struct http_client *by);

/* Requests a response of about 25 MB on the connection of `client`, with a small receive buffer. */
void ask_for_much(void);
/* Reads up to `size` bytes of that response. Waits for the first ones; returns 0 at the end of the
   connection, and -1 on errors and timeouts. */
ssize_t read_some(size_t size);

#endif
