/*
 * Content codings: reads Content-Encoding and Accept-Encoding, decompresses request bodies and
 * compresses responses.
 */
#ifndef SERVER_HTTP_CONTENT_CODING_H
#define SERVER_HTTP_CONTENT_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "content/accept_encoding.h"
#include "content/response.h"

enum {
    COMPRESS_MIN = 1024, /* bytes; shorter responses are compressed only if required */
    COMPRESS_INLINE_MAX =
        32 * 1024, /* bytes; the I/O thread compresses responses up to this size */
};

/* Zero it before the first header of the request. */
struct content_coding {
    struct content_encoding_header
        content; /* coding of the body; identity once it is decompressed */
    struct accept_encoding_header accept;
    struct encoding_choice choice; /* coding of the response */
};

/* Reads a header of the request. Headers other than Content-Encoding and Accept-Encoding are
   ignored. `value` must outlive the request. */
void content_coding_header(struct content_coding *content_coding, const char *name,
                           const char *value);
/* Chooses the coding of the response. Call it after the last header. If the client accepts no
   supported coding, fills the response with a 406 and returns false. */
bool content_coding_accept(struct content_coding *content_coding, struct response *response);
/* Returns true if the coding of the body is supported. Otherwise fills the response and returns
   false. */
bool content_coding_content(const struct content_coding *content_coding, struct response *response);

/* A body, owned, with room for a NUL after it. */
struct content_coding_body {
    struct quota *quota; /* borrowed; the memory of the body is reserved from it */
    char *bytes;         /* of block_cache.h: capacity + 1 bytes */
    size_t len, capacity;
};
enum decompression {
    DECOMPRESSED,          /* the body is decompressed, or it was not compressed */
    DECOMPRESSION_STOPPED, /* larger than `max_bytes` bytes; nothing has changed */
    DECOMPRESSION_FAILED,  /* the response is filled */
};

/* Replaces a compressed body with the decompressed one. Fails if that exceeds `limit` bytes
   (--max-decompressed-body), and stops if it exceeds `max_bytes` bytes (0: does not stop). */
enum decompression content_coding_expand(struct content_coding *content_coding, size_t limit,
                                         size_t max_bytes, struct content_coding_body *body,
                                         struct response *response);

/* Returns true if the response must still be compressed. */
bool content_coding_due(const struct content_coding *content_coding,
                        const struct response *response);
/* Compresses the response, on up to `threads` threads. Keeps the uncompressed response if
   compression does not make it smaller or memory is insufficient. If the client accepts only
   compressed responses, compresses it regardless of size, or fills the response with a 503.
   Afterwards content_coding_due returns false. */
void content_coding_compress(struct content_coding *content_coding, int threads,
                             struct response *response);

#endif
