#include "files/archive.h"
#include "formats/dtype_names.h"
#include "json/scanner.h"

#include <stdio.h>
#include <string.h>

enum {
    LENGTH = 8,             /* bytes of the header's length field */
    HEADER_MAX = 100000000, /* maximum bytes of a header, as in the reference implementation */
    ALIGNMENT = 64,         /* alignment of the first tensor in files that this program writes */
};
static const char metadata_key[] = "__metadata__";

static uint64_t header_length(const char *bytes)
{
    uint64_t len;
    memcpy(&len, bytes, sizeof len); /* little-endian, like the host */
    return len;
}

bool archive_begins(const char *bytes, size_t len)
{
    return len > LENGTH && header_length(bytes) <= len - LENGTH && bytes[LENGTH] == '{';
}

enum loss_status archive_open(struct archive *archive, const char *bytes, size_t len,
                              struct loss_error *error)
{
    json_error_t why;
    *archive = (struct archive){.header = NULL};
    if (len < LENGTH)
        return loss_fail(
            error, LOSS_MALFORMED,
            "a safetensors file begins with an 8-byte header length; this file has %zu bytes", len);
    const uint64_t header = header_length(bytes);
    const size_t max = len - LENGTH < HEADER_MAX ? len - LENGTH : HEADER_MAX;
    if (header > max)
        return loss_fail(error, LOSS_MALFORMED,
                         "the header length is %llu; in a safetensors file of %zu bytes, it must "
                         "be at most %zu",
                         (unsigned long long)header, len, max);
    archive->header = json_loadb(bytes + LENGTH, (size_t)header, JSON_REJECT_DUPLICATES, &why);
    if (!archive->header)
        return loss_fail(error, LOSS_MALFORMED, "invalid header: %s (byte %d)", why.text,
                         LENGTH + why.position);
    if (!json_is_object(archive->header)) {
        archive_close(archive);
        return loss_fail(error, LOSS_MALFORMED, "the header is not a JSON object (byte %d)",
                         LENGTH);
    }
    archive->data = bytes + LENGTH + header;
    archive->len = len - LENGTH - (size_t)header;
    return LOSS_OK;
}

void archive_close(struct archive *archive)
{
    json_decref(archive->header);
    archive->header = NULL;
}

/* ---- Tensors ---- */

const char *archive_only(const struct archive *archive)
{
    const char *name, *only = NULL;
    json_t *value;
    int count = 0;
    json_object_foreach(archive->header, name, value)
    {
        if (strcmp(name, metadata_key) != 0) {
            only = name;
            count++;
        }
    }
    return count == 1 ? only : NULL;
}

bool archive_has(const struct archive *archive, const char *name)
{
    return strcmp(name, metadata_key) != 0 && json_object_get(archive->header, name);
}

static enum loss_status not_found(const struct archive *archive, const char *missing,
                                  struct loss_error *error)
{
    char list[160] = "", quote[JSON_QUOTE], near[JSON_QUOTE];
    struct loss_nearest search = {.name = missing};
    const char *name;
    json_t *value;
    json_object_foreach(archive->header, name, value)
    {
        if (strcmp(name, metadata_key) == 0)
            continue;
        loss_nearest_try(&search, name);
        const size_t len = strlen(list);
        snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", json_quote(name, near));
    }
    char all[LOSS_SUGGESTION_TEXT], suggestion[LOSS_SUGGESTION_TEXT], best[JSON_QUOTE];
    snprintf(all, sizeof all, "it contains %s", *list ? list : "no tensors");
    if (search.best)
        search.best = json_quote(search.best, best);
    return loss_fail(error, LOSS_NOT_FOUND, "the file does not contain a tensor '%s'%s",
                     json_quote(missing, quote),
                     loss_nearest_text(&search, "'", "'", all, suggestion));
}

static bool take_shape(const json_t *sizes, struct loss_tensor *tensor)
{
    if (!json_is_array(sizes) || json_array_size(sizes) > LOSS_MAX_RANK)
        return false;
    tensor->rank = (int)json_array_size(sizes);
    for (int axis = 0; axis < tensor->rank; axis++) {
        const json_t *const size = json_array_get(sizes, (size_t)axis);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return false;
        tensor->shape[axis] = (size_t)json_integer_value(size);
    }
    return true;
}

enum loss_status archive_find(const struct archive *archive, const char *name,
                              struct loss_tensor *tensor, struct loss_error *error)
{
    const char *dtype = "";
    json_t *const entry =
                      archive_has(archive, name) ? json_object_get(archive->header, name) : NULL,
                  *sizes = NULL;
    json_int_t begin, end;
    char shape[LOSS_SHAPE_TEXT], quote[JSON_QUOTE];
    size_t count;
    *tensor = (struct loss_tensor){.dtype = LOSS_ANY};
    if (!entry)
        return not_found(archive, name, error);
    json_quote(name, quote);
    if (json_unpack(entry, "{s:s,s:o,s:[I,I!]}", "dtype", &dtype, "shape", &sizes, "data_offsets",
                    &begin, &end) != 0 ||
        !take_shape(sizes, tensor))
        return loss_fail(
            error, LOSS_MALFORMED,
            "tensor '%s' has an invalid header entry; it must have a dtype, a shape of at most %d "
            "dimensions, and two data_offsets",
            quote, LOSS_MAX_RANK);
    tensor->dtype = dtype_find(DTYPE_SAFETENSORS, dtype);
    if (tensor->dtype == LOSS_ANY)
        return loss_fail(
            error, LOSS_MALFORMED,
            "tensor '%s' has dtype %.8s; it must be F64, F32, F16, BF16, I64, I32, I16, "
            "I8, U8 or BOOL",
            quote, dtype);
    if (begin < 0 || end < begin || (size_t)end > archive->len ||
        !loss_tensor_count(tensor, &count) || loss_tensor_bytes(tensor) != (size_t)(end - begin))
        return loss_fail(error, LOSS_MALFORMED,
                         "tensor '%s' of shape %.64s has data_offsets [%lld, %lld], which do not "
                         "match its size or the %zu bytes of data",
                         quote, loss_shape_text(tensor, shape), (long long)begin, (long long)end,
                         archive->len);
    tensor->data = (void *)(uintptr_t)(archive->data + begin); /* never written to */
    return LOSS_OK;
}

const char *archive_metadata(const struct archive *archive, const char *name)
{
    return json_string_value(json_object_get(json_object_get(archive->header, metadata_key), name));
}

/* ---- Writing ---- */

void archive_header(struct buffer *out, const struct archive_entry *entry, int count)
{
    struct buffer header = {0};
    size_t at = 0;
    buffer_text(&header, "{");
    for (int i = 0; i < count; i++) {
        const struct loss_tensor *const tensor = entry[i].tensor;
        buffer_printf(&header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "",
                      entry[i].name, dtype_name(DTYPE_SAFETENSORS, tensor->dtype));
        for (int axis = 0; axis < tensor->rank; axis++)
            buffer_printf(&header, axis ? ",%zu" : "%zu", tensor->shape[axis]);
        buffer_printf(&header, "],\"data_offsets\":[%zu,%zu]}", at, at + loss_tensor_bytes(tensor));
        at += loss_tensor_bytes(tensor);
    }
    buffer_text(&header, "}");
    while ((LENGTH + header.len) % ALIGNMENT != 0 && !header.failed)
        buffer_text(&header, " ");
    const uint64_t len = header.len;
    buffer_append(out, &len, sizeof len);
    if (!header.failed)
        buffer_append(out, header.data, header.len);
    out->failed |= header.failed;
    buffer_free(&header);
}
