/*
 * Content codings of a request and its answer: which ones its headers ask for, expanding the body,
 * compressing the answer.
 */
#ifndef SERVER_HTTP_CONTENT_CODING_H
#define SERVER_HTTP_CONTENT_CODING_H

#include <stdbool.h>
#include <stddef.h>

#include "content/accept_encoding.h"
#include "content/response.h"

enum {
    TRANSFER_LEAST = 1024, /* bytes of an answer below which compressing it is not worth it */
    TRANSFER_LITTLE =
        32 * 1024, /* bytes of an answer up to which compressing it may hold up an I/O thread */
};

/* Zeroed before the request's first header. */
struct transfer {
    struct coding_content content; /* what the body comes in; identity once it was expanded */
    struct coding_accept accept;
    struct coding_choice choice; /* what the answer is to be in */
};

/* Reads a header of the request; those that are of no interest are let be. The value must outlive
 * the request. */
void transfer_header(struct transfer *transfer, const char *name, const char *value);
/* To be called after the last header: whether an answer can be given as it is asked for; else the
 * reply is filled. */
bool transfer_accept(struct transfer *transfer, struct response *reply);
/* Whether the body can be expanded; else the reply is filled. */
bool transfer_content(const struct transfer *transfer, struct response *reply);

/* A body, owned, with room for a NUL behind it. */
struct transfer_body {
    struct quota *quota; /* borrowed: from which its room was taken */
    char *bytes;         /* of block_cache.h: capacity bytes and one */
    size_t len, capacity;
};
enum decompression {
    DECOMPRESSED,          /* or the body was not compressed */
    DECOMPRESSION_STOPPED, /* at `most` bytes; nothing has changed */
    DECOMPRESSION_FAILED,  /* the reply is filled */
};

/* Replaces a compressed body by the decompressed one, of at most `limit` bytes
   (--max-decompressed-body). With `most` below that, stops there; 0: does not. */
enum decompression transfer_expand(struct transfer *transfer, size_t limit, size_t most,
                                   struct transfer_body *body, struct response *reply);

/* Whether the answer is still to be compressed. */
bool transfer_due(const struct transfer *transfer, const struct response *reply);
/* Compresses it, on up to `threads` threads. Where that makes it no smaller, or memory has run out,
   it stays as it is, or becomes a 503 if the client will not have it so. Afterwards nothing is due.
 */
void transfer_compress(struct transfer *transfer, int threads, struct response *reply);

#endif
