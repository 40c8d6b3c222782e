/*
 * Memory for what is large: bodies, operands, gradients. A fresh page costs a fault and its
 * zeroing, which for a large request come to more than its arithmetic. So large blocks are mapped
 * in huge pages where there are any, and a block that was freed is kept for the next request, until
 * it has lain idle for a while. Any thread may call any function at any time.
 */
#ifndef PROTO_MEMORY_BLOCK_CACHE_H
#define PROTO_MEMORY_BLOCK_CACHE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    BLOCK_CACHE_MIN =
        256 * 1024, /* blocks below are malloc's; mapping them would cost more than it saves */
    BLOCK_CACHE_IDLE_MS = 2000, /* for so long a block that was freed is kept */
};

/* Like realloc, for blocks of which the caller knows the size: makes one of `old` bytes (NULL and
   0: none yet) at least as large as before. What it held is kept, what follows is undefined. NULL
   where memory has run out; the old block is then untouched. Bytes that nobody has written take no
   memory, unless they come from a block that was kept. Aligned as malloc's. */
void *block_cache_resize(void *block, size_t old, size_t size);
/* The same for a block that is likely to grow further, to `expected` bytes: it is cut from a kept
   block of about that size, if there is one, and grows into the rest of it. Nothing is set aside
   for it. */
void *block_cache_grow(void *block, size_t old, size_t size, size_t expected);
/* Frees a block, NULL being let be; `size` is what it was made with last. */
void block_cache_free(void *block, size_t size);

/* Gives the system back what has been kept for BLOCK_CACHE_IDLE_MS; to be called every now and
 * then. */
void block_cache_trim(void);
/* Bytes that are kept. */
size_t block_cache_bytes(void);
/* Gives back until no more than so many bytes are kept. */
void block_cache_shrink(size_t most);
/* Gives back all that is kept; whether that was anything. */
bool block_cache_clear(void);

#endif
