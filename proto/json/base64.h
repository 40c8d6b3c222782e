/* Base64 (RFC 4648), padded, as it stands in a JSON string. */
#ifndef PROTO_JSON_BASE64_H
#define PROTO_JSON_BASE64_H

#include <stddef.h>

/* Characters that `len` bytes become. */
size_t base64_text_len(size_t len);
/* Writes base64_text_len(len) characters. */
void base64_encode(char *text, const void *bytes, size_t len);

/* How many characters stand in [text, end), the inside of a JSON string; an escape counts as the
 * one that it stands for. */
size_t base64_characters(const char *text, const char *end);
/* Decodes them into exactly `len` bytes. Returns NULL, or the character at which it is not base64
 * of that many bytes. */
const char *base64_decode(const char *text, const char *end, void *bytes, size_t len);

#endif
