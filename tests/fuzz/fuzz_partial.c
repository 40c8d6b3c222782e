/* libFuzzer: any bytes as the body of a request to merge partial results. Merging the result alone
   must give the same response. */
#include "check_status.h"
#include "copy_text.h"
#include "v1/v1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct response merge(const char *body, size_t len)
{
    struct response response = {0};
    handler_serve(&v1_merge, &(struct request_view){.body = body, .len = len}, 1, &response);
    check_status(response.status);
    return response;
}

/* Merges the partial result at the end of a response, and compares. */
static void check_again(const struct response *response)
{
    static const char name[] = "\"partial\":", open[] = "{\"partials\":[";
    const size_t len = response->body.len;
    const char *const at = memmem(response->body.data, len, name, strlen(name));
    if (!at)
        abort();
    const size_t text = len - (size_t)(at - response->body.data) - strlen(name) - 2; /* "}\n" */
    char *const body = malloc(text + sizeof open + 2);
    if (!body)
        return;
    memcpy(body, open, strlen(open));
    memcpy(body + strlen(open), at + strlen(name), text);
    memcpy(body + strlen(open) + text, "]}", 3);
    struct response again = merge(body, strlen(open) + text + 2);
    if (again.status != 200 || again.body.len != len ||
        memcmp(again.body.data, response->body.data, len) != 0)
        abort();
    response_free(&again);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = copy_text(data, size);
    if (!body)
        return 0;
    struct response response = merge(body, size);
    if (response.status == 200)
        check_again(&response);
    response_free(&response);
    free(body);
    return 0;
}
