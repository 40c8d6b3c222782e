#include "support/tensor_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

void tensor_file_add(struct tensor_file *file, const char *name, const char *dtype,
                     const char *shape, const void *data, size_t len)
{
    const size_t at = file->data.len;
    buffer_append(&file->data, data, len);
    buffer_printf(&file->header,
                  "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                  file->header.len ? ',' : '{', name, dtype, shape, at, at + len);
}

void tensor_file_add_raw(struct tensor_file *file, const char *member)
{
    buffer_printf(&file->header, "%c%s", file->header.len ? ',' : '{', member);
}

struct buffer tensor_file_end(struct tensor_file *file, size_t spaces)
{
    struct buffer whole = {0};
    buffer_text(&file->header, file->header.len ? "}" : "{}");
    const uint64_t len = file->header.len + spaces;
    buffer_append(&whole, &len, sizeof len);
    buffer_append(&whole, file->header.data, file->header.len);
    for (size_t i = 0; i < spaces; i++)
        buffer_text(&whole, " ");
    buffer_append(&whole, file->data.data ? file->data.data : "", file->data.len);
    ck_assert(!whole.failed && !file->header.failed && !file->data.failed);
    buffer_free(&file->header);
    buffer_free(&file->data);
    return whole;
}

struct buffer tensor_file_raw(const char *header, size_t len)
{
    struct buffer whole = {0};
    const uint64_t header_len = strlen(header);
    buffer_append(&whole, &header_len, sizeof header_len);
    buffer_text(&whole, header);
    for (size_t i = 0; i < len; i++)
        buffer_append(&whole, "", 1);
    ck_assert(!whole.failed);
    return whole;
}

struct tensor_answer tensor_answer_read(const char *bytes, size_t len)
{
    uint64_t header = 0;
    json_error_t why;
    ck_assert_uint_ge(len, sizeof header);
    memcpy(&header, bytes, sizeof header);
    ck_assert_uint_le(header, len - sizeof header);
    ck_assert_uint_eq((header + sizeof header) % 64, 0);
    ck_assert_int_eq(bytes[sizeof header], '{');
    struct tensor_answer answer = {
        .header = json_loadb(bytes + sizeof header, header, JSON_REJECT_DUPLICATES, &why)};
    ck_assert_msg(answer.header != NULL, "%s", why.text);
    answer.data = bytes + sizeof header + header;
    answer.len = len - sizeof header - header;
    /* Every byte must belong to exactly one tensor. */
    size_t sum = 0;
    const char *name;
    json_t *tensor;
    json_object_foreach(answer.header, name, tensor)
    {
        json_int_t begin = 0, end = 0;
        if (strcmp(name, "__metadata__") != 0 &&
            json_unpack(tensor, "{s:[I,I]}", "data_offsets", &begin, &end) == 0)
            sum += (size_t)(end - begin);
    }
    ck_assert_uint_eq(sum, answer.len);
    return answer;
}

const void *tensor_answer_data(const struct tensor_answer *answer, const char *name,
                               const char *dtype, const char *shape, size_t *len)
{
    json_int_t begin = 0, end = 0;
    json_t *const tensor = json_object_get(answer->header, name), *sizes = NULL;
    const char *found = "";
    ck_assert_msg(json_unpack(tensor, "{s:s,s:o,s:[I,I]}", "dtype", &found, "shape", &sizes,
                              "data_offsets", &begin, &end) == 0,
                  "no tensor %s", name);
    if (dtype)
        ck_assert_str_eq(found, dtype);
    if (shape) {
        char *const text = json_dumps(sizes, JSON_COMPACT), wanted[128];
        snprintf(wanted, sizeof wanted, "[%s]", shape);
        ck_assert_str_eq(text, wanted);
        free(text);
    }
    ck_assert_uint_le((size_t)end, answer->len);
    *len = (size_t)(end - begin);
    return answer->data + begin;
}

const char *tensor_answer_metadata(const struct tensor_answer *answer, const char *name)
{
    return json_string_value(
        json_object_get(json_object_get(answer->header, "__metadata__"), name));
}

void tensor_answer_free(struct tensor_answer *answer)
{
    json_decref(answer->header);
    *answer = (struct tensor_answer){0};
}
