#include "json/scanner.h"
#include "number/hex.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int depth_limit = JSON_DEPTH;

void json_limit_depth(int levels)
{
    depth_limit = levels;
}

int json_depth(void)
{
    return depth_limit;
}

enum loss_status json_malformed(struct loss_error *error, const char *body, const char *at,
                                const char *path, const char *format, ...)
{
    char message[sizeof error->message - 32];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    loss_fail_at(error, LOSS_MALFORMED, path, "%s (byte %zu)", message, (size_t)(at - body));
    error->offset = at - body;
    return LOSS_MALFORMED;
}

const char *json_byte_text(const char *at, const char *end, char *text)
{
    if (at >= end)
        return "the end";
    if (*at > ' ' && *at < 0x7f)
        snprintf(text, JSON_BYTE_TEXT, *at == '\'' || *at == '\\' ? "'\\%c'" : "'%c'", *at);
    else
        snprintf(text, JSON_BYTE_TEXT, "byte 0x%02x", (unsigned char)*at);
    return text;
}

/* Returns the length of a UTF-8 sequence that begins with byte `first`; 0 if none does. */
static size_t utf8_sequence_len(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2)
        return 0;
    if (first < 0xe0)
        return 2;
    if (first < 0xf0)
        return 3;
    return first < 0xf5 ? 4 : 0;
}

/* Returns the length of the UTF-8 sequence at `text` (RFC 3629: no overlong forms, no surrogates,
   nothing above U+10FFFF); 0 if it is invalid. */
static size_t utf8_sequence(const unsigned char *text)
{
    const unsigned char a = text[0];
    const size_t len = utf8_sequence_len(a);
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((a == 0xe0 && text[1] < 0xa0) || (a == 0xed && text[1] >= 0xa0) ||
        (a == 0xf0 && text[1] < 0x90) || (a == 0xf4 && text[1] >= 0x90))
        return 0;
    return len;
}

/* Returns the byte after the escape at `text` (a backslash); NULL if it is invalid. */
static const char *skip_escape(const char *text)
{
    if (text[1] != 'u')
        return text[1] && strchr("\"\\/bfnrt", text[1]) ? text + 2 : NULL;
    for (int i = 2; i < 6; i++)
        if (hex_digit(text[i]) < 0)
            return NULL;
    return text + 6;
}

/* Skips bytes of [text, limit), eight at a time, that are ASCII and need no escape. */
static const char *skip_plain(const char *text, const char *limit)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    for (; limit - text >= 8; text += 8) {
        uint64_t bytes;
        memcpy(&bytes, text, sizeof bytes);
        /* A byte below 0x20, or equal to '\\' (0 in `other`), borrows into its highest bit. A byte
           after such a byte may borrow too, which is harmless. */
        const uint64_t other = bytes ^ ones * '\\';
        if ((bytes | (bytes - ones * 0x20) | (other - ones)) & high)
            break;
    }
    return text;
}

enum { BLANK_DISTANCE = 1 << 20 }; /* bytes between checks for cancellation */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

const char *json_blank_long(const char *text, const struct quota *quota)
{
    for (const char *checked = text; is_blank(*text); text++) {
        if (text - checked < BLANK_DISTANCE)
            continue;
        checked = text;
        if (quota_cancelled(quota))
            break;
    }
    return text;
}

const char *json_begin(const char *text, const struct quota *quota)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t len = strlen(mark);
    return json_blank(strncmp(text, mark, len) == 0 ? text + len : text, quota);
}

const char *json_skip_string(const char *text, const char **at)
{
    const char *quote = ++text; /* the next quote, or the end of the body */
    while (*text != '"') {
        if (text >= quote)
            quote = strchrnul(text, '"');
        text = skip_plain(text, quote);
        const char *next = NULL;
        if (*text == '"')
            break;
        if (*text == '\\')
            next = skip_escape(text);
        else if ((unsigned char)*text >= 0x20) {
            const size_t len = utf8_sequence((const unsigned char *)text);
            next = len ? text + len : NULL;
        }
        if (!next) {
            *at = text;
            return NULL;
        }
        text = next;
    }
    return text + 1;
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

const char *json_skip_value(const char *text, const struct quota *quota, const char **at)
{
    int depth = 0;
    do {
        text = json_blank(text, quota);
        *at = text;
        if (*text == '[' || *text == '{') {
            if (++depth > depth_limit)
                return NULL;
            text++;
        } else if (*text == ']' || *text == '}') {
            depth--;
            text++;
        } else if (*text == '"') {
            text = json_skip_string(text, at);
            if (!text)
                return NULL;
        } else if (depth > 0 && (*text == ',' || *text == ':')) {
            text++;
        } else if (is_word(*text)) {
            while (is_word(*text))
                text++;
        } else {
            return NULL;
        }
    } while (depth > 0);
    return depth == 0 ? text : NULL;
}

/* Returns the value of the four hexadecimal digits at `text`, which have been checked. */
static uint32_t hex_digits(const char *text)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 4 | (uint32_t)hex_digit(text[i]);
    return value;
}

