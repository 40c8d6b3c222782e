#include "memory/buffer.h"
#include "memory/block_cache.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_START = 256,
    BUFFER_LARGE =
        1 << 20,      /* larger buffers grow by 1/8, not by doubling: remapping copies nothing */
    BUFFER_SPARE = 8, /* 1/8 */
};

/* Returns the new capacity of a buffer that needs at least `wanted` bytes. */
static size_t capacity_for(const struct buffer *buffer, size_t wanted)
{
    size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_START;
    if (wanted > BUFFER_LARGE)
        return wanted + wanted / BUFFER_SPARE;
    while (capacity < wanted)
        capacity *= 2;
    return capacity;
}

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t wanted;
    if (buffer->failed)
        return NULL;
    if (__builtin_add_overflow(buffer->len, more, &wanted) || wanted > PTRDIFF_MAX / 2) {
        buffer->failed = true;
        return NULL;
    }
    if (buffer->data && wanted <= buffer->capacity)
        return buffer->data + buffer->len;
    const size_t capacity = capacity_for(buffer, wanted), more_room = capacity - buffer->capacity;
    if (!quota_reserve(buffer->quota, more_room)) {
        buffer->failed = true;
        return NULL;
    }
    char *data = buffer->paged ? block_cache_resize(buffer->data, buffer->capacity, capacity)
                               : realloc(buffer->data, capacity);
    if (!data) {
        quota_release(buffer->quota, more_room);
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->len;
}

char *buffer_take(struct buffer *buffer, size_t size)
{
    const size_t capacity = size > 0 ? size : 1;
    buffer->paged = true;
    if (quota_reserve(buffer->quota, capacity) &&
        !(buffer->data = block_cache_resize(NULL, 0, capacity)))
        quota_release(buffer->quota, capacity);
    buffer->capacity = buffer->data ? capacity : 0;
    buffer->failed = !buffer->data;
    return buffer->data;
}

char *buffer_resize(struct buffer *buffer, size_t size)
{
    const size_t more = size > buffer->capacity ? size - buffer->capacity : 0;
    char *data = NULL;
    if (quota_reserve(buffer->quota, more) &&
        !(data = block_cache_resize(buffer->data, buffer->capacity, size)))
        quota_release(buffer->quota, more);
    buffer->failed = !data;
    if (!data)
        return NULL;
    quota_release(buffer->quota, buffer->capacity + more - size);
    buffer->data = data;
    buffer->capacity = size;
    return data;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t len)
{
    char *to = buffer_reserve(buffer, len);
    if (!to || len == 0)
        return;
    memcpy(to, bytes, len);
    buffer->len += len;
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = len < 0 ? NULL : buffer_reserve(buffer, (size_t)len + 1);
    if (!to) {
        buffer->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    buffer->len += (size_t)len;
}

void buffer_free(struct buffer *buffer)
{
    if (buffer->paged)
        block_cache_free(buffer->data, buffer->capacity);
    else
        free(buffer->data);
    quota_release(buffer->quota, buffer->capacity);
    *buffer = (struct buffer){.quota = buffer->quota};
}
