#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_text_len(size_t len)
{
    return (len + 2) / 3 * 4;
}

void base64_encode(char *text, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    for (; len >= 3; len -= 3, bytes += 3) {
        const uint32_t bits = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *text++ = alphabet[bits >> shift & 63];
    }
    if (len > 0) {
        const uint32_t bits = (uint32_t)bytes[0] << 16 | (len > 1 ? (uint32_t)bytes[1] << 8 : 0);
        *text++ = alphabet[bits >> 18];
        *text++ = alphabet[bits >> 12 & 63];
        *text++ = len > 1 ? alphabet[bits >> 6 & 63] : '=';
        *text++ = '=';
    }
}

enum { NOT_BASE64 = 64 };

/* The six bits of a character. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : NOT_BASE64;
}

const char *base64_decode(const char *text, const char *end, void *data, size_t len)
{
    unsigned char *bytes = data;
    uint32_t bits = 0, held = 0;
    for (; text < end && *text != '='; text++) {
        if (*text == '\\' && text + 1 < end && text[1] == '/')
            text++;
        const uint32_t value = value_of(*text);
        if (value == NOT_BASE64 || (len == 0 && (held == 0 || held >= 6)))
            return text;
        bits = bits << 6 | value;
        held += 6;
        if (held >= 8 && len > 0) {
            held -= 8;
            *bytes++ = (unsigned char)(bits >> held);
            len--;
        }
    }
    /* What is left over are two or four zero bits, and as many '=' as complete the last four characters. */
    if (len > 0 || held >= 6 || (bits & ((1u << held) - 1)) != 0)
        return text;
    for (uint32_t padding = held / 2; padding > 0; padding--)
        if (text >= end || *text++ != '=')
            return text;
    return text == end ? NULL : text;
}
