/*
 * zlib and libzstd write directly into the body's buffer. It grows by doubling, which is cheap
 * (block_cache.h), up to one byte more than the limit. That byte is for the NUL; a body that fills
 * it is too large.
 */
#include "content/decompress.h"

#define ZLIB_CONST
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum {
    EXPAND_START = 4096, /* minimum capacity in bytes */
    EXPAND_RATIO =
        4, /* initial guess of the ratio of zlib streams, which do not state their size */
    EXPAND_PIECE = 1 << 20, /* bytes read and written between checks for cancellation */
    EXPAND_WINDOW_LOG = 23,
    GZIP_WINDOW = 15 + 16, /* zlib: windows of up to 32 KiB, with a gzip header */
    ZLIB_WINDOW = 15,
    ZSTD_MAGIC_LEN = 4,
};

struct expansion {
    enum content_encoding encoding;
    const char *data;
    size_t len, at; /* bytes received, bytes read */
    size_t limit;
    struct buffer *out;
    struct loss_error *error;
};

/* ---- Errors ---- */

__attribute__((format(printf, 3, 4))) static enum loss_status
malformed(struct expansion *e, size_t at, const char *format, ...)
{
    char what[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    loss_fail(e->error, LOSS_MALFORMED, "the body is not valid %s: %s, at byte %zu of %zu",
              encoding_name(e->encoding), what, at, e->len);
    e->error->offset = (int64_t)at;
    return LOSS_MALFORMED;
}

static enum loss_status no_memory(struct expansion *e)
{
    return loss_fail(e->error, LOSS_UNAVAILABLE,
                     "insufficient memory to decompress the body; retry later");
}

static enum loss_status too_large(struct expansion *e)
{
    return loss_fail(e->error, LOSS_TOO_LARGE, "the decompressed body is larger than %zu bytes",
                     e->limit);
}

static enum loss_status truncated(struct expansion *e)
{
    return malformed(e, e->len, "it is truncated");
}

static enum loss_status followed(struct expansion *e)
{
    return malformed(e, e->at, "other data follows its end");
}

/* ---- Capacity ---- */

/* Makes room for `wanted` bytes and one more, within the limit. */
static enum loss_status grow(struct expansion *e, size_t wanted)
{
    const size_t max_size = e->limit + 1,
                 doubled = e->out->capacity < max_size / 2 ? e->out->capacity * 2 : max_size;
    size_t size = wanted < max_size ? wanted + 1 : max_size;
    if (size < doubled)
        size = doubled;
    if (!(e->out->data ? buffer_resize(e->out, size) : buffer_take(e->out, size)))
        return no_memory(e);
    return LOSS_OK;
}

/* Makes room for at least one byte. */
static enum loss_status make_room(struct expansion *e)
{
    if (e->out->len > e->limit)
        return too_large(e);
    if (quota_cancelled(e->out->quota))
        return loss_fail(e->error, LOSS_CANCELLED, "the request was cancelled");
    return e->out->len < e->out->capacity ? LOSS_OK : grow(e, e->out->len + EXPAND_START);
}

static unsigned clamp_to_piece(size_t size)
{
    return size < EXPAND_PIECE ? (unsigned)size : EXPAND_PIECE;
}

/* ---- gzip and deflate ---- */

/* Calls zlib for up to one piece of input and output; returns its status. */
static int inflate_some(struct expansion *e, z_stream *stream)
{
    const unsigned in = clamp_to_piece(e->len - e->at);
    const unsigned room = clamp_to_piece(e->out->capacity - e->out->len);
    stream->next_in = (const Bytef *)e->data + e->at;
    stream->avail_in = in;
    stream->next_out = (Bytef *)e->out->data + e->out->len;
    stream->avail_out = room;
    const int status = inflate(stream, Z_NO_FLUSH);
    e->at += in - stream->avail_in;
    e->out->len += room - stream->avail_out;
    return status;
}

/* Returns true if another gzip member, or a truncated one, begins here. */
static bool is_member(const struct expansion *e)
{
    const size_t rest = e->len - e->at;
    return e->encoding == ENCODING_GZIP &&
           memcmp(e->data + e->at, "\x1f\x8b", rest < 2 ? rest : 2) == 0;
}

static enum loss_status inflate_all(struct expansion *e, z_stream *stream)
{
    for (;;) {
        enum loss_status status = make_room(e);
        if (status != LOSS_OK)
            return status;
        switch (inflate_some(e, stream)) {
        case Z_STREAM_END:
            if (e->at == e->len)
                return LOSS_OK;
            if (!is_member(e))
                return followed(e);
            inflateReset(stream);
            break;
        case Z_OK:
        case Z_BUF_ERROR: /* no input or no output space left */
            if (e->at == e->len && stream->avail_out > 0)
                return truncated(e);
            break;
        case Z_MEM_ERROR:
            return no_memory(e);
        case Z_NEED_DICT:
            return malformed(e, e->at, "it needs a dictionary");
        default:
            return malformed(e, e->at, "%s", stream->msg ? stream->msg : "invalid data");
        }
    }
}

static enum loss_status expand_zlib(struct expansion *e)
{
    z_stream stream = {.next_in = NULL};
    const size_t guess = e->len < e->limit / EXPAND_RATIO ? e->len * EXPAND_RATIO : e->limit;
    if (inflateInit2(&stream, e->encoding == ENCODING_GZIP ? GZIP_WINDOW : ZLIB_WINDOW) != Z_OK)
        return no_memory(e);
    enum loss_status status = grow(e, guess > EXPAND_START ? guess : EXPAND_START);
    if (status == LOSS_OK)
        status = inflate_all(e, &stream);
    inflateEnd(&stream);
    return status;
}

/* ---- zstd ---- */

/* Returns true if a frame, a truncated frame or a skippable frame begins here. Checked before
   libzstd is called, which also accepts legacy formats. */
static bool is_frame(const struct expansion *e)
{
    static const unsigned char magic[] = {0x28, 0xb5, 0x2f, 0xfd},
                               skippable[] = {0x50, 0x2a, 0x4d, 0x18};
    unsigned char start[ZSTD_MAGIC_LEN] = {0};
    const size_t rest = e->len - e->at, len = rest < sizeof start ? rest : sizeof start;
    memcpy(start, e->data + e->at, len);
    if (memcmp(start, magic, len) == 0)
        return true;
    start[0] &= 0xf0;
    return memcmp(start, skippable, len) == 0;
}

/* A frame may state its size, which is then allocated at once. Pages that are not written to use no
   memory. */
static enum loss_status begin_frame(struct expansion *e)
{
    if (!is_frame(e))
        return e->at > 0 ? followed(e) : malformed(e, 0, "it does not begin with a frame");
    const unsigned long long size = ZSTD_getFrameContentSize(e->data + e->at, e->len - e->at);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return LOSS_OK;
    if (e->out->len > e->limit || size > e->limit - e->out->len)
        return too_large(e);
    return size < e->out->capacity - e->out->len ? LOSS_OK : grow(e, e->out->len + (size_t)size);
}

static enum loss_status zstd_error(struct expansion *e, size_t code)
{
    switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
        return no_memory(e);
    case ZSTD_error_frameParameter_windowTooLarge:
        return malformed(e, e->at, "it needs a window of more than %d MiB (see RFC 9659)",
                         1 << (EXPAND_WINDOW_LOG - 20));
    case ZSTD_error_dictionary_wrong:
        return malformed(e, e->at, "it needs a dictionary");
    default:
        return malformed(e, e->at, "%s", ZSTD_getErrorName(code));
    }
}

