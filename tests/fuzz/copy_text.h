/* The input of a fuzz target as text. */
#ifndef TESTS_FUZZ_COPY_TEXT_H
#define TESTS_FUZZ_COPY_TEXT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Returns a copy with a NUL after it, which the caller frees; NULL if memory ran out. */
static inline char *copy_text(const void *data, size_t size)
{
    char *const text = malloc(size + 1);
    if (!text)
        return NULL;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

#endif
