/*
 * What is to be answered: a status, a media type, a body, and how long its making took. The server
 * adds what belongs to the connection (X-Request-Id, Server-Timing, Connection) and sends it.
 */
#ifndef PROTO_CONTENT_RESPONSE_H
#define PROTO_CONTENT_RESPONSE_H

#include "loss.h"
#include "memory/buffer.h"

/* How errors are written: whoever fills a response says it first, for what may go wrong. */
enum response_errors {
    RESPONSE_PROBLEM, /* RFC 9457: application/problem+json */
    RESPONSE_OIP, /* {"error": "..."}, as the Open Inference Protocol has it, which does not know
                   * 422
                   */
};

/* A header that only some answers have; static text. */
struct response_header {
    const char *name, *value;
};

struct response {
    enum response_errors errors;
    int status;                   /* of HTTP */
    const char *content_type;     /* static text */
    const char *allow;            /* static text for the Allow header of a 405, else NULL */
    const char *content_encoding; /* static text for the Content-Encoding header, else NULL */
    const char
        *accept_encoding; /* static text for the Accept-Encoding header of a 415, else NULL */
    const char *etag;     /* static text for the ETag header, else NULL */
    const struct response_header
        *headers;            /* static: more headers, ended by one without a name; else NULL */
    int retry_after;         /* seconds for the Retry-After header of a 429 or 503, else 0 */
    size_t inference_header; /* for the Inference-Header-Content-Length header, else 0 */
    struct buffer body;      /* owned; response_free frees it */
    double decode_ms, compute_ms,
        encode_ms;   /* for Server-Timing; all 0 where nothing was computed */
    size_t work;     /* of a request that is to be put again, while the status is 0 */
    size_t elements; /* that were worked on (loss_plan.elements); 0 where nothing was computed */
};

/* Turns an error into an answer as response->errors has it: type, title, status, detail, and
   pointer and offset where they are known, or the message alone. Replaces what else the response
   held. Where even that much memory is missing, the body is empty and the status alone tells. */
void response_error(struct response *response, const struct loss_error *error);
/* The same with an HTTP status of its own, for troubles that only HTTP knows (411, 501). */
void response_error_status(struct response *response, const struct loss_error *error, int status);
/* Fills the response with an error of that HTTP status, its detail formatted as by printf. Statuses
   429 and 503 get a Retry-After. Replaces what the response held. */
__attribute__((format(printf, 3, 4))) void reply_error(struct response *response, int status,
                                                       const char *format, ...);
/* The HTTP status that stands for an error. */
int response_status(enum loss_status status);
/* Frees the body and leaves the response's other fields as they are. */
void response_free(struct response *response);

#endif
