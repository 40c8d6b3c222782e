/* Compresses responses, at the fastest level of each library, because clients are waiting. */
#ifndef PROTO_CONTENT_COMPRESS_H
#define PROTO_CONTENT_COMPRESS_H

#include "content/accept_encoding.h"
#include "memory/buffer.h"

/* Compresses `len` bytes into an empty buffer, in a coding other than ENCODING_IDENTITY: one gzip
   member, zlib stream or zstd frame. gzip and deflate run on up to `threads` threads (1 opens no
   parallel region); the output does not depend on their number. If memory runs out or the request
   is cancelled, returns false and leaves the buffer empty. */
bool compress_bytes(enum content_encoding encoding, const char *data, size_t len, int threads,
                    struct buffer *out);

#endif
