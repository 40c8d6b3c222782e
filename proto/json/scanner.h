/*
 * JSON text, byte by byte: what the scanners of requests and tensors share. All of it walks a body
 * that ends in a NUL byte, which no JSON text holds, so that nothing has to look for the end.
 */
#ifndef PROTO_JSON_SCANNER_H
#define PROTO_JSON_SCANNER_H

#include "loss.h"
#include "memory/quota.h"

/* Fails with LOSS_MALFORMED at byte `at` of the body, which is added to message and error. */
__attribute__((format(printf, 5, 6))) enum loss_status
json_malformed(struct loss_error *error, const char *body, const char *at, const char *path,
               const char *format, ...);

/* What stands at a byte, for messages: "'x'", "'\''", "byte 0x01" or "the end". Returns `text`, of
 * JSON_BYTE_TEXT bytes. */
enum { JSON_BYTE_TEXT = 16 };
const char *json_byte_text(const char *at, const char *end, char *text);

/* Behind white space. Looks every few milliseconds whether the quota, which may be NULL, is
   cancelled, and then stops within the white space, where no reader expects it. */
const char *json_blank_long(const char *text, const struct quota *quota);
static inline const char *json_blank(const char *text, const struct quota *quota)
{
    const char *const near = text + 16;
    while (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t')
        if (++text == near)
            return json_blank_long(text, quota);
    return text;
}

/* Where the text of a document begins: behind a byte order mark, which RFC 8259 lets readers
 * ignore, and white space. */
const char *json_begin(const char *text, const struct quota *quota);

/* Behind the string that opens at `text` (a '"'); NULL, with *at at the byte that cannot be there,
   where it is not a JSON string of valid UTF-8. */
const char *json_skip_string(const char *text, const char **at);

/* How many arrays and objects may be in one another, JSON_DEPTH at first. To be set before any
 * thread reads JSON. */
enum { JSON_DEPTH = 32 };
void json_limit_depth(int levels);
int json_depth(void);

/* Behind any JSON value, without judging numbers and words: brackets and strings alone. NULL as
   above; *at is then at a bracket that opens only if it is one too many. */
const char *json_skip_value(const char *text, const struct quota *quota, const char **at);

/* Decodes the string between the quotes at text and end - 1 into `out`; false if it does not fit in
   `size` with its NUL, holds a NUL itself, or half a surrogate pair. The string has been skipped,
   so it is sound. Allocates nothing, so nothing else can go wrong. */
bool json_decode_string(const char *text, const char *end, char *out, size_t size);

/* Bytes from `text` on that can stand in a JSON string as they are: valid UTF-8, no quotes,
 * backslashes or controls. */
size_t json_plain_length(const char *text);

/* Copies client text to `out`, of JSON_QUOTE bytes, for use between single quotes in a message:
   some 40 bytes of it, apostrophes and backslashes escaped as in C, controls and what is not ASCII
   replaced. Returns `out`. */
enum { JSON_QUOTE = 48 };
const char *json_quote(const char *text, char *out);
/* The same of some 100 bytes, such as a path, to `out` of JSON_QUOTE_LONG bytes. */
enum { JSON_QUOTE_LONG = 112 };
const char *json_quote_long(const char *text, char *out);

/* Copies the JSON value in [text, end) in the same way, for use without quotes around it. A string
   is copied to its own end, with its quotes; one that is cut short or does not end is closed, too.
   Returns `out`. */
const char *json_quote_value(const char *text, const char *end, char *out);

/* Appends "/" and a reference token to a JSON Pointer of `size` bytes, escaped as RFC 6901 has it.
   A token that does not fit is left out altogether: the pointer then is to what holds it. */
void json_pointer_add(char *path, size_t size, const char *token);

#endif
