#include "support/long_requests.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/body.h"
#include "support/server_fixture.h"

void ask_for_rows(struct http_client *by, size_t rows, const char *headers)
{
    ck_assert(rows_ask(by, rows, headers));
}

void ask_for_minutes(struct http_client *by)
{
    ask_for_rows(by, ROWS_MINUTE, "");
}

void ask_for_much(void)
{
    static const char body[] = "{\"input\": {\"shape\": [1], \"dtype\": \"float32\", \"data\": "
                               "[0.1234567]}, \"target\": [%s], "
                               "\"reduction\": \"none\"}";
    enum { NUMBERS = 2500000 };
    char *numbers = malloc(2 * NUMBERS + 1), *text, head[128];
    ck_assert_ptr_nonnull(numbers);
    for (int i = 0; i < NUMBERS; i++)
        memcpy(numbers + 2 * (size_t)i, "3,", 2);
    numbers[2 * NUMBERS - 1] = '\0';
    ck_assert_int_gt(asprintf(&text, body, numbers), 0);
    free(numbers);
    const int small = 32 * 1024;
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    snprintf(head, sizeof head, POST_MSE "Accept-Encoding: identity\r\nContent-Length: %zu\r\n\r\n",
             strlen(text));
    ck_assert(http_client_send_text(&client, head));
    ck_assert(http_client_send_text(&client, text));
    free(text);
}

ssize_t read_some(size_t size)
{
    char *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    const struct timeval patience = {.tv_sec = HTTP_CLIENT_TIMEOUT_MS / 1000};
    setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const ssize_t got = recv(client.fd, bytes, size, 0);
    free(bytes);
    return got;
}
