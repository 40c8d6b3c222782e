#include "base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

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

/* The character at *text, which is moved to its last byte. A JSON escape ("\\/", or "\\u002b" as some writers put a plus)
   counts as what it stands for. */
static char take_character(const char **text, const char *end)
{
    if (**text != '\\' || end - *text < 2)
        return **text;
    ++*text;
    if (**text != 'u' || end - *text < 5)
        return **text == '/' ? '/' : '\\'; /* the other short escapes stand for no character of base64 */
    const char hex[] = {(*text)[3], (*text)[4], '\0'};
    const bool ascii = (*text)[1] == '0' && (*text)[2] == '0';
    *text += 4;
    return ascii ? (char)strtol(hex, NULL, 16) : '\\';
}

size_t base64_characters(const char *text, const char *end)
{
    size_t count = 0;
    for (; text < end; text++, count++)
        take_character(&text, end);
    return count;
}

const char *base64_decode(const char *text, const char *end, void *data, size_t len)
{
    unsigned char *bytes = data;
    uint32_t bits = 0, held = 0;
    for (; text < end && *text != '='; text++) {
        const char *const at = text;
        const uint32_t value = value_of(take_character(&text, end));
        if (value == NOT_BASE64 || (len == 0 && (held == 0 || held >= 6)))
            return at;
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
