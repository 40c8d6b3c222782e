/*
 * libFuzzer: any bytes as multipart/form-data of NumPy files. The first byte chooses the loss. If
 * it is even, the rest is the body, with boundary "b"; otherwise it is a NumPy file, sent for every
 * tensor.
 */
#include "check_status.h"
#include "v1/v1.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_parts(struct buffer *form, const struct loss_descriptor *loss, const uint8_t *data,
                      size_t size)
{
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        buffer_printf(form,
                      "--b\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"f\"\r\n\r\n",
                      loss->tensors[k].name);
        buffer_append(form, data, size);
        buffer_text(form, "\r\n");
    }
    buffer_text(form, "--b--\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct loss_descriptor *const loss = loss_at(data[0] / 2 % loss_count());
    struct buffer form = {0};
    if (data[0] & 1)
        add_parts(&form, loss, data + 1, size - 1);
    else
        buffer_append(&form, data + 1, size - 1);
    const size_t len = form.len;
    buffer_append(&form, "", 1);
    if (!form.failed) {
        char *const body =
            malloc(form.len); /* a block of its own, so that the sanitizer checks its end */
        struct response reply = {0};
        if (body) {
            memcpy(body, form.data, form.len);
            handler_serve(&v1_evaluate,
                          &(struct request_view){.loss = loss->name,
                                                 .content_type = "multipart/form-data; boundary=b",
                                                 .body = body,
                                                 .len = len},
                          1, &reply);
            check_status(reply.status);
        }
        response_free(&reply);
        free(body);
    }
    buffer_free(&form);
    return 0;
}
