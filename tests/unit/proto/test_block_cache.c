/* Large blocks: what they hold, which of them are kept, and what happens without memory. */
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
static const bool sanitized = true; /* blocks are malloc's, or address space cannot be limited */
#else
static const bool sanitized = false;
#endif

/* Bytes that depend on the seed and the place. */
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

START_TEST(pages_keep_what_a_growing_block_holds)
{
    static const size_t sizes[] = {
        1,           100,     PAGES_LEAST - 1, PAGES_LEAST, PAGES_LEAST + 1, 300 * KIB,
        2 * MIB - 1, 2 * MIB, 3 * MIB + 5,     16 * MIB,    16 * MIB + 1,    50 * MIB,
        50 * MIB};
    for (unsigned round = 0; round < 3; round++) {
        unsigned char *block = NULL, *between = NULL;
        size_t size = 0;
        for (size_t i = round; i < sizeof sizes / sizeof sizes[0]; i++) {
            block = pages_resize(block, size, sizes[i]);
            ck_assert_ptr_nonnull(block);
            fill(block, size, sizes[i], round);
            size = sizes[i];
            ck_assert(is_filled(block, size, round));
            /* Something in the way, so that not every block can grow where it is. */
            unsigned char *other = pages_resize(NULL, 0, size);
            ck_assert_ptr_nonnull(other);
            other[size - 1] = 1;
            pages_free(between, i > round ? sizes[i - 1] : 0);
            between = other;
        }
        pages_free(between, size);
        pages_free(block, size);
    }
}
END_TEST

START_TEST(pages_are_kept_for_the_next)
{
    if (sanitized)
        return;
    pages_drop();
    char *large = pages_resize(NULL, 0, 20 * MIB), *small = pages_resize(NULL, 0, 2 * MIB);
    ck_assert(large && small);
    pages_free(large, 20 * MIB);
    pages_free(small, 2 * MIB);
    /* The smallest that is long enough. */
    ck_assert_ptr_eq(pages_resize(NULL, 0, MIB), small);
    char *part = pages_resize(NULL, 0, 8 * MIB), *rest = pages_resize(NULL, 0, 8 * MIB);
    ck_assert_ptr_eq(part, large);
    ck_assert_ptr_eq(rest, large + 8 * MIB);
    /* One that is too short grows: two thirds of it are not fresh. */
    memset(part, 'x', 8 * MIB);
    pages_free(part, 8 * MIB);
    char *grown = pages_resize(NULL, 0, 12 * MIB);
    ck_assert_ptr_nonnull(grown);
    ck_assert(grown[0] == 'x' && grown[8 * MIB - 1] == 'x');
    pages_free(grown, 12 * MIB);
    pages_free(rest, 8 * MIB);
    pages_free(small, MIB);
    pages_tidy(); /* too early */
    ck_assert(pages_drop());
    ck_assert(!pages_drop());
}
END_TEST

/* What is kept is used again, though the block grows step by step, and moves nowhere. */
START_TEST(pages_grow_into_a_block_that_is_kept)
{
    if (sanitized)
        return;
    enum { WHOLE = 20 * MIB, STEP = 2 * MIB };
    pages_drop();
    unsigned char *whole = pages_resize(NULL, 0, WHOLE), *other = pages_resize(NULL, 0, 4 * MIB);
    ck_assert(whole && other);
    fill(whole, 0, WHOLE, 1);
    pages_free(whole, WHOLE);
    pages_free(other, 4 * MIB);
    unsigned char *block = pages_grow(NULL, 0, STEP, WHOLE);
    ck_assert_ptr_eq(block, whole);
    for (size_t size = STEP; size < WHOLE; size += STEP) {
        ck_assert_ptr_eq(pages_grow(block, size, size + STEP, WHOLE), whole);
        ck_assert(is_filled(block, size + STEP, 1));
        ck_assert_uint_eq(pages_kept(), 4 * MIB + (WHOLE - size - STEP));
    }
    /* Beyond that it grows like any other, and keeps what it holds. */
    block = pages_grow(block, WHOLE, 3 * WHOLE, 3 * WHOLE);
    ck_assert_ptr_nonnull(block);
    ck_assert(is_filled(block, WHOLE, 1));
    pages_free(block, 3 * WHOLE);
    ck_assert(pages_drop());
}
END_TEST

/* Pieces of one mapping, and pieces of several that happen to be next to each other. */
START_TEST(pages_grow_across_mappings)
{
    if (sanitized)
        return;
    enum { PIECES = 8 };
    pages_drop();
    for (int protect = 0; protect < 2; protect++) {
        unsigned char *whole = pages_resize(NULL, 0, PIECES * MIB);
        ck_assert_ptr_nonnull(whole);
        if (protect) /* makes two mappings of it, which cannot be moved as one */
            ck_assert_int_eq(madvise(whole + MIB, MIB, MADV_DONTDUMP), 0);
        pages_free(whole, PIECES * MIB);
        unsigned char *block = pages_grow(NULL, 0, MIB / 2, PIECES * MIB);
        fill(block, 0, MIB / 2, 7);
        block = pages_grow(block, MIB / 2, 2 * MIB, PIECES * MIB);
        ck_assert_ptr_nonnull(block);
        fill(block, MIB / 2, 2 * MIB, 7);
        pages_drop();
        block = pages_resize(block, 2 * MIB, 64 * MIB);
        ck_assert_ptr_nonnull(block);
        ck_assert(is_filled(block, 2 * MIB, 7));
        pages_free(block, 64 * MIB);
        pages_drop();
    }
}
END_TEST

