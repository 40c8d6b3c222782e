/* What the tests of --max-memory share. */
#ifndef TESTS_MEMORY_LIMIT_H
#define TESTS_MEMORY_LIMIT_H

#include "support/http_client.h"

enum { MIB = 1 << 20 };

/* Of 64 MiB, 100 connections use 4, and an eighth of the rest is reserved for small requests. So a
 * request of 30 MiB, whose claim is more than twice its size, claims all memory of large requests.
 * Once a part of it has arrived, no other large request is admitted. */
#define MEMORY_OPTIONS "--max-memory=64M", "--max-connections=100"
enum { LARGE = 30 * MIB, MIDDLE = 20 * MIB, HELD = MIB };

/* Sends headers for a body of LARGE bytes, and the first HELD bytes of `body`, which is enough to
   be admitted. Waits until the server has reserved memory for them. */
void hold(struct http_client *by, const char *body);

/* Connects a client that announces a body of `len` bytes, and waits until `waiting` clients, this
   one included, wait for memory. */
void connect_waiter(struct http_client *by, size_t len, const char *headers, int waiting);
/* Sends a body of `len` bytes until the server lets the client wait for memory. */
void send_until_waiting(struct http_client *by, const char *body, size_t len);

#endif
