#include "json_text.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH = 32 };

enum loss_status json_malformed(struct loss_error *error, const char *body, const char *at, const char *path,
                                const char *format, ...)
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
        snprintf(text, JSON_BYTE_TEXT, "'%c'", *at);
    else
        snprintf(text, JSON_BYTE_TEXT, "byte 0x%02x", (unsigned char)*at);
    return text;
}

/* Bytes of the UTF-8 sequence at `text` (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF); 0 if there is
 * none. */
static size_t utf8_sequence(const unsigned char *text)
{
    const unsigned char a = text[0];
    const size_t len = a < 0x80 ? 1 : a >= 0xc2 && a < 0xe0 ? 2 : a >= 0xe0 && a < 0xf0 ? 3 : a >= 0xf0 && a < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((a == 0xe0 && text[1] < 0xa0) || (a == 0xed && text[1] >= 0xa0) || (a == 0xf0 && text[1] < 0x90) ||
        (a == 0xf4 && text[1] >= 0x90))
        return 0;
    return len;
}

/* Behind the escape at `text` (a backslash), NULL if it is none. */
static const char *skip_escape(const char *text)
{
    if (text[1] != 'u')
        return text[1] && strchr("\"\\/bfnrt", text[1]) ? text + 2 : NULL;
    for (int i = 2; i < 6; i++)
        if (!text[i] || !strchr("0123456789abcdefABCDEF", text[i]))
            return NULL;
    return text + 6;
}

const char *json_skip_string(const char *text, const char **at)
{
    text++;
    while (*text != '"') {
        const char *next = NULL;
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
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' || c == '.';
}

const char *json_skip_value(const char *text, const char **at)
{
    int depth = 0;
    do {
        text = json_blank(text);
        *at = text;
        if (*text == '[' || *text == '{') {
            if (++depth > JSON_DEPTH)
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

bool json_decode_string(const char *text, const char *end, char *out, size_t size)
{
    const size_t len = (size_t)(end - text) - 2;
    if (!memchr(text + 1, '\\', len)) {
        if (len >= size)
            return false;
        memcpy(out, text + 1, len);
        out[len] = '\0';
        return true;
    }
    json_t *string = json_loadb(text, (size_t)(end - text), JSON_DECODE_ANY, NULL); /* refuses \u0000 and lone surrogates */
    const bool fits = string && json_string_length(string) < size;
    if (fits)
        memcpy(out, json_string_value(string), json_string_length(string) + 1);
    json_decref(string);
    return fits;
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

const char *json_quote(const char *text, char *out)
{
    size_t len = 0;
    while (text[len] && len < JSON_QUOTE - 8) {
        out[len] = text[len] >= ' ' && text[len] < 0x7f ? text[len] : '?';
        len++;
    }
    snprintf(out + len, JSON_QUOTE - len, "%s", text[len] ? "..." : "");
    return out;
}

void json_pointer_add(char *path, size_t size, const char *token)
{
    size_t len = strlen(path);
    if (len + 1 < size)
        path[len++] = '/';
    for (; *token && len + 3 < size; token++) {
        if (*token == '~' || *token == '/') {
            path[len++] = '~';
            path[len++] = *token == '~' ? '0' : '1';
        } else {
            path[len++] = *token;
        }
    }
    path[len] = '\0';
}
