/*
 * Answers that go out compressed, at each library's quickest level: they are made while somebody
 * waits.
 */
#ifndef PROTO_CONTENT_COMPRESS_H
#define PROTO_CONTENT_COMPRESS_H

#include "content/accept_encoding.h"
#include "memory/buffer.h"

/* Compresses `len` bytes into an empty buffer, in a coding other than CODING_IDENTITY: one member
   of gzip, one stream of zlib, one frame of zstd. gzip and deflate are made on up to `threads`
   threads, with the same bytes for any number of them; 1 opens no parallel region. False, with the
   buffer empty, if memory has run out. */
bool compress_bytes(enum coding coding, const char *data, size_t len, int threads,
                    struct buffer *out);

#endif
