/*
 * Large memory blocks for bodies, operands and gradients.
 *
 * A new page costs a page fault and zeroing, which for a large request take longer than the
 * arithmetic. So large blocks are mapped in huge pages if possible, and freed blocks are cached for
 * the next request until they have been idle for a while. All functions are thread-safe.
 */
#ifndef PROTO_MEMORY_BLOCK_CACHE_H
#define PROTO_MEMORY_BLOCK_CACHE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    BLOCK_CACHE_MIN = 256 * 1024, /* bytes; smaller blocks come from malloc */
    BLOCK_CACHE_IDLE_MS = 2000,   /* how long a freed block is cached */
};

/* Like realloc, but the caller passes the old size: grows a block of `old` bytes (NULL and 0: a new
   one) to `size` bytes, at least `old`. Preserves the contents; new bytes are undefined. Returns
   NULL if memory runs out; the old block is then unchanged. Aligned as by malloc. Bytes that are
   never written use no memory, unless the block was cached. */
void *block_cache_resize(void *block, size_t old, size_t size);

/* Like block_cache_resize(), for a block that will probably grow to `expected` bytes: a new block
   is cut from the cached block that fits `expected` best, so that it can grow into the rest.
   Allocates no more than `size` bytes. */
void *block_cache_grow(void *block, size_t old, size_t size, size_t expected);

/* Frees a block of `size` bytes. No-op if NULL. */
void block_cache_free(void *block, size_t size);

/* Unmaps cached blocks that have been idle for BLOCK_CACHE_IDLE_MS. Call it periodically, about
   once a second. */
void block_cache_trim(void);

/* Returns the number of cached bytes. */
size_t block_cache_bytes(void);

/* Unmaps cached blocks until at most `max_bytes` bytes are cached. */
void block_cache_shrink(size_t max_bytes);

/* Unmaps all cached blocks. Returns true if there were any. */
bool block_cache_clear(void);

#endif