/* Returns the code point of the escape at *text, and moves past it. Returns 0 for half of a
   surrogate pair; the caller rejects it like a NUL. */
static uint32_t take_escape(const char **text)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *const at = *text;
    *text += 2;
    if (at[1] != 'u')
        return (uint32_t)meanings[strchr(letters, at[1]) - letters];
    *text += 4;
    const uint32_t code = hex_digits(at + 2);
    if (code < 0xd800 || code >= 0xe000)
        return code;
    const uint32_t low = code < 0xdc00 && at[6] == '\\' && at[7] == 'u' ? hex_digits(at + 8) : 0;
    if (low < 0xdc00 || low >= 0xe000)
        return 0;
    *text += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* Returns the length of a code point in UTF-8. */
static size_t utf8_len(uint32_t code)
{
    if (code < 0x80)
        return 1;
    if (code < 0x800)
        return 2;
    return code < 0x10000 ? 3 : 4;
}

/* Writes a code point as UTF-8, up to 4 bytes. Returns the length. */
static size_t put_utf8(char *out, uint32_t code)
{
    const size_t len = utf8_len(code);
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(first[len] | code);
    return len;
}

bool json_decode_string(const char *text, const char *end, char *out, size_t size)
{
    size_t len = 0;
    for (text++, end--; text < end;) {
        char bytes[4] = {*text};
        size_t n = 1;
        if (*text == '\\') {
            const uint32_t code = take_escape(&text);
            if (code == 0)
                return false;
            n = put_utf8(bytes, code);
        } else {
            text++;
        }
        if (len + n >= size)
            return false;
        memcpy(out + len, bytes, n);
        len += n;
    }
    out[len] = '\0';
    return true;
}

size_t json_plain_length(const char *text)
{
    size_t len = 0;
    while ((unsigned char)text[len] >= 0x20 && text[len] != '"' && text[len] != '\\') {
        const size_t sequence = utf8_sequence((const unsigned char *)text + len);
        if (sequence == 0)
            break;
        len += sequence;
    }
    return len;
}

enum { QUOTE_SPARE = 8 }; /* bytes for the rest of an escape, quotes, "..." and a NUL */

/* Copies [text, end) to `out` for a message, with a backslash before each byte of `escaped`. If
   `escaped` is NULL, the text is already escaped, and its escapes are not split. Returns the
   length, at most `max_len` + 1, and moves *text past the copied bytes. */
static size_t copy_excerpt(const char **text, const char *end, const char *escaped, char *out,
                           size_t max_len)
{
    size_t len = 0;
    while (*text < end && len < max_len) {
        const bool is_escape = !escaped && **text == '\\';
        if (escaped && **text && strchr(escaped, **text))
            out[len++] = '\\';
        for (int n = is_escape ? 2 : 1; n > 0; n--, ++*text)
            out[len++] = **text >= ' ' && **text < 0x7f ? **text : '?';
    }
    return len;
}

static const char *quote(const char *text, char *out, size_t size)
{
    const char *const end = text + strnlen(text, size);
    const size_t len = copy_excerpt(&text, end, "'\\", out, size - QUOTE_SPARE);
    snprintf(out + len, size - len, "%s", text < end ? "..." : "");
    return out;
}

const char *json_quote(const char *text, char *out)
{
    return quote(text, out, JSON_QUOTE);
}

const char *json_quote_long(const char *text, char *out)
{
    return quote(text, out, JSON_QUOTE_LONG);
}

const char *json_quote_value(const char *text, const char *end, char *out)
{
    size_t len;
    if (*text != '"') {
        len = copy_excerpt(&text, end, "'\"\\", out, JSON_QUOTE - QUOTE_SPARE);
        snprintf(out + len, JSON_QUOTE - len, "%s", text < end ? "..." : "");
        return out;
    }
    const char *at, *const closed = json_skip_string(text++, &at);
    if (closed)
        end = closed - 1;
    out[0] = '"';
    len = 1 + copy_excerpt(&text, end, closed ? NULL : "\"\\", out + 1, JSON_QUOTE - QUOTE_SPARE);
    snprintf(out + len, JSON_QUOTE - len, "%s\"", closed && text == end ? "" : "...");
    return out;
}

const char *json_value_text(const char *at, const char *end, char *out)
{
    if (*at == '[')
        return "an array";
    if (*at == '{')
        return "an object";
    const char *const rest = at + strcspn(at, ",]} \n\r\t");
    return rest > at ? json_quote_value(at, rest, out) : json_byte_text(at, end, out);
}

void json_pointer_add(char *path, size_t size, const char *token)
{
    const size_t start = strlen(path);
    size_t len = start;
    if (len + 1 < size)
        path[len++] = '/';
    for (; *token && len + 3 <= size; token++) {
        if (*token == '~' || *token == '/') {
            path[len++] = '~';
            path[len++] = *token == '~' ? '0' : '1';
        } else {
            path[len++] = *token;
        }
    }
    path[*token || len == start ? start : len] = '\0';
}