static enum loss_status expand_frames(struct expansion *e, ZSTD_DStream *stream)
{
    size_t left = 0; /* bytes of the frame that libzstd expects; 0: no frame is open */
    for (;;) {
        enum loss_status status = left == 0 ? begin_frame(e) : LOSS_OK;
        if (status == LOSS_OK)
            status = make_room(e);
        if (status != LOSS_OK)
            return status;
        const size_t in_end = e->at + clamp_to_piece(e->len - e->at);
        const size_t out_end = e->out->len + clamp_to_piece(e->out->capacity - e->out->len);
        ZSTD_inBuffer in = {e->data, in_end, e->at};
        ZSTD_outBuffer out = {e->out->data, out_end, e->out->len};
        left = ZSTD_decompressStream(stream, &out, &in);
        e->at = in.pos;
        e->out->len = out.pos;
        if (ZSTD_isError(left))
            return zstd_error(e, left);
        if (e->at == e->len && left == 0)
            return LOSS_OK;
        if (e->at == e->len && out.pos < out.size)
            return truncated(e);
    }
}

static enum loss_status expand_zstd(struct expansion *e)
{
    if (e->len == 0)
        return truncated(e);
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (!stream)
        return no_memory(e);
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, EXPAND_WINDOW_LOG);
    const enum loss_status status = expand_frames(e, stream);
    ZSTD_freeDStream(stream);
    return status;
}

/* ---- Any coding ---- */

enum loss_status decompress_bytes(enum content_encoding encoding, const char *data, size_t len,
                                  size_t limit, struct buffer *out, struct loss_error *error)
{
    struct expansion e = {
        .encoding = encoding, .data = data, .len = len, .limit = limit, .out = out, .error = error};
    enum loss_status status = encoding == ENCODING_ZSTD ? expand_zstd(&e) : expand_zlib(&e);
    if (status == LOSS_OK)
        status = make_room(&e); /* for the NUL */
    if (status == LOSS_OK)
        out->data[out->len] = '\0';
    else
        buffer_free(out);
    return status;
}
