/* Large blocks: their contents, which of them are cached, and failing allocations. */
#include "memory/block_cache.h"
#include "suites.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * KIB };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized =
    true; /* blocks come from malloc, or address space cannot be limited */
#else
static const bool sanitized = false;
#endif

/* Fills a block with bytes that depend on the seed and the position. */
static void fill(unsigned char *block, size_t from, size_t to, unsigned seed)
{
    for (size_t i = from; i < to; i++)
        block[i] = (unsigned char)((i * 2654435761U + seed) >> 7);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (block[i] != (unsigned char)((i * 2654435761U + seed) >> 7))
            return false;
    return true;
}

START_TEST(growing_blocks_keep_their_contents)
{
    static const size_t sizes[] = {
        1,           100,     BLOCK_CACHE_MIN - 1, BLOCK_CACHE_MIN, BLOCK_CACHE_MIN + 1, 300 * KIB,
        2 * MIB - 1, 2 * MIB, 3 * MIB + 5,         16 * MIB,        16 * MIB + 1,        50 * MIB,
        50 * MIB};
    for (unsigned round = 0; round < 3; round++) {
        unsigned char *block = NULL, *between = NULL;
        size_t size = 0;
        for (size_t i = round; i < sizeof sizes / sizeof sizes[0]; i++) {
            block = block_cache_resize(block, size, sizes[i]);
            ck_assert_ptr_nonnull(block);
            fill(block, size, sizes[i], round);
            size = sizes[i];
            ck_assert(is_filled(block, size, round));
            /* An obstacle, so that some blocks cannot grow in place. */
            unsigned char *other = block_cache_resize(NULL, 0, size);
            ck_assert_ptr_nonnull(other);
            other[size - 1] = 1;
            block_cache_free(between, i > round ? sizes[i - 1] : 0);
            between = other;
        }
        block_cache_free(between, size);
        block_cache_free(block, size);
    }
}
END_TEST

START_TEST(freed_blocks_are_reused)
{
    if (sanitized)
        return;
    block_cache_clear();
    char *large = block_cache_resize(NULL, 0, 20 * MIB),
         *small = block_cache_resize(NULL, 0, 2 * MIB);
    ck_assert(large && small);
    block_cache_free(large, 20 * MIB);
    block_cache_free(small, 2 * MIB);
    /* The smallest that is long enough. */
    ck_assert_ptr_eq(block_cache_resize(NULL, 0, MIB), small);
    char *part = block_cache_resize(NULL, 0, 8 * MIB), *rest = block_cache_resize(NULL, 0, 8 * MIB);
    ck_assert_ptr_eq(part, large);
    ck_assert_ptr_eq(rest, large + 8 * MIB);
    /* A cached block that is too short grows. */
    memset(part, 'x', 8 * MIB);
    block_cache_free(part, 8 * MIB);
    char *grown = block_cache_resize(NULL, 0, 12 * MIB);
    ck_assert_ptr_nonnull(grown);
    ck_assert(grown[0] == 'x' && grown[8 * MIB - 1] == 'x');
    block_cache_free(grown, 12 * MIB);
    block_cache_free(rest, 8 * MIB);
    block_cache_free(small, MIB);
    block_cache_trim(); /* too early */
    ck_assert(block_cache_clear());
    ck_assert(!block_cache_clear());
}
END_TEST

