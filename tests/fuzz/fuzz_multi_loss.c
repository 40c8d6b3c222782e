/* libFuzzer: any bytes as the body of a request for several losses. */
#include "check_status.h"
#include "copy_text.h"
#include "v1/v1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = copy_text(data, size);
    if (!body)
        return 0;
    struct response reply = {0};
    handler_serve(&v1_evaluate_many, &(struct request_view){.body = body, .len = size}, 1, &reply);
    check_status(reply.status);
    response_free(&reply);
    free(body);
    return 0;
}
