/* A server, and requests whose bodies are safetensors files. */
#ifndef TESTS_BINARY_FIXTURE_H
#define TESTS_BINARY_FIXTURE_H

#include "memory/buffer.h"
#include "support/server_fixture.h"

#define SAFETENSORS "Content-Type: application/vnd.safetensors\r\n"
#define TAKE_JSON   "Accept: application/json\r\n"

/* The unchecked fixture of a test case, with end_server(). */
void binary_setup(void);

/* Sends a request with POST and reads the response. */
void binary_ask(const char *path, const char *headers, const struct buffer *body);

#endif