/* A cached block is reused while the block grows step by step, and does not move. */
START_TEST(growing_blocks_use_cached_blocks)
{
    if (sanitized)
        return;
    enum { WHOLE = 20 * MIB, STEP = 2 * MIB };
    block_cache_clear();
    unsigned char *whole = block_cache_resize(NULL, 0, WHOLE),
                  *other = block_cache_resize(NULL, 0, 4 * MIB);
    ck_assert(whole && other);
    fill(whole, 0, WHOLE, 1);
    block_cache_free(whole, WHOLE);
    block_cache_free(other, 4 * MIB);
    unsigned char *block = block_cache_grow(NULL, 0, STEP, WHOLE);
    ck_assert_ptr_eq(block, whole);
    for (size_t size = STEP; size < WHOLE; size += STEP) {
        ck_assert_ptr_eq(block_cache_grow(block, size, size + STEP, WHOLE), whole);
        ck_assert(is_filled(block, size + STEP, 1));
        ck_assert_uint_eq(block_cache_bytes(), 4 * MIB + (WHOLE - size - STEP));
    }
    /* Beyond that it grows like any other, and keeps its contents. */
    block = block_cache_grow(block, WHOLE, 3 * WHOLE, 3 * WHOLE);
    ck_assert_ptr_nonnull(block);
    ck_assert(is_filled(block, WHOLE, 1));
    block_cache_free(block, 3 * WHOLE);
    ck_assert(block_cache_clear());
}
END_TEST

/* Pieces of one mapping, and adjacent pieces of several. */
START_TEST(blocks_grow_across_mappings)
{
    if (sanitized)
        return;
    enum { PIECES = 8 };
    block_cache_clear();
    for (int protect = 0; protect < 2; protect++) {
        unsigned char *whole = block_cache_resize(NULL, 0, PIECES * MIB);
        ck_assert_ptr_nonnull(whole);
        if (protect) /* splits the mapping, so that it cannot be moved as one */
            ck_assert_int_eq(madvise(whole + MIB, MIB, MADV_DONTDUMP), 0);
        block_cache_free(whole, PIECES * MIB);
        unsigned char *block = block_cache_grow(NULL, 0, MIB / 2, PIECES * MIB);
        fill(block, 0, MIB / 2, 7);
        block = block_cache_grow(block, MIB / 2, 2 * MIB, PIECES * MIB);
        ck_assert_ptr_nonnull(block);
        fill(block, MIB / 2, 2 * MIB, 7);
        block_cache_clear();
        block = block_cache_resize(block, 2 * MIB, 64 * MIB);
        ck_assert_ptr_nonnull(block);
        ck_assert(is_filled(block, 2 * MIB, 7));
        block_cache_free(block, 64 * MIB);
        block_cache_clear();
    }
}
END_TEST

/* Returns the bytes that this process has mapped. */
static size_t mapped(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    ck_assert(statm && fscanf(statm, "%lu", &pages) == 1);
    fclose(statm);
    return pages * (size_t)getpagesize();
}

START_TEST(cached_blocks_are_unmapped_when_a_block_grows)
{
    if (sanitized)
        return;
    block_cache_clear();
    mapped(); /* its own first allocation does not count */
    char *kept = block_cache_resize(NULL, 0, 40 * MIB),
         *block = block_cache_resize(NULL, 0, 16 * MIB);
    ck_assert(kept && block);
    block[16 * MIB - 1] = 'x';
    block_cache_free(kept, 40 * MIB);
    const size_t before = mapped();
    for (size_t size = 16 * MIB; size < 48 * MIB; size += 4 * MIB) {
        block = block_cache_resize(block, size, size + 4 * MIB);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_le(mapped(), before);
    }
    ck_assert_int_eq(block[16 * MIB - 1], 'x');
    char *longer =
        block_cache_resize(NULL, 0, 20 * MIB); /* 8 MiB are still cached, 12 are mapped */
    ck_assert_ptr_nonnull(longer);
    ck_assert_uint_le(mapped(), before + 13 * MIB);
    ck_assert(!block_cache_clear());
    block_cache_free(longer, 20 * MIB);
    block_cache_free(block, 48 * MIB);
    block_cache_clear();
}
END_TEST

