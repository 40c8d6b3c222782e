/*
 * libFuzzer: any bytes as an infer request of the Open Inference Protocol. The first byte chooses
 * the loss. If it is even, the first NUL byte ends the JSON, binary data follows, and the length
 * header is right. If it is odd, all bytes are JSON; there is no length header, or, from 129 on,
 * one that claims half of them.
 */
#include "oip/oip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const bool lies = (data[0] & 129) == 129;
    const uint8_t *const zero = data[0] & 1 ? NULL : memchr(data + 1, '\0', size - 1);
    const size_t json = zero ? (size_t)(zero - data) - 1 : size - 1,
                 rest = zero ? size - json - 2 : 0;
    char length[32], *const body = malloc(json + rest + 1);
    if (!body)
        return 0;
    memcpy(body, data + 1, json);
    if (rest > 0)
        memcpy(body + json, zero + 1, rest);
    body[json + rest] = '\0';
    snprintf(length, sizeof length, "%zu", lies ? json / 2 : json);
    struct response reply = {0};
    handler_serve(&oip_infer,
                  &(struct request_view){.loss = loss_at(data[0] / 2 % loss_count())->name,
                                         .inference_header = zero || lies ? length : NULL,
                                         .body = body,
                                         .len = json + rest},
                  1, &reply);
    if (reply.status != 200 && reply.status != 400 && reply.status != 503)
        abort(); /* no other status is possible for a body */
    if (reply.status == 200 && reply.inference_header > reply.body.len)
        abort();
    response_free(&reply);
    free(body);
    return 0;
}
