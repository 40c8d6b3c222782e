/* libFuzzer: any bytes as the body of an evaluation. The first byte chooses the loss. */
#include "check_status.h"
#include "v1/v1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *body = malloc(size);
    if (!body)
        return 0;
    memcpy(body, data + 1, size - 1);
    body[size - 1] = '\0';
    struct response reply = {0};
    handler_serve(&v1_evaluate,
                  &(struct request_view){
                      .loss = loss_at(data[0] % loss_count())->name, .body = body, .len = size - 1},
                  1, &reply);
    check_status(reply.status);
    response_free(&reply);
    free(body);
    return 0;
}
