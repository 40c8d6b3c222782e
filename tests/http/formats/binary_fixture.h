/* A server, and requests whose bodies are safetensors files. */
#ifndef TESTS_BINARY_FIXTURE_H
#define TESTS_BINARY_FIXTURE_H

#include "memory/buffer.h"
#include "support/http_client.h"
#include "support/server_process.h"

#define SAFETENSORS "Content-Type: application/vnd.safetensors\r\n"
#define TAKE_JSON   "Accept: application/json\r\n"

/* The server that the tests of a test case share, a connection to it, and the last response. */
extern struct server_process binary_server;
extern struct http_client binary_client;
extern struct http_response binary_response;

/* The unchecked fixture of a test case. */
void binary_setup(void);
void binary_teardown(void);

/* Sends a request with POST and reads the response. */
void binary_ask(const char *path, const char *headers, const struct buffer *body);

#endif
