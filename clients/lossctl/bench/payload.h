/* An evaluation as the bytes of a request, in each of the formats that a server takes; and what it
 * should answer. */
#ifndef LOSSCTL_BENCH_PAYLOAD_H
#define LOSSCTL_BENCH_PAYLOAD_H

#include "evaluate/task.h"

enum payload_format {
    PAYLOAD_JSON,
    PAYLOAD_BASE64,
    PAYLOAD_SAFETENSORS,
    PAYLOAD_OIP,
    PAYLOAD_FORMATS
};
/* "json" and so on. */
extern const char *const payload_names[PAYLOAD_FORMATS];

struct payload {
    enum payload_format format;
    char path[512]; /* with its query */
    const char *content_type;
    size_t header_length; /* for Inference-Header-Content-Length; 0: no such header */
    struct buffer body;   /* owned; a NUL stands behind it */
};

/* Puts a prepared task into a format. */
enum exit_code payload_make(struct payload *payload, struct task *task, enum payload_format format);
/* The answer that this program gives to it; to be freed. EXIT_INPUT where it would refuse. */
enum exit_code payload_answer(const struct payload *payload, const struct task *task,
                              struct buffer *answer);
void payload_free(struct payload *payload);

/* Appends "name":{"shape":[...],"dtype":"...","data":{...}}, a contiguous tensor in base64. */
void payload_put_base64(struct buffer *out, const char *name, const struct loss_tensor *tensor);

#endif
