/*
 * A growable run of bytes. Appending never fails loudly: once memory has run out, `failed` is set,
 * further appends do nothing, and whoever built the text asks once at the end.
 */
#ifndef PROTO_MEMORY_BUFFER_H
#define PROTO_MEMORY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/quota.h"

struct buffer {
    char *data; /* owned; not NUL-terminated; NULL while nothing was appended */
    size_t len;
    size_t capacity;
    bool failed;
    bool paged;          /* data is a block of block_cache.h */
    struct quota *quota; /* borrowed; asked before there is more room; NULL: nobody is */
};

/* Makes room for `more` bytes behind `len` and returns where they go, NULL when memory ran out. The
   caller writes there and adds what it wrote to `len`. */
char *buffer_reserve(struct buffer *buffer, size_t more);
/* Gives a buffer that holds nothing yet room for `size` bytes and no more; where that is much, in a
   block that is kept from one request to the next (block_cache.h). Returns it, NULL when memory ran
   out; `len` is the caller's to set. */
char *buffer_take(struct buffer *buffer, size_t size);
/* Gives a buffer that buffer_take has filled that much room and no more, keeping what it holds.
   Returns it, NULL, with the buffer as it was but failed, when memory ran out. */
char *buffer_resize(struct buffer *buffer, size_t size);
/* Append bytes, a string without its NUL, printf's text. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *buffer, const char *format,
                                                         ...);
/* Frees what it holds and leaves it empty and usable, with the quota that it had. */
void buffer_free(struct buffer *buffer);

#endif
