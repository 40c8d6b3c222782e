/* Content codings of requests and responses. */
#include "http/content_coding.h"

#include <strings.h>

#include "content/compress.h"
#include "content/decompress.h"
#include "content/response.h"
#include "memory/block_cache.h"
#include "util/clock.h"

void content_coding_header(struct content_coding *content_coding, const char *name,
                           const char *value)
{
    if (!value)
        return;
    if (strcasecmp(name, "Content-Encoding") == 0)
        content_encoding_add(&content_coding->content, value);
    else if (strcasecmp(name, "Accept-Encoding") == 0)
        accept_encoding_add(&content_coding->accept, value);
}

bool content_coding_accept(struct content_coding *content_coding, struct response *response)
{
    content_coding->choice = accept_encoding_choose(&content_coding->accept);
    if (!content_coding->choice.required || content_coding->choice.encoding != ENCODING_IDENTITY)
        return true;
    reply_error(response, 406,
                "Accept-Encoding accepts none of the supported codings: %s, identity",
                encoding_names);
    return false;
}

bool content_coding_content(const struct content_coding *content_coding, struct response *response)
{
    struct loss_error error;
    if (content_encoding_check(&content_coding->content, &error) == LOSS_OK)
        return true;
    response_error(response, &error);
    response->accept_encoding = encoding_names;
    return false;
}

enum decompression content_coding_expand(struct content_coding *content_coding, size_t limit,
                                         size_t max_bytes, struct content_coding_body *body,
                                         struct response *response)
{
    const bool partial = max_bytes > 0 && max_bytes < limit;
    struct buffer expanded = {.quota = body->quota};
    struct loss_error error;
    if (content_coding->content.encoding == ENCODING_IDENTITY)
        return DECOMPRESSED;
    const enum loss_status status =
        decompress_bytes(content_coding->content.encoding, body->bytes ? body->bytes : "",
                         body->len, partial ? max_bytes : limit, &expanded, &error);
    if (status == LOSS_OK) {
        block_cache_free(body->bytes, body->capacity + 1);
        quota_release(body->quota, body->bytes ? body->capacity + 1 : 0);
        *body = (struct content_coding_body){body->quota, expanded.data, expanded.len,
                                             expanded.capacity - 1};
        content_coding->content.encoding = ENCODING_IDENTITY;
        return DECOMPRESSED;
    }
    if (status == LOSS_TOO_LARGE && partial)
        return DECOMPRESSION_STOPPED;
    if (status == LOSS_TOO_LARGE)
        reply_error(response, 413,
                    "the decompressed body is larger than %zu bytes, the limit that "
                    "--max-decompressed-body sets",
                    limit);
    else
        response_error(response, &error);
    return DECOMPRESSION_FAILED;
}

bool content_coding_due(const struct content_coding *content_coding,
                        const struct response *response)
{
    const bool answers = response->status == response_status(LOSS_OK) && response->body.len > 0 &&
                         !response->body.failed;
    return answers && content_coding->choice.encoding != ENCODING_IDENTITY &&
           (content_coding->choice.required || response->body.len >= COMPRESS_MIN);
}

void content_coding_compress(struct content_coding *content_coding, int threads,
                             struct response *response)
{
    const enum content_encoding encoding = content_coding->choice.encoding;
    const bool required = content_coding->choice.required;
    const int64_t started = clock_ns();
    struct buffer compressed = {.quota = response->body.quota};
    content_coding->choice.encoding = ENCODING_IDENTITY;
    if (!compress_bytes(encoding, response->body.data, response->body.len, threads, &compressed)) {
        if (required)
            reply_error(response, 503,
                        "insufficient memory to compress the response, and Accept-Encoding does "
                        "not allow an uncompressed one; retry later");
        return;
    }
    if (!required && compressed.len >= response->body.len) {
        buffer_free(&compressed);
        return;
    }
    buffer_free(&response->body);
    response->body = compressed;
    response->content_encoding = encoding_name(encoding);
    if (response->encode_ms > 0)
        response->encode_ms += (double)(clock_ns() - started) / 1e6;
}
