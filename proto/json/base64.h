/* Base64 (RFC 4648), padded, in JSON strings. */
#ifndef PROTO_JSON_BASE64_H
#define PROTO_JSON_BASE64_H

#include <stddef.h>

/* Returns the number of characters that encode `len` bytes. */
size_t base64_text_len(size_t len);
/* Writes base64_text_len(len) characters. */
void base64_encode(char *text, const void *bytes, size_t len);

/* Returns the number of characters in [text, end), the contents of a JSON string; an escape counts
   as one character. */
size_t base64_characters(const char *text, const char *end);
/* Decodes these characters into exactly `len` bytes. Returns NULL on success, else the first
   invalid character. */
const char *base64_decode(const char *text, const char *end, void *bytes, size_t len);

#endif
