/* Requests to the server of server_fixture.h that take long to compute or to read. */
#ifndef TESTS_LONG_REQUESTS_H
#define TESTS_LONG_REQUESTS_H

#include <sys/types.h>

#include "support/http_client.h"

enum { ROWS_MINUTE = 65536, ROWS_MOMENT = 2000 };

/* Sends a request for info_nce of `rows` rows; see rows_ask. */
void ask_for_rows(struct http_client *by, size_t rows, const char *headers);
/* Sends a request that takes minutes to compute. */
void ask_for_minutes(struct http_client *by);

/* Requests a response of about 25 MB on the connection of the client, with a small receive
   buffer. */
void ask_for_much(void);
/* Reads up to `size` bytes of it. Waits for the first ones; returns 0 at the end. */
ssize_t read_some(size_t size);

#endif
