#include "support/counted_malloc.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Names defined by --wrap: __real_ are the functions of the C library, __wrap_ replace them. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

static atomic_bool counting;
static atomic_size_t bytes;
static atomic_size_t failing; /* the allocations up to the one that fails; 0: none fails */

static void count(size_t size)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add(&bytes, size);
}

void counted_malloc_begin(void)
{
    atomic_store(&bytes, 0);
    atomic_store(&counting, true);
}

size_t counted_malloc_end(void)
{
    atomic_store(&counting, false);
    return atomic_load(&bytes);
}

void counted_malloc_fail(size_t index)
{
    atomic_store(&failing, index);
}

/* Returns true if this allocation fails. */
static bool fails(void)
{
    size_t left = atomic_load_explicit(&failing, memory_order_relaxed);
    while (left > 0 && !atomic_compare_exchange_weak(&failing, &left, left - 1))
        ;
    return left == 1;
}

void *__wrap_malloc(size_t size)
{
    count(size);
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    count(number * size);
    return fails() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    count(size);
    return fails() ? NULL : __real_realloc(block, size);
}
