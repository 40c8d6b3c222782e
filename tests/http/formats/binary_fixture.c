#include "http/formats/binary_fixture.h"

#include <check.h>

struct server_process binary_server;
struct http_client binary_client;
struct http_response binary_response;

void binary_setup(void)
{
    server_process_start(&binary_server, server_process_defaults);
    ck_assert(http_client_connect(&binary_client, "127.0.0.1", binary_server.port));
}

void binary_teardown(void)
{
    http_client_close(&binary_client);
    http_response_free(&binary_response);
    server_process_end(&binary_server);
}

void binary_ask(const char *path, const char *headers, const struct buffer *body)
{
    ck_assert(http_client_ask(&binary_client, "POST", path, headers, body->data, body->len,
                              &binary_response));
}
