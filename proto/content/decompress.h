/* Decompresses request bodies, into one block of block_cache.h that grows as needed. */
#ifndef PROTO_CONTENT_DECOMPRESS_H
#define PROTO_CONTENT_DECOMPRESS_H

#include "content/accept_encoding.h"
#include "memory/buffer.h"

/* Decompresses `len` bytes in a coding other than ENCODING_IDENTITY into an empty buffer, and adds
   a NUL after its contents. A body may have any number of gzip members or zstd frames; deflate is
   the zlib format. Returns LOSS_TOO_LARGE if there are more than `limit` bytes; LOSS_MALFORMED with
   the offset if the stream is invalid or truncated, is followed by other data, or needs a
   dictionary or a window of more than 8 MiB, which RFC 9659 forbids; LOSS_UNAVAILABLE if memory
   runs out; LOSS_CANCELLED. On failure, the buffer is empty. */
enum loss_status decompress_bytes(enum content_encoding encoding, const char *data, size_t len,
                                  size_t limit, struct buffer *out, struct loss_error *error);

#endif
