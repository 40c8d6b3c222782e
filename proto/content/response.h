/*
 * What is to be answered: a status, a media type, a body, and how long its making took. The server
 * adds what belongs to the connection (X-Request-Id, Server-Timing, Connection) and sends it.
 */
#ifndef PROTO_CONTENT_RESPONSE_H
#define PROTO_CONTENT_RESPONSE_H

#include "loss.h"
#include "memory/buffer.h"

/* How errors are written: whoever fills a reply says it first, for what may go wrong. */
enum reply_errors {
    REPLY_PROBLEM, /* RFC 9457: application/problem+json */
    REPLY_OIP, /* {"error": "..."}, as the Open Inference Protocol has it, which does not know 422
                */
};

/* A header that only some answers have; static text. */
struct reply_header {
    const char *name, *value;
};

struct reply {
    enum reply_errors errors;
    int status;                   /* of HTTP */
    const char *content_type;     /* static text */
    const char *allow;            /* static text for the Allow header of a 405, else NULL */
    const char *content_encoding; /* static text for the Content-Encoding header, else NULL */
    const char
        *accept_encoding; /* static text for the Accept-Encoding header of a 415, else NULL */
    const char *etag;     /* static text for the ETag header, else NULL */
    const struct reply_header
        *headers;            /* static: more headers, ended by one without a name; else NULL */
    int retry_after;         /* seconds for the Retry-After header of a 429 or 503, else 0 */
    size_t inference_header; /* for the Inference-Header-Content-Length header, else 0 */
    struct buffer body;      /* owned; reply_free frees it */
    double decode_ms, compute_ms,
        encode_ms;   /* for Server-Timing; all 0 where nothing was computed */
    size_t work;     /* of a request that is to be put again, while the status is 0 */
    size_t elements; /* that were worked on (loss_plan.elements); 0 where nothing was computed */
};

/* Turns an error into an answer as reply->errors has it: type, title, status, detail, and pointer
   and offset where they are known, or the message alone. Replaces what else the reply held. Where
   even that much memory is missing, the body is empty and the status alone tells. */
void reply_problem(struct reply *reply, const struct loss_error *error);
/* The same with an HTTP status of its own, for troubles that only HTTP knows (411, 501). */
void reply_problem_status(struct reply *reply, const struct loss_error *error, int status);
/* Fills the reply with an error of that HTTP status, its detail formatted as by printf. Statuses
   429 and 503 get a Retry-After. Replaces what the reply held. */
__attribute__((format(printf, 3, 4))) void reply_error(struct reply *reply, int status,
                                                       const char *format, ...);
/* The HTTP status that stands for an error. */
int reply_status(enum loss_status status);
/* Frees the body and leaves the reply's other fields as they are. */
void reply_free(struct reply *reply);

#endif
