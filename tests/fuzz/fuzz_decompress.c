/*
 * libFuzzer: any bytes as a compressed body. The first byte chooses the coding and a small or large
 * limit. Decompressed bytes must survive a round trip through every coding.
 */
#include "content/compress.h"
#include "content/decompress.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct buffer *bytes)
{
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        struct buffer compressed = {.data = NULL}, again = {.data = NULL};
        struct loss_error error;
        if (compress_bytes(encoding, bytes->data, bytes->len, 1, &compressed)) {
            const enum loss_status status = decompress_bytes(
                encoding, compressed.data, compressed.len, bytes->len, &again, &error);
            if (status == LOSS_OK &&
                (again.len != bytes->len || memcmp(again.data, bytes->data, again.len) != 0))
                abort();
            if (status != LOSS_OK && status != LOSS_UNAVAILABLE)
                abort();
        }
        buffer_free(&compressed);
        buffer_free(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out = {.data = NULL};
    struct loss_error error;
    if (size == 0)
        return 0;
    const size_t limit = data[0] & 1 ? 64 : 1 << 18;
    const enum content_encoding encoding =
        ENCODING_IDENTITY + 1 + (enum content_encoding)(data[0] / 2 % (ENCODING_COUNT - 1));
    const enum loss_status status =
        decompress_bytes(encoding, (const char *)data + 1, size - 1, limit, &out, &error);
    if (status == LOSS_OK &&
        (out.len > limit || out.capacity <= out.len || out.data[out.len] != '\0'))
        abort();
    if (status == LOSS_OK)
        check_round_trip(&out);
    else if (out.data)
        abort();
    buffer_free(&out);
    return 0;
}
