/* SHA-256 (FIPS 180-4) as text. */
#ifndef PROTO_EVALUATION_SHA256_H
#define PROTO_EVALUATION_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_TEXT = 65, SHA256_BLOCK = 64 };

/* The hash of the bytes that have been added. */
struct sha256 {
    uint32_t state[8];
    uint64_t len;                      /* bytes that have been added */
    unsigned char block[SHA256_BLOCK]; /* the last len % SHA256_BLOCK of them */
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
/* Writes the hash as 64 lower-case hexadecimal digits and a NUL. Nothing can be added afterwards.
 */
void sha256_end(struct sha256 *hash, char text[SHA256_TEXT]);

#endif
