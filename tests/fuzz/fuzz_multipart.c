/*
 * libFuzzer: a line as a multipart Content-Type with any boundary, and the bytes after it as the
 * body. The contents of the parts must be in the body, in order.
 */
#include "content/multipart.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_form(const char *content_type, const char *body, size_t len)
{
    struct loss_error error;
    struct multipart form;
    struct multipart_part part;
    bool found = true;
    const char *behind = body;
    if (multipart_begin(&form, content_type, body, len, &error) != LOSS_OK) {
        require(error.status == LOSS_MALFORMED && error.message[0]);
        return;
    }
    while (found) {
        if (multipart_next(&form, &part, &found) != LOSS_OK) {
            require(error.status == LOSS_MALFORMED && error.message[0]);
            return;
        }
        if (!found)
            return;
        require(part.data >= behind && part.data + part.len <= body + len &&
                strlen(part.name) < sizeof part.name);
        behind = part.data + part.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *const line = size > 0 ? memchr(data, '\n', size) : NULL;
    if (!line)
        return 0;
    const size_t type_len = (size_t)(line - data), len = size - type_len - 1;
    char *const type = calloc(type_len + 1, 1), *const body = calloc(len + 1, 1);
    if (type && body) {
        memcpy(type, data, type_len);
        memcpy(body, line + 1, len);
        read_form(type, body, len);
    }
    free(type);
    free(body);
    return 0;
}
