#include "http/formats/binary_fixture.h"

#include <check.h>

void binary_setup(void)
{
    start_server(server_process_defaults);
}

void binary_ask(const char *path, const char *headers, const struct buffer *body)
{
    ck_assert(http_client_ask(&client, "POST", path, headers, body->data, body->len, &response));
}