START_TEST(cached_blocks_are_limited)
{
    if (sanitized)
        return;
    enum { BLOCKS = 100 };
    char *blocks[BLOCKS];
    block_cache_clear();
    /* More blocks than the table holds, and more bytes than are cached. None is written to. */
    for (int i = 0; i < BLOCKS; i++)
        ck_assert_ptr_nonnull(blocks[i] = block_cache_resize(NULL, 0, 20 * MIB));
    for (int i = 0; i < BLOCKS; i++)
        block_cache_free(blocks[i], 20 * MIB);
    char *huge = block_cache_resize(NULL, 0, (size_t)1 << 30);
    ck_assert_ptr_nonnull(huge);
    block_cache_free(huge, (size_t)1 << 30);
    int there = 0;
    unsigned char resident[20 * MIB / 4096];
    for (int i = 0; i < BLOCKS; i++)
        there += mincore(blocks[i], 20 * MIB, resident) == 0;
    ck_assert_int_le(there, 512 / 20);
    block_cache_clear();
    for (int i = 0; i < BLOCKS; i++)
        ck_assert_int_ne(mincore(blocks[i], 20 * MIB, resident), 0);
}
END_TEST

START_TEST(failed_allocations_return_null)
{
    if (sanitized) /* a failed allocation may end the process */
        return;
    ck_assert_ptr_null(block_cache_resize(NULL, 0, SIZE_MAX));
    ck_assert_ptr_null(block_cache_resize(NULL, 0, SIZE_MAX / 2));
    unsigned char *small = block_cache_resize(NULL, 0, 1000),
                  *large = block_cache_resize(NULL, 0, 8 * MIB);
    ck_assert(small && large);
    fill(small, 0, 1000, 1);
    fill(large, 0, 8 * MIB, 2);
    block_cache_free(block_cache_resize(NULL, 0, 30 * MIB), 30 * MIB);
    struct rlimit old;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
    struct rlimit tight = {.rlim_cur = mapped() + 4 * MIB, .rlim_max = old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    void *none = block_cache_resize(NULL, 0, 100 * MIB),
         *no_small = block_cache_resize(small, 1000, 100 * MIB),
         *no_large = block_cache_resize(large, 8 * MIB, 100 * MIB);
    /* The cache makes room. */
    unsigned char *room = block_cache_resize(large, 8 * MIB, 28 * MIB);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
    ck_assert(!none && !no_small && !no_large && room);
    ck_assert(is_filled(small, 1000, 1) && is_filled(room, 8 * MIB, 2));
    block_cache_free(small, 1000);
    block_cache_free(room, 28 * MIB);
    block_cache_free(NULL, 0);
    block_cache_free(NULL, MIB);
}
END_TEST

/* Allocates, grows and frees; no other thread may write to the block. Sets *argument to 1 on
   success, to 0 on failure. */
static void *churn(void *argument)
{
    unsigned *left = argument, seed = *left;
    *left = 0;
    for (int i = 0; i < 60; i++) {
        const size_t size = BLOCK_CACHE_MIN - 1000 + (size_t)rand_r(&seed) % (3 * MIB),
                     more = size + (size_t)rand_r(&seed) % MIB;
        unsigned char *block = block_cache_resize(NULL, 0, size);
        if (!block)
            return NULL;
        fill(block, 0, size, seed);
        block = block_cache_resize(block, size, more);
        if (!block || !is_filled(block, size, seed))
            return NULL;
        block_cache_free(block, more);
        if (i % 7 == 0)
            block_cache_trim();
        if (i % 20 == 0)
            block_cache_clear();
    }
    *left = 1;
    return NULL;
}

START_TEST(blocks_are_not_shared_between_threads)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    unsigned seeds[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, &seeds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(seeds[i], 1);
    }
}
END_TEST

Suite *block_cache_suite(void)
{
    Suite *suite = suite_create("block_cache");
    SUITE_ADD(suite, "pages_blocks", growing_blocks_keep_their_contents, freed_blocks_are_reused,
              growing_blocks_use_cached_blocks, blocks_grow_across_mappings,
              cached_blocks_are_unmapped_when_a_block_grows, cached_blocks_are_limited,
              failed_allocations_return_null, blocks_are_not_shared_between_threads);
    return suite;
}
