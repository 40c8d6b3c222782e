/*
 * A deflate stream can consist of independent pieces if each but the last is flushed to a byte
 * boundary. The pieces are compressed in parallel, and their checksums are combined.
 */
#include "content/compress.h"
#include "parallel.h"

#define ZLIB_CONST
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum {
    PIECE = 1 << 20, /* bytes per piece: many windows, so that splitting costs little compression */
    ZSTD_PIECE = 16 << 20, /* the same for zstd, which is 10 % slower with pieces of 1 MiB; most
                              responses are one piece */
    LEVEL = 1,
    RAW_WINDOW = -15, /* zlib: windows of 32 KiB, neither header nor checksum */
    MEMORY_LEVEL = 8, /* zlib's default */
    FLUSH_ROOM = 64,  /* upper bound of what a flush adds */
    HEAD = 10,        /* bytes of the longest header */
    TAIL = 8,         /* and of the longest trailer */
};

struct piece {
    size_t len;  /* compressed */
    uLong check; /* CRC-32 or Adler-32 */
    bool failed; /* memory ran out, or the request is cancelled */
};

struct compression {
    bool gzip;
    const struct quota *quota; /* of the buffer */
    const char *data;
    size_t len, count;
    char *room; /* `size` bytes per piece */
    size_t size;
    struct piece *piece;
};

static size_t piece_len(const struct compression *c, size_t i)
{
    return i + 1 < c->count ? PIECE : c->len - i * PIECE;
}

static void deflate_piece(void *context, size_t i, int thread)
{
    const struct compression *const c = context;
    const Bytef *const data = (const Bytef *)c->data + i * PIECE;
    const uInt len = (uInt)piece_len(c, i);
    const bool last = i + 1 == c->count;
    struct piece *const piece = &c->piece[i];
    z_stream stream = {.next_in = data, .avail_in = len};
    (void)thread;
    piece->failed = quota_cancelled(c->quota);
    if (piece->failed)
        return;
    piece->failed = deflateInit2(&stream, LEVEL, Z_DEFLATED, RAW_WINDOW, MEMORY_LEVEL,
                                 Z_DEFAULT_STRATEGY) != Z_OK;
    if (piece->failed)
        return;
    stream.next_out = (Bytef *)c->room + i * c->size;
    stream.avail_out = (uInt)c->size;
    const int status = deflate(&stream, last ? Z_FINISH : Z_SYNC_FLUSH);
    piece->failed =
        status != (last ? Z_STREAM_END : Z_OK) || stream.avail_in > 0 || stream.avail_out == 0;
    piece->len = c->size - stream.avail_out;
    piece->check = c->gzip ? crc32(0, data, len) : adler32(adler32(0, NULL, 0), data, len);
    deflateEnd(&stream);
}

static size_t put_bytes(char *to, uint64_t value, size_t count, bool big_endian)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (char)(value >> 8 * (big_endian ? count - 1 - i : i));
    return count;
}

/* Joins the pieces after a header of `at` bytes and appends the trailer. Returns the end. */
static size_t join(const struct compression *c, char *out, size_t at)
{
    uLong check = c->piece[0].check;
    for (size_t i = 0; i < c->count; i++) {
        const z_off_t len = (z_off_t)piece_len(c, i);
        memmove(out + at, c->room + i * c->size, c->piece[i].len);
        at += c->piece[i].len;
        if (i > 0)
            check = c->gzip ? crc32_combine(check, c->piece[i].check, len)
                            : adler32_combine(check, c->piece[i].check, len);
    }
    at += put_bytes(out + at, check, 4, !c->gzip);
    if (c->gzip)
        at += put_bytes(out + at, c->len, 4, false);
    return at;
}

static bool deflate_all(struct compression *c, int threads, struct buffer *out)
{
    static const char gzip_head[HEAD] = {'\x1f', '\x8b', 8, 0, 0, 0, 0, 0, 4, '\xff'},
                      zlib_head[] = {0x78, 0x01};
    const size_t head = c->gzip ? sizeof gzip_head : sizeof zlib_head;
    size_t size;
    c->count = c->len > 0 ? (c->len + PIECE - 1) / PIECE : 1;
    c->size = compressBound(PIECE) + FLUSH_ROOM;
    if (__builtin_mul_overflow(c->count, c->size, &size) ||
        __builtin_add_overflow(size, HEAD + TAIL, &size))
        return false;
    c->piece = calloc(c->count, sizeof *c->piece);
    char *const bytes = c->piece ? buffer_take(out, size) : NULL;
    if (!bytes)
        return false;
    c->room = bytes + HEAD;
    parallel_for(c->count, threads, deflate_piece, c);
    for (size_t i = 0; i < c->count; i++)
        if (c->piece[i].failed)
            return false;
    memcpy(bytes, c->gzip ? gzip_head : zlib_head, head);
    out->len = join(c, bytes, head);
    return true;
}

/* Compresses piece by piece, so that it can be cancelled. Returns false if memory runs out or the
   request is cancelled. */
static bool compress_pieces(ZSTD_CCtx *context, const char *data, size_t len, ZSTD_outBuffer *to,
                            const struct quota *quota)
{
    size_t left = 1; /* bytes that the library still has to write */
    bool sound = !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL)) &&
                 !ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, len));
    for (ZSTD_inBuffer from = {data, 0, 0}; sound && (from.pos < len || left > 0);) {
        from.size = len - from.pos < ZSTD_PIECE ? len : from.pos + ZSTD_PIECE;
        left = ZSTD_compressStream2(context, to, &from,
                                    from.size < len ? ZSTD_e_continue : ZSTD_e_end);
        sound = !ZSTD_isError(left) && to->pos < to->size && !quota_cancelled(quota);
    }
    return sound;
}

static bool compress_zstd(const char *data, size_t len, struct buffer *out)
{
    const size_t bound = ZSTD_compressBound(len), room = bound + FLUSH_ROOM;
    if (ZSTD_isError(bound) || !buffer_take(out, room))
        return false;
    ZSTD_CCtx *const context = ZSTD_createCCtx();
    ZSTD_outBuffer to = {out->data, room, 0};
    const bool done = context && compress_pieces(context, data, len, &to, out->quota);
    ZSTD_freeCCtx(context);
    out->len = to.pos;
    return done;
}

bool compress_bytes(enum content_encoding encoding, const char *data, size_t len, int threads,
                    struct buffer *out)
{
    struct compression c = {
        .gzip = encoding == ENCODING_GZIP, .quota = out->quota, .data = data, .len = len};
    const bool done =
        encoding == ENCODING_ZSTD ? compress_zstd(data, len, out) : deflate_all(&c, threads, out);
    free(c.piece);
    if (!done)
        buffer_free(out);
    return done;
}
