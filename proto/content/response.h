/*
 * A response: status, media type, body and timings. The server adds the headers of the connection
 * (X-Request-Id, Server-Timing, Connection) and sends it.
 */
#ifndef PROTO_CONTENT_RESPONSE_H
#define PROTO_CONTENT_RESPONSE_H

#include "loss.h"
#include "memory/buffer.h"

/* How errors are written. Set it before calling anything that may fail. */
enum response_errors {
    RESPONSE_PROBLEM, /* RFC 9457: application/problem+json */
    RESPONSE_OIP,     /* {"error": "..."}, of the Open Inference Protocol, which does not use 422 */
};

/* An additional header; static text. */
struct response_header {
    const char *name, *value;
};

/* response.status until the response is filled. */
enum { RESPONSE_NONE = 0 };

struct response {
    enum response_errors errors;
    int status;                   /* of HTTP, or RESPONSE_NONE */
    const char *content_type;     /* static text */
    const char *allow;            /* Allow header of a 405; static, or NULL */
    const char *content_encoding; /* Content-Encoding header; static, or NULL */
    const char *accept_encoding;  /* Accept-Encoding header of a 415; static, or NULL */
    const char *etag;             /* ETag header; static, or NULL */
    const struct response_header
        *headers;            /* more headers, terminated by one without a name; static, or NULL */
    int retry_after;         /* seconds for the Retry-After header of a 429 or 503, or 0 */
    size_t inference_header; /* Inference-Header-Content-Length header, or 0 */
    struct buffer body;      /* owned; response_free frees it */
    double decode_ms, compute_ms, encode_ms; /* for Server-Timing; all 0 if nothing was computed */
    size_t elements; /* computed (loss_plan.elements); 0 if nothing was computed */
};

/* Replaces the response by an error in the format of response->errors: type, title, status, detail,
   and pointer and offset if known; or only the message. A 503 gets a Retry-After. If memory runs
   out, the body is empty. */
void response_error(struct response *response, const struct loss_error *error);
/* Like response_error(), with a given HTTP status, for errors that only HTTP has (411, 501). */
void response_error_status(struct response *response, const struct loss_error *error, int status);
/* Like response_error_status(), with a detail formatted as by printf. */
__attribute__((format(printf, 3, 4))) void reply_error(struct response *response, int status,
                                                       const char *format, ...);
/* Returns the HTTP status of a loss_status. */
int response_status(enum loss_status status);
/* Frees the body; the other fields are unchanged. */
void response_free(struct response *response);

#endif
