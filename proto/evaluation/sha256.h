/* SHA-256 (FIPS 180-4) as text, by GnuTLS. */
#ifndef PROTO_EVALUATION_SHA256_H
#define PROTO_EVALUATION_SHA256_H

#include <gnutls/crypto.h>
#include <stdbool.h>
#include <stddef.h>

enum { SHA256_TEXT = 65 };

/* The hash of the bytes that have been added. */
struct sha256 {
    gnutls_hash_hd_t handle;
    bool failed; /* memory ran out */
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
/* Writes the hash as 64 lower-case hexadecimal digits and a NUL. Nothing can be added afterwards.
   Returns false if memory ran out. */
bool sha256_end(struct sha256 *hash, char text[SHA256_TEXT]);

#endif
