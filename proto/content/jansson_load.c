/* Parsing, in a file of its own, so that libraries that only build JSON do not link the parser. */
#include "content/jansson_build.h"

/* jansson ignores failed allocations while it reads a token, and omits the affected bytes. So its
   allocator is replaced by one that records failures. */
static _Thread_local bool allocation_failed;

static void *allocate(size_t size)
{
    void *const block = malloc(size);
    allocation_failed |= !block;
    return block;
}

__attribute__((constructor)) static void watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

json_t *jansson_load(const char *text, size_t len)
{
    allocation_failed = false;
    json_t *const tree = json_loadb(text, len, 0, NULL);
    if (!allocation_failed)
        return tree;
    json_decref(tree);
    return NULL;
}
