/*
 * Content codings: reads Content-Encoding and Accept-Encoding, decompresses the body of a request,
 * compresses the response.
 */
#ifndef SERVER_HTTP_CONTENT_CODING_H
#define SERVER_HTTP_CONTENT_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "content/accept_encoding.h"
#include "content/response.h"

enum {
    TRANSFER_LEAST = 1024,       /* bytes; shorter responses are compressed only if required */
    TRANSFER_LITTLE = 32 * 1024, /* bytes; the I/O thread compresses responses up to this size */
};

/* Zeroed before the request's first header. */
struct content_coding {
    struct coding_content content; /* coding of the body; identity once it is decompressed */
    struct coding_accept accept;
    struct coding_choice choice; /* coding of the response */
};

/* Reads a header of the request. Headers other than Content-Encoding and Accept-Encoding are
   ignored. `value` must outlive the request. */
void content_coding_header(struct content_coding *content_coding, const char *name,
                           const char *value);
/* Chooses the coding of the response. Call it after the last header. Returns false and fills the
   reply with a 406 if the client accepts no supported coding. */
bool content_coding_accept(struct content_coding *content_coding, struct response *reply);
/* Returns true if the body's coding is supported; otherwise returns false and fills the reply. */
bool content_coding_content(const struct content_coding *content_coding, struct response *reply);

/* A body, owned, with room for a NUL after it. */
struct content_coding_body {
    struct quota *quota; /* borrowed: its memory is reserved from here */
    char *bytes;         /* of block_cache.h: capacity + 1 bytes */
    size_t len, capacity;
};
enum decompression {
    DECOMPRESSED,          /* or it was not compressed */
    DECOMPRESSION_STOPPED, /* larger than `most` bytes; nothing has changed */
    DECOMPRESSION_FAILED,  /* the reply is filled */
};

/* Replaces a compressed body by the decompressed one. Fails if that is larger than `limit` bytes
   (--max-decompressed-body), and stops if it is larger than `most` bytes; 0 means no such stop. */
enum decompression content_coding_expand(struct content_coding *content_coding, size_t limit,
                                         size_t most, struct content_coding_body *body,
                                         struct response *reply);

/* Returns true if the response is still to be compressed. */
bool content_coding_due(const struct content_coding *content_coding, const struct response *reply);
/* Compresses the response, on up to `threads` threads. Keeps the uncompressed one if the other is
   not smaller or memory is insufficient; if the client accepts only a compressed one, sends it
   whatever its size, or a 503. content_coding_due returns false afterwards. */
void content_coding_compress(struct content_coding *content_coding, int threads,
                             struct response *reply);

#endif
