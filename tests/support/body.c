#include "support/body.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tensor_file.h"

char *padded_body(const char *text, size_t len)
{
    char *body = malloc(len + 1);
    ck_assert_ptr_nonnull(body);
    memset(body, ' ', len);
    memcpy(body, text, strlen(text));
    body[len] = '\0';
    return body;
}

char *large_body(size_t numbers, const char *more)
{
    size_t size = numbers * 12 + 256, len = 0;
    char *body = malloc(size);
    ck_assert_ptr_nonnull(body);
    for (int tensor = 0; tensor < 2; tensor++) {
        len += (size_t)sprintf(body + len, "%s: [", tensor == 0 ? "{\"input\"" : ", \"target\"");
        for (size_t i = 0; i < numbers; i++)
            len += (size_t)sprintf(body + len, "%s%zu", i == 0 ? "" : ",",
                                   (i * 7 + (size_t)tensor) % 1000);
        len += (size_t)sprintf(body + len, "]");
    }
    sprintf(body + len, "%s}", more);
    return body;
}

const char chunked_head[] =
    "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

bool send_chunks(struct http_client *client, const char *bytes, size_t len, size_t piece)
{
    bool sent = true;
    for (size_t at = 0; sent && at < len; at += piece) {
        size_t size = len - at < piece ? len - at : piece;
        char head[32];
        snprintf(head, sizeof head, "%zx\r\n", size);
        sent = http_client_send_text(client, head) && http_client_send(client, bytes + at, size) &&
               http_client_send_text(client, "\r\n");
    }
    return sent;
}

void body_is_refused_as_it_comes(struct http_client *client, struct http_response *response,
                                 size_t piece)
{
    enum { ALL = 4 << 20 };
    char head[128], *const bytes = calloc(1, piece);
    ck_assert_ptr_nonnull(bytes);
    snprintf(head, sizeof head,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", ALL);
    ck_assert(http_client_send_text(client, head));
    for (size_t at = 0; at < ALL; at += piece)
        ck_assert_msg(http_client_send(client, bytes, piece),
                      "the connection was closed at byte %zu", at);
    free(bytes);
    ck_assert(http_client_read(client, response, false));
    ck_assert_int_eq(response->status, 413);
    ck_assert(http_client_closed(client));
}

bool rows_ask(struct http_client *client, size_t rows, const char *headers)
{
    const size_t bytes = rows * ROWS_COLUMNS * sizeof(float);
    float *const numbers = calloc(1, bytes);
    ck_assert_ptr_nonnull(numbers);
    char head[512], shape[32];
    struct tensor_file file = {{0}, {0}};
    snprintf(shape, sizeof shape, "%zu,%d", rows, ROWS_COLUMNS);
    tensor_file_add(&file, "query", "F32", shape, numbers, bytes);
    tensor_file_add(&file, "key", "F32", shape, numbers, bytes);
    struct buffer body = tensor_file_end(&file, 0);
    snprintf(head, sizeof head,
             "POST /v1/losses/info_nce?grad=true HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: "
             "application/vnd.safetensors\r\nContent-Length: %zu\r\n\r\n",
             headers, body.len);
    const bool sent =
        http_client_send_text(client, head) && http_client_send(client, body.data, body.len);
    buffer_free(&body);
    free(numbers);
    return sent;
}
