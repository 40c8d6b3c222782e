/* Content codings of requests and responses. */
#include "http/content_coding.h"

#include <strings.h>

#include "content/compress.h"
#include "content/decompress.h"
#include "content/response.h"
#include "memory/block_cache.h"
#include "util/clock.h"

void transfer_header(struct transfer *transfer, const char *name, const char *value)
{
    if (!value)
        return;
    if (strcasecmp(name, "Content-Encoding") == 0)
        coding_content_add(&transfer->content, value);
    else if (strcasecmp(name, "Accept-Encoding") == 0)
        coding_accept_add(&transfer->accept, value);
}

bool transfer_accept(struct transfer *transfer, struct response *reply)
{
    transfer->choice = coding_choose(&transfer->accept);
    if (!transfer->choice.required || transfer->choice.coding != CODING_IDENTITY)
        return true;
    reply_error(reply, 406, "Accept-Encoding accepts none of the supported codings: %s, identity",
                coding_names);
    return false;
}

bool transfer_content(const struct transfer *transfer, struct response *reply)
{
    struct loss_error error;
    if (coding_content_check(&transfer->content, &error) == LOSS_OK)
        return true;
    response_error(reply, &error);
    reply->accept_encoding = coding_names;
    return false;
}

enum decompression transfer_expand(struct transfer *transfer, size_t limit, size_t most,
                                   struct transfer_body *body, struct response *reply)
{
    const bool partly = most > 0 && most < limit;
    struct buffer expanded = {.quota = body->quota};
    struct loss_error error;
    if (transfer->content.coding == CODING_IDENTITY)
        return DECOMPRESSED;
    const enum loss_status status =
        decompress_bytes(transfer->content.coding, body->bytes ? body->bytes : "", body->len,
                         partly ? most : limit, &expanded, &error);
    if (status == LOSS_OK) {
        block_cache_free(body->bytes, body->capacity + 1);
        quota_release(body->quota, body->bytes ? body->capacity + 1 : 0);
        *body =
            (struct transfer_body){body->quota, expanded.data, expanded.len, expanded.capacity - 1};
        transfer->content.coding = CODING_IDENTITY;
        return DECOMPRESSED;
    }
    if (status == LOSS_TOO_LARGE && partly)
        return DECOMPRESSION_STOPPED;
    if (status == LOSS_TOO_LARGE)
        reply_error(reply, 413,
                    "the decompressed body is larger than %zu bytes, the limit that "
                    "--max-decompressed-body sets",
                    limit);
    else
        response_error(reply, &error);
    return DECOMPRESSION_FAILED;
}

bool transfer_due(const struct transfer *transfer, const struct response *reply)
{
    const bool answers =
        reply->status == response_status(LOSS_OK) && reply->body.len > 0 && !reply->body.failed;
    return answers && transfer->choice.coding != CODING_IDENTITY &&
           (transfer->choice.required || reply->body.len >= TRANSFER_LEAST);
}

void transfer_compress(struct transfer *transfer, int threads, struct response *reply)
{
    const enum coding coding = transfer->choice.coding;
    const bool required = transfer->choice.required;
    const int64_t started = clock_ns();
    struct buffer compressed = {.quota = reply->body.quota};
    transfer->choice.coding = CODING_IDENTITY;
    if (!compress_bytes(coding, reply->body.data, reply->body.len, threads, &compressed)) {
        if (required)
            reply_error(reply, 503,
                        "insufficient memory to compress the response, and Accept-Encoding does "
                        "not allow an uncompressed one; retry later");
        return;
    }
    if (!required && compressed.len >= reply->body.len) {
        buffer_free(&compressed);
        return;
    }
    buffer_free(&reply->body);
    reply->body = compressed;
    reply->content_encoding = coding_name(coding);
    if (reply->encode_ms > 0)
        reply->encode_ms += (double)(clock_ns() - started) / 1e6;
}
