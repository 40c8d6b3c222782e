/*
 * The cache must not make the process larger than its requests require. So an allocation reuses a
 * cached block of any size before it maps memory: a larger block is cut, and a smaller one grows
 * with mremap, which copies nothing. As the block grows, the same amount of other cached memory is
 * unmapped.
 */
#include "memory/block_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BLOCK_CACHE_MAX ((size_t)512 << 20) /* cached bytes */

/* AddressSanitizer cannot check the ends of mapped blocks, so with it all blocks come from malloc.
 */
#if defined __SANITIZE_ADDRESS__
#define IS_MAPPED(size) false
#else
#define IS_MAPPED(size) ((size) >= BLOCK_CACHE_MIN)
#endif

enum {
    PAGE = 64 * 1024, /* the largest base page of x86-64 and arm64; lengths are multiples of it */
    HUGE_PAGE = 2 << 20,
    KEPT_BLOCKS = 64,
    LENGTH_STEPS = 32, /* from 2 MiB on, a block's length exceeds its size by at most 1/32 */
};

struct block {
    char *data;
    size_t length;
    int64_t since; /* now_ms() when it was freed */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct block kept[KEPT_BLOCKS]; /* unordered */
static int kept_count;
static atomic_size_t kept_length; /* changed under the mutex */

static int64_t now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Mappings ---- */

/* Returns the number of bytes to map for a block of `size` bytes; 0 if that is too large. Depends
   only on `size`, so that blocks need not store it. Rounds up in steps, so that blocks of similar
   size are interchangeable. */
static size_t length_of(size_t size)
{
    size_t step = PAGE;
    if (size > PTRDIFF_MAX / 2)
        return 0;
    while (step < HUGE_PAGE && step * 2 <= size / LENGTH_STEPS)
        step *= 2;
    return (size + step - 1) / step * step;
}

static void unmap(const struct block *block)
{
    munmap(block->data, block->length); /* fails only if the kernel cannot split a mapping; the
                                           pages then stay mapped */
}

/* Maps address space, aligned so that huge pages can be used. */
static char *reserve(size_t length, int protection)
{
    const size_t more = length >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *data = mmap(NULL, length + more, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        return NULL;
    const size_t before = more ? (HUGE_PAGE - (uintptr_t)data % HUGE_PAGE) % HUGE_PAGE : 0;
    if (before > 0)
        munmap(data, before);
    if (more > before)
        munmap(data + before + length, more - before);
    return data + before;
}

static void use_huge_pages(char *data, size_t length)
{
    if (length >= HUGE_PAGE)
        madvise(
            data, length,
            MADV_HUGEPAGE); /* on failure (not supported by the kernel), normal pages are used */
}

static char *map(size_t length)
{
    char *data = reserve(length, PROT_READ | PROT_WRITE);
    if (data)
        use_huge_pages(data, length);
    return data;
}

/* Like extend(), by copying. */
static char *copy_longer(char *data, size_t length, size_t longer)
{
    char *const to = map(longer);
    if (to) {
        memcpy(to, data, length);
        munmap(data, length);
    }
    return to;
}

/* Extends a mapping, and may move it. On failure, returns NULL and changes nothing. Pages of
   different mmap calls cannot be moved together, so they are copied. */
static char *extend(char *data, size_t length, size_t longer)
{
    char *to = mremap(data, length, longer, 0);
    if (to == MAP_FAILED) {
        char *aligned = reserve(longer, PROT_NONE);
        if (aligned)
            to = mremap(data, length, longer, MREMAP_MAYMOVE | MREMAP_FIXED, aligned);
        if (aligned && to == MAP_FAILED)
            munmap(aligned, longer);
        if (to == MAP_FAILED)
            to = mremap(data, length, longer, MREMAP_MAYMOVE); /* anywhere */
    }
    if (to == MAP_FAILED)
        return errno == EFAULT ? copy_longer(data, length, longer) : NULL;
    use_huge_pages(to, longer);
    return to;
}

/* ---- The cache, under the mutex ---- */

static struct block remove_kept(int i)
{
    const struct block block = kept[i];
    kept[i] = kept[--kept_count];
    kept_length -= block.length;
    return block;
}

/* Returns the index of the best block for `length`: the smallest that is long enough, else the
   longest; -1 if the cache is empty. */
static int find_kept(size_t length)
{
    int best = -1;
    for (int i = 0; i < kept_count; i++) {
        if (best < 0)
            best = i;
        else if (kept[best].length < length
                     ? kept[i].length > kept[best].length
                     : kept[i].length >= length && kept[i].length < kept[best].length)
            best = i;
    }
    return best;
}

static bool may_keep(size_t length)
{
    return kept_count < KEPT_BLOCKS && length <= BLOCK_CACHE_MAX &&
           kept_length <= BLOCK_CACHE_MAX - length;
}

static void keep(const struct block *block)
{
    kept[kept_count++] = *block;
    kept_length += block->length;
}

/* ---- Blocks ---- */

/* Caches a block, or unmaps it if the cache is full. */
static void put(const struct block *block)
{
    pthread_mutex_lock(&mutex);
    const bool fits = may_keep(block->length);
    if (fits)
        keep(block);
    pthread_mutex_unlock(&mutex);
    if (!fits)
        unmap(block);
}

/* Unmaps at least `bytes` bytes of the cache, or all of it, before a growing block maps `bytes`
   bytes. */
static void unmap_cached(size_t bytes)
{
    while (bytes > 0) {
        struct block block = {.data = NULL};
        pthread_mutex_lock(&mutex);
        const int best = find_kept(bytes);
        if (best >= 0)
            block = remove_kept(best);
        pthread_mutex_unlock(&mutex);
        if (!block.data)
            return;
        const bool part =
            block.length >= BLOCK_CACHE_MIN && block.length - BLOCK_CACHE_MIN >= bytes;
        const size_t less = part ? bytes : block.length;
        unmap(&(struct block){.data = block.data,
                              .length = less}); /* the start: the end may never have been touched */
        block.data += less;
        block.length -= less;
        if (part)
            put(&block);
        bytes -= less < bytes ? less : bytes;
    }
}

/* Returns a block of `length` bytes: the cached block that is best for `expected`, cut or extended;
   if there is none, a new mapping. Returns NULL if memory runs out. */
static char *take(size_t length, size_t expected)
{
    struct block block = {.data = NULL};
    pthread_mutex_lock(&mutex);
    const int best = find_kept(expected);
    if (best >= 0)
        block = remove_kept(best);
    pthread_mutex_unlock(&mutex);
    if (block.length >= length && block.length > 0) {
        const struct block rest = {block.data + length, block.length - length, block.since};
        if (rest.length >= BLOCK_CACHE_MIN)
            put(&rest);
        else if (rest.length > 0)
            unmap(&rest);
        return block.data;
    }
    char *data = NULL;
    if (block.data) {
        unmap_cached(length - block.length);
        data = extend(block.data, block.length, length);
    }
    if (!data && block.data)
        put(&block);
    if (!data)
        data = map(length);
    if (!data && block_cache_clear())
        data = map(length);
    return data;
}

/* Cuts up to `max_bytes` bytes from the front of the cached block that begins at `end`. Returns the
   number of bytes; 0 if there is no such block. A remainder that is too short to be cached is
   unmapped. */
static size_t absorb_next(const char *end, size_t max_bytes)
{
    struct block block = {.data = NULL};
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < kept_count && !block.data; i++)
        if (kept[i].data == end)
            block = remove_kept(i);
    const size_t bytes = block.length < max_bytes ? block.length : max_bytes;
    const struct block left = {block.data + bytes, block.length - bytes, block.since};
    if (left.length >= BLOCK_CACHE_MIN)
        keep(&left);
    pthread_mutex_unlock(&mutex);
    if (left.length > 0 && left.length < BLOCK_CACHE_MIN)
        unmap(&left);
    return bytes;
}

static void *grow_mapped(char *data, size_t before, size_t longer)
{
    size_t length = before;
    for (size_t bytes = 1; bytes > 0 && length < longer; length += bytes)
        bytes = absorb_next(data + length, longer - length);
    if (length == longer)
        return data;
    unmap_cached(longer - length);
    char *grown = extend(data, length, longer);
    if (!grown && block_cache_clear())
        grown = extend(data, length, longer);
    if (!grown && length > before)
        put(&(struct block){data + before, length - before, now_ms()});
    return grown;
}

void *block_cache_resize(void *block, size_t old, size_t size)
{
    return block_cache_grow(block, old, size, size);
}

void *block_cache_grow(void *block, size_t old, size_t size, size_t expected)
{
    const size_t length = length_of(size), expected_length = length_of(expected);
    if (!IS_MAPPED(size))
        return realloc(block, size);
    if (length == 0)
        return NULL;
    if (block && IS_MAPPED(old))
        return grow_mapped(block, length_of(old), length);
    char *data = take(length, expected_length > length ? expected_length : length);
    if (data && block) {
        memcpy(data, block, old);
        free(block);
    }
    return data;
}

void block_cache_free(void *block, size_t size)
{
    if (block && IS_MAPPED(size))
        put(&(struct block){block, length_of(size), now_ms()});
    else
        free(block);
}

/* Unmaps blocks that were freed before `time`. Returns true if there were any. */
static bool drop_older(int64_t time)
{
    struct block old[KEPT_BLOCKS];
    int count = 0;
    pthread_mutex_lock(&mutex);
    for (int i = kept_count; i-- > 0;)
        if (kept[i].since < time)
            old[count++] = remove_kept(i);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < count; i++)
        unmap(&old[i]);
    return count > 0;
}

void block_cache_trim(void)
{
    drop_older(now_ms() - BLOCK_CACHE_IDLE_MS);
}

size_t block_cache_bytes(void)
{
    return kept_length;
}

void block_cache_shrink(size_t max_bytes)
{
    while (kept_length > max_bytes) {
        struct block block = {.data = NULL};
        pthread_mutex_lock(&mutex);
        if (kept_length > max_bytes)
            block = remove_kept(find_kept(kept_length - max_bytes));
        pthread_mutex_unlock(&mutex);
        if (block.data)
            unmap(&block);
    }
}

bool block_cache_clear(void)
{
    return drop_older(INT64_MAX);
}
