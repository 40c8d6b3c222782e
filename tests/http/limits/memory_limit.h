/* What the tests of --max-memory share. */
#ifndef TESTS_MEMORY_LIMIT_H
#define TESTS_MEMORY_LIMIT_H

#include "support/http_client.h"

enum { MIB = 1 << 20 };

/* Of 64 MiB, 100 connections use 4, and an eighth of the rest is reserved for small requests. So a
 * request of 30 MiB, which reserves twice its size, reserves all memory, and one that has sent a
 * part of it leaves no room for another. */
#define MEMORY_OPTIONS "--max-memory=64M", "--max-connections=100"
enum { LARGE = 30 * MIB, MIDDLE = 20 * MIB, HELD = MIB };

/* Sends headers for a body of LARGE bytes, and HELD bytes of `body`: enough to be admitted. */
void hold(struct http_client *by, const char *body);

/* Connects a client that announces a body of `len` bytes, and waits until the server lets it wait
   for memory, as the last one of `waiting`. */
void connect_waiter(struct http_client *by, size_t len, const char *headers, int waiting);
/* Sends a body of `len` bytes until the server lets the client wait for memory. */
void send_until_waiting(struct http_client *by, const char *body, size_t len);

#endif
