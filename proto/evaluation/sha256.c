#include "evaluation/sha256.h"

#include <stdio.h>

void sha256_begin(struct sha256 *hash)
{
    *hash = (struct sha256){0};
    hash->failed = gnutls_hash_init(&hash->handle, GNUTLS_DIG_SHA256) != 0;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t len)
{
    if (!hash->failed)
        hash->failed = gnutls_hash(hash->handle, bytes, len) != 0;
}

bool sha256_end(struct sha256 *hash, char text[SHA256_TEXT])
{
    unsigned char digest[SHA256_TEXT / 2] = {0};
    if (hash->handle)
        gnutls_hash_deinit(hash->handle, digest);
    for (size_t i = 0; !hash->failed && i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return !hash->failed;
}
