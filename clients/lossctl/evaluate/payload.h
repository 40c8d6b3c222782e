/* An evaluation as the body of a request, in each format that `lossctl bench` measures, and the
   expected response. */
#ifndef LOSSCTL_EVALUATE_PAYLOAD_H
#define LOSSCTL_EVALUATE_PAYLOAD_H

#include "evaluate/task.h"

enum payload_format {
    PAYLOAD_JSON,
    PAYLOAD_BASE64,
    PAYLOAD_SAFETENSORS,
    PAYLOAD_OIP,
    PAYLOAD_FORMATS
};
/* The names of the formats, as in `lossctl bench --formats`. */
extern const char *const payload_names[PAYLOAD_FORMATS];

struct payload {
    enum payload_format format;
    char path[512]; /* with its query */
    const char *content_type;
    size_t header_length; /* for Inference-Header-Content-Length; 0: no such header */
    struct buffer body;   /* owned; followed by a NUL */
};

/* Encodes a prepared task. Call payload_free() in any case. */
enum exit_code payload_make(struct payload *payload, struct task *task, enum payload_format format);
/* Computes the body of the response in this process. On success, the caller frees `response` with
   buffer_free(). Returns EXIT_INPUT if the status would not be 200. */
enum exit_code payload_expected_response(const struct payload *payload, const struct task *task,
                                         struct buffer *response);
void payload_free(struct payload *payload);

/* Appends "name":{"shape":[...],"dtype":"...","data":{...}}, a contiguous tensor in base64. */
void payload_put_base64(struct buffer *out, const char *name, const struct loss_tensor *tensor);

#endif
