/*
 * Low-level scanning of JSON text, shared by the readers of requests and tensors. The body must end
 * in a NUL byte. JSON text cannot contain one, so no function checks for the end of the body.
 */
#ifndef PROTO_JSON_SCANNER_H
#define PROTO_JSON_SCANNER_H

#include "loss.h"
#include "memory/quota.h"

/* Fails with LOSS_MALFORMED and the message, to which it appends the offset of `at` in the body. */
__attribute__((format(printf, 5, 6))) enum loss_status
json_malformed(struct loss_error *error, const char *body, const char *at, const char *path,
               const char *format, ...);

/* Describes a byte for messages: "'x'", "'\''", "byte 0x01" or "the end". Returns the description,
   static or in `text`, which has JSON_BYTE_TEXT bytes. */
enum { JSON_BYTE_TEXT = 16 };
const char *json_byte_text(const char *at, const char *end, char *text);

/* Returns the first byte after white space. Checks `quota` (may be NULL) once per MiB; if it is
   cancelled, stops within the white space, and the caller then fails. */
const char *json_blank_long(const char *text, const struct quota *quota);
static inline const char *json_blank(const char *text, const struct quota *quota)
{
    const char *const near = text + 16;
    while (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t')
        if (++text == near)
            return json_blank_long(text, quota);
    return text;
}

/* Returns the start of the text of a document, after a byte order mark, which RFC 8259 permits
   readers to ignore, and white space. */
const char *json_begin(const char *text, const struct quota *quota);

/* Returns the byte after the string that starts at `text` (a '"'). If it is not a JSON string in
   valid UTF-8, returns NULL and sets *at to the invalid byte. */
const char *json_skip_string(const char *text, const char **at);

/* The limit on nested arrays and objects, JSON_DEPTH by default. Set it before any thread reads
   JSON. */
enum { JSON_DEPTH = 32 };
void json_limit_depth(int levels);
int json_depth(void);

/* Returns the byte after any JSON value. Counts brackets of either kind and checks strings, but not
   commas, colons, numbers and words. On failure, returns NULL and sets *at to the invalid byte,
   which is an opening bracket only if it exceeds the depth limit. */
const char *json_skip_value(const char *text, const struct quota *quota, const char **at);

/* Decodes the string whose quotes are at text and end - 1 into `out`. The string has been skipped,
   so its syntax is valid. Returns false if it does not fit in `size` bytes with its NUL, or
   contains a NUL or half of a surrogate pair. Allocates nothing. */
bool json_decode_string(const char *text, const char *end, char *out, size_t size);

/* Returns the number of bytes at `text` that need no escape in a JSON string: valid UTF-8 without
   quotes, backslashes and control characters. */
size_t json_plain_length(const char *text);

/* Copies client text to `out`, which has JSON_QUOTE bytes, for use between single quotes in a
   message; at most about 40 bytes of it. Apostrophes and backslashes are escaped as in C; control
   and non-ASCII bytes become '?'. Returns `out`. */
enum { JSON_QUOTE = 48 };
const char *json_quote(const char *text, char *out);
/* Like json_quote(), for about 100 bytes, such as a path. `out` has JSON_QUOTE_LONG bytes. */
enum { JSON_QUOTE_LONG = 112 };
const char *json_quote_long(const char *text, char *out);

/* Like json_quote(), for the JSON value in [text, end), for use without quotes. A string keeps its
   quotes, and gets a closing one if it is truncated. Returns `out`. */
const char *json_quote_value(const char *text, const char *end, char *out);

/* Describes the value at `at` for messages: "an array", "an object", or a scalar as
   json_quote_value() copies it; if there is no value, the byte as json_byte_text() describes it.
   `end` is the end of the body. Returns the description, static or in `out`, which has JSON_QUOTE
   bytes. */
const char *json_value_text(const char *at, const char *end, char *out);

/* Appends "/" and a reference token, escaped as RFC 6901 requires, to a JSON Pointer of `size`
   bytes. A token that does not fit is omitted; the pointer then names the parent. */
void json_pointer_add(char *path, size_t size, const char *token);

#endif
