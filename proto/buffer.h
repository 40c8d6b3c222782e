/*
 * A growable run of bytes. Appending never fails loudly: once memory has run out, `failed` is set, further appends do nothing,
 * and whoever built the text asks once at the end.
 */
#ifndef PROTO_BUFFER_H
#define PROTO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* owned; not NUL-terminated; NULL while nothing was appended */
    size_t len;
    size_t capacity;
    bool failed;
};

/* Makes room for `more` bytes behind `len` and returns where they go, NULL when memory ran out. The caller writes there and
   adds what it wrote to `len`. */
char *buffer_reserve(struct buffer *buffer, size_t more);
/* Append bytes, a string without its NUL, printf's text. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *buffer, const char *format, ...);
/* Frees what it holds and leaves it empty and usable. */
void buffer_free(struct buffer *buffer);

#endif
