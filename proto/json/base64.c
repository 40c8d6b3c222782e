#include "json/base64.h"
#include "number/hex.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
        *text++ = alphabet[bits >> 18];
        *text++ = alphabet[bits >> 12 & 63];
        *text++ = alphabet[bits >> 6 & 63];
        *text++ = alphabet[bits & 63];
    }
    if (len > 0) {
        const uint32_t bits = (uint32_t)bytes[0] << 16 | (len > 1 ? (uint32_t)bytes[1] << 8 : 0);
        *text++ = alphabet[bits >> 18];
        *text++ = alphabet[bits >> 12 & 63];
        *text++ = len > 1 ? alphabet[bits >> 6 & 63] : '=';
        *text++ = '=';
    }
}

/* The value of each character; NONE if it is not in the alphabet. */
enum { NONE = 0x80 };
#define ROW(a, b, c, d, e, f, g, h) a, b, c, d, e, f, g, h
#define NO_ROW                      ROW(NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE)
#define NO_FOUR_ROWS                NO_ROW, NO_ROW, NO_ROW, NO_ROW
static const uint8_t values[256] = {
    NO_FOUR_ROWS,
    NO_ROW,                                          /* up to ' */
    ROW(NONE, NONE, NONE, 62, NONE, NONE, NONE, 63), /* + / */
    ROW(52, 53, 54, 55, 56, 57, 58, 59),
    ROW(60, 61, NONE, NONE, NONE, NONE, NONE, NONE), /* 0 to 9 */
    ROW(NONE, 0, 1, 2, 3, 4, 5, 6),
    ROW(7, 8, 9, 10, 11, 12, 13, 14),
    ROW(15, 16, 17, 18, 19, 20, 21, 22),
    ROW(23, 24, 25, NONE, NONE, NONE, NONE, NONE), /* A to Z */
    ROW(NONE, 26, 27, 28, 29, 30, 31, 32),
    ROW(33, 34, 35, 36, 37, 38, 39, 40),
    ROW(41, 42, 43, 44, 45, 46, 47, 48),
    ROW(49, 50, 51, NONE, NONE, NONE, NONE, NONE), /* a to z */
    NO_FOUR_ROWS,
    NO_FOUR_ROWS,
    NO_FOUR_ROWS,
    NO_FOUR_ROWS,
};

static uint32_t value_of(char c)
{
    return values[(unsigned char)c];
}

/* Returns the character at *text, and moves *text to its last byte. Decodes JSON escapes: some
   writers escape the slash, or write "+" and "=" as \u002b and \u003d. */
static char take_character(const char **text, const char *end)
{
    if (**text != '\\' || end - *text < 2)
        return **text;
    ++*text;
    if (**text != 'u' || end - *text < 5)
        return **text == '/' ? '/' : '\\'; /* no other short escape is base64 */
    const int high = hex_digit((*text)[3]), low = hex_digit((*text)[4]);
    const bool is_ascii = (*text)[1] == '0' && (*text)[2] == '0' && high >= 0 && low >= 0;
    const char character = (char)(high * 16 + low);
    *text += 4;
    return is_ascii ? character : '\\';
}

size_t base64_characters(const char *text, const char *end)
{
    size_t count = 0;
    while (text < end) {
        const char *const escape = memchr(text, '\\', (size_t)(end - text));
        if (!escape)
            return count + (size_t)(end - text);
        count += (size_t)(escape - text) + 1;
        text = escape;
        take_character(&text, end);
        text++;
    }
    return count;
}

/* Decodes groups of four unescaped characters while there are any and `bytes` has room; moves past
   both. */
static void decode_groups(const char **text, const char *end, unsigned char **bytes, size_t *len)
{
    const char *at = *text;
    unsigned char *to = *bytes;
    size_t left = *len;
    for (; end - at >= 4 && left >= 3; at += 4, left -= 3) {
        const uint32_t a = value_of(at[0]), b = value_of(at[1]), c = value_of(at[2]),
                       d = value_of(at[3]);
        if ((a | b | c | d) & NONE)
            break;
        const uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        *to++ = (unsigned char)(bits >> 16);
        *to++ = (unsigned char)(bits >> 8);
        *to++ = (unsigned char)bits;
    }
    *text = at;
    *bytes = to;
    *len = left;
}

const char *base64_decode(const char *text, const char *end, void *data, size_t len)
{
    unsigned char *bytes = data;
    uint32_t bits = 0, bit_count = 0;
    const char *at = text; /* the current character */
    while (true) {
        if (bit_count == 0)
            decode_groups(&text, end, &bytes, &len);
        at = text;
        if (text == end)
            break;
        const char c = take_character(&text, end);
        if (c == '=')
            break;
        text++;
        const uint32_t value = value_of(c);
        if (value == NONE || (len == 0 && (bit_count == 0 || bit_count >= 6)))
            return at;
        bits = bits << 6 | value;
        bit_count += 6;
        if (bit_count >= 8 && len > 0) {
            bit_count -= 8;
            *bytes++ = (unsigned char)(bits >> bit_count);
            len--;
        }
    }
    /* The bits that remain (none, two or four) must be 0, and '=' must complete the last group of
       four characters. */
    if (len > 0 || bit_count >= 6 || (bits & ((1u << bit_count) - 1)) != 0)
        return at;
    text = at;
    for (uint32_t padding = bit_count / 2; padding > 0; padding--, text++) {
        at = text;
        if (text == end || take_character(&text, end) != '=')
            return at;
    }
    return text == end ? NULL : text;
}
