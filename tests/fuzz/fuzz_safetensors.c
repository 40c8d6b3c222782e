/*
 * libFuzzer: any bytes as a safetensors request. The first byte chooses the loss and the format of
 * the response; a line is the query. The header, up to a NUL byte, and the data follow; the length
 * of the header is inserted before it. If the first byte is odd, the bytes after the query are the
 * file itself.
 */
#include "check_status.h"
#include "v1/v1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns the file of a header and data, and sets *len to its length; NULL if memory runs out. */
static char *make_file(const uint8_t *data, size_t size, bool raw, size_t *len)
{
    const uint8_t *const zero = size > 0 && !raw ? memchr(data, '\0', size) : NULL;
    const uint64_t header = zero ? (size_t)(zero - data) : size;
    const size_t rest = zero ? size - (size_t)header - 1 : 0, before = raw ? 0 : sizeof header;
    char *const file = malloc(before + (size_t)header + rest + 1);
    *len = before + (size_t)header + rest;
    if (!file)
        return NULL;
    memcpy(file, &header, before);
    memcpy(file + before, data, (size_t)header);
    if (rest > 0)
        memcpy(file + before + header, zero + 1, rest);
    file[*len] = '\0';
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *const line = size > 1 ? memchr(data + 1, '\n', size - 1) : NULL;
    if (!line)
        return 0;
    const size_t query_len = (size_t)(line - data) - 1;
    size_t len;
    char *const query = calloc(query_len + 1, 1);
    char *const file = make_file(line + 1, size - query_len - 2, data[0] & 1, &len);
    if (query && file) {
        struct response reply = {0};
        memcpy(query, data + 1, query_len);
        handler_serve(&v1_evaluate,
                      &(struct request_view){.loss = loss_at(data[0] / 4 % loss_count())->name,
                                             .content_type = "application/vnd.safetensors",
                                             .accept = data[0] & 2 ? "application/json" : NULL,
                                             .query = query,
                                             .body = file,
                                             .len = len},
                      1, &reply);
        check_status(reply.status);
        response_free(&reply);
    }
    free(query);
    free(file);
    return 0;
}
