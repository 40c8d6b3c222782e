/*
 * A growable byte buffer. Appending reports no errors: once memory runs out, `failed` is set and
 * further appends are ignored. The caller checks `failed` once, at the end.
 */
#ifndef PROTO_MEMORY_BUFFER_H
#define PROTO_MEMORY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/quota.h"

struct buffer {
    char *data; /* owned; not NUL-terminated; NULL until something is appended */
    size_t len;
    size_t capacity;
    bool failed;
    bool paged;          /* data is from block_cache.h */
    struct quota *quota; /* borrowed; the capacity is reserved there; may be NULL */
};

/* Reserves `more` bytes after `len` and returns their address. The caller writes there and adds the
   number of bytes written to `len`. Returns NULL if memory runs out or `failed` is set. */
char *buffer_reserve(struct buffer *buffer, size_t more);

/* Allocates `size` bytes (1 if `size` is 0) for an empty buffer, from block_cache.h. Returns the
   data; the caller sets `len`. If memory runs out, returns NULL and sets `failed`. */
char *buffer_take(struct buffer *buffer, size_t size);

/* Grows a buffer that buffer_take has allocated to exactly `size` bytes, at least its capacity, and
   keeps its contents. Returns the data. If memory runs out, returns NULL and sets `failed`; the
   buffer is otherwise unchanged. */
char *buffer_resize(struct buffer *buffer, size_t size);

/* Append bytes, a string without its NUL, and formatted text. */
void buffer_append(struct buffer *buffer, const void *bytes, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *buffer, const char *format,
                                                         ...);

/* Frees the contents. The buffer is then empty and usable, with the same quota. */
void buffer_free(struct buffer *buffer);

#endif