/* Bytes that this process has mapped. */
static size_t mapped(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    ck_assert(statm && fscanf(statm, "%lu", &pages) == 1);
    fclose(statm);
    return pages * (size_t)getpagesize();
}

START_TEST(pages_that_are_kept_make_room_for_a_block_that_grows)
{
    if (sanitized)
        return;
    pages_drop();
    mapped(); /* its own first use of memory is not to be counted */
    char *kept = pages_resize(NULL, 0, 40 * MIB), *block = pages_resize(NULL, 0, 16 * MIB);
    ck_assert(kept && block);
    block[16 * MIB - 1] = 'x';
    pages_free(kept, 40 * MIB);
    const size_t before = mapped();
    for (size_t size = 16 * MIB; size < 48 * MIB; size += 4 * MIB) {
        block = pages_resize(block, size, size + 4 * MIB);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_le(mapped(), before);
    }
    ck_assert_int_eq(block[16 * MIB - 1], 'x');
    char *longer =
        pages_resize(NULL, 0, 20 * MIB); /* of the 8 MiB that are left, and 12 that are not */
    ck_assert_ptr_nonnull(longer);
    ck_assert_uint_le(mapped(), before + 13 * MIB);
    ck_assert(!pages_drop());
    pages_free(longer, 20 * MIB);
    pages_free(block, 48 * MIB);
    pages_drop();
}
END_TEST

START_TEST(pages_are_not_kept_beyond_their_limit)
{
    if (sanitized)
        return;
    enum { BLOCKS = 100 };
    char *blocks[BLOCKS];
    pages_drop();
    /* More blocks than there is room for in the table, and more bytes than are kept. None is
     * written to. */
    for (int i = 0; i < BLOCKS; i++)
        ck_assert_ptr_nonnull(blocks[i] = pages_resize(NULL, 0, 20 * MIB));
    for (int i = 0; i < BLOCKS; i++)
        pages_free(blocks[i], 20 * MIB);
    char *huge = pages_resize(NULL, 0, (size_t)1 << 30);
    ck_assert_ptr_nonnull(huge);
    pages_free(huge, (size_t)1 << 30);
    int there = 0;
    unsigned char resident[20 * MIB / 4096];
    for (int i = 0; i < BLOCKS; i++)
        there += mincore(blocks[i], 20 * MIB, resident) == 0;
    ck_assert_int_le(there, 512 / 20);
    pages_drop();
    for (int i = 0; i < BLOCKS; i++)
        ck_assert_int_ne(mincore(blocks[i], 20 * MIB, resident), 0);
}
END_TEST

START_TEST(pages_that_cannot_be_had_are_null)
{
    if (sanitized) /* where asking for too much ends the process */
        return;
    ck_assert_ptr_null(pages_resize(NULL, 0, SIZE_MAX));
    ck_assert_ptr_null(pages_resize(NULL, 0, SIZE_MAX / 2));
    unsigned char *small = pages_resize(NULL, 0, 1000), *large = pages_resize(NULL, 0, 8 * MIB);
    ck_assert(small && large);
    fill(small, 0, 1000, 1);
    fill(large, 0, 8 * MIB, 2);
    pages_free(pages_resize(NULL, 0, 30 * MIB), 30 * MIB);
    struct rlimit old;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
    struct rlimit tight = {.rlim_cur = mapped() + 4 * MIB, .rlim_max = old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    void *none = pages_resize(NULL, 0, 100 * MIB), *no_small = pages_resize(small, 1000, 100 * MIB),
         *no_large = pages_resize(large, 8 * MIB, 100 * MIB);
    /* What was kept makes room. */
    unsigned char *room = pages_resize(large, 8 * MIB, 28 * MIB);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
    ck_assert(!none && !no_small && !no_large && room);
    ck_assert(is_filled(small, 1000, 1) && is_filled(room, 8 * MIB, 2));
    pages_free(small, 1000);
    pages_free(room, 28 * MIB);
    pages_free(NULL, 0);
    pages_free(NULL, MIB);
}
END_TEST

/* Takes, grows and frees; nobody else may write there meanwhile. Leaves 0 of the seed if somebody
 * did. */
static void *churn(void *argument)
{
    unsigned *left = argument, seed = *left;
    *left = 0;
    for (int i = 0; i < 60; i++) {
        const size_t size = PAGES_LEAST - 1000 + (size_t)rand_r(&seed) % (3 * MIB),
                     more = size + (size_t)rand_r(&seed) % MIB;
        unsigned char *block = pages_resize(NULL, 0, size);
        if (!block)
            return NULL;
        fill(block, 0, size, seed);
        block = pages_resize(block, size, more);
        if (!block || !is_filled(block, size, seed))
            return NULL;
        pages_free(block, more);
        if (i % 7 == 0)
            pages_tidy();
        if (i % 20 == 0)
            pages_drop();
    }
    *left = 1;
    return NULL;
}

START_TEST(pages_belong_to_one_at_a_time)
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

Suite *pages_suite(void)
{
    Suite *suite = suite_create("pages");
    SUITE_ADD(suite, "pages_blocks", pages_keep_what_a_growing_block_holds,
              pages_are_kept_for_the_next, pages_grow_into_a_block_that_is_kept,
              pages_grow_across_mappings, pages_that_are_kept_make_room_for_a_block_that_grows,
              pages_are_not_kept_beyond_their_limit, pages_that_cannot_be_had_are_null,
              pages_belong_to_one_at_a_time);
    return suite;
}
