/*
 * Bodies that come compressed. They are expanded as they are needed: in one block of block_cache.h,
 * which ends where it must.
 */
#ifndef PROTO_CONTENT_DECOMPRESS_H
#define PROTO_CONTENT_DECOMPRESS_H

#include "content/accept_encoding.h"
#include "memory/buffer.h"

/* Expands `len` bytes in a coding other than CODING_IDENTITY into an empty buffer, which then has
   one byte of room behind what it holds, a NUL. As many members of gzip and frames of zstd as there
   are belong to one body; deflate is the zlib format.

   Nothing beyond `limit` bytes is expanded: LOSS_TOO_LARGE is all that there is to know of such a
   body. LOSS_MALFORMED, with the offset, where the bytes are no such stream, break off, are
   followed by something else, or need a window of more than 8 MiB, which no sender may ask for (RFC
   9659); LOSS_UNAVAILABLE where memory has run out. On errors the buffer is empty. */
enum loss_status decompress_bytes(enum coding coding, const char *data, size_t len, size_t limit,
                                  struct buffer *out, struct loss_error *error);

#endif
