/* From elements to the text of a tensor. */
#include "base64.h"
#include "json_text.h"
#include "number.h"
#include "tensor_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void append_nonfinite(struct buffer *out, double value)
{
    buffer_text(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

void json_append_number(struct buffer *out, double value)
{
    if (!isfinite(value)) {
        append_nonfinite(out, value);
        return;
    }
    char *to = buffer_reserve(out, NUMBER_TEXT);
    if (to)
        out->len += number_write_f64(to, value);
}

static void append_f32(struct buffer *out, float value)
{
    if (!isfinite(value)) {
        append_nonfinite(out, (double)value);
        return;
    }
    char *to = buffer_reserve(out, NUMBER_TEXT);
    if (to)
        out->len += number_write_f32(to, value);
}

void json_append_string(struct buffer *out, const char *text)
{
    buffer_text(out, "\"");
    while (*text) {
        const size_t plain = json_plain_length(text);
        buffer_append(out, text, plain);
        text += plain;
        if (*text == '"' || *text == '\\')
            buffer_printf(out, "\\%c", *text++);
        else if (*text && (unsigned char)*text < 0x20)
            buffer_printf(out, "\\u%04x", (unsigned)*text++);
        else if (*text) {
            buffer_text(out, "\xef\xbf\xbd"); /* U+FFFD */
            text++;
        }
    }
    buffer_text(out, "\"");
}

/* Elements [from, from + count), with commas between them. */
static void append_numbers(struct buffer *out, const struct loss_tensor *tensor, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) {
        if (i > from)
            buffer_append(out, ",", 1);
        if (tensor->dtype == LOSS_FLOAT64)
            json_append_number(out, ((const double *)tensor->data)[i]);
        else
            append_f32(out, ((const float *)tensor->data)[i]);
    }
}

/* The part of the tensor below `axis` that begins at element *from. As deep as the tensor has dimensions. */
static void append_nested(struct buffer *out, const struct loss_tensor *tensor, int axis, size_t *from)
{
    const size_t length = axis < tensor->rank ? tensor->shape[axis] : 1;
    if (axis < tensor->rank)
        buffer_append(out, "[", 1);
    if (axis >= tensor->rank - 1) {
        append_numbers(out, tensor, *from, length);
        *from += length;
    } else {
        for (size_t i = 0; i < length && !out->failed; i++) {
            if (i > 0)
                buffer_append(out, ",", 1);
            append_nested(out, tensor, axis + 1, from);
        }
    }
    if (axis < tensor->rank)
        buffer_append(out, "]", 1);
}

static void append_buffer(struct buffer *out, const struct loss_tensor *tensor)
{
    const size_t bytes = loss_tensor_bytes(tensor), len = base64_text_len(bytes);
    buffer_text(out, "{\"buffer\":\"");
    char *to = buffer_reserve(out, len);
    if (to) {
        base64_encode(to, tensor->data, bytes);
        out->len += len;
    }
    buffer_text(out, "\",\"encoding\":\"base64\"}");
}

void tensor_json_encode(struct buffer *out, const struct loss_tensor *tensor, enum tensor_form form)
{
    const size_t count = loss_tensor_elements(tensor);
    size_t from = 0;
    /* Of a tensor without elements a nested array cannot say the shape, unless it has one dimension. */
    if (form == FORM_NESTED && (count > 0 || tensor->rank == 1)) {
        append_nested(out, tensor, 0, &from);
        return;
    }
    buffer_text(out, "{\"shape\":[");
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(out, axis ? ",%zu" : "%zu", tensor->shape[axis]);
    buffer_printf(out, "],\"dtype\":\"%s\",\"data\":", loss_dtype_name(tensor->dtype));
    if (form == FORM_BASE64) {
        append_buffer(out, tensor);
    } else {
        buffer_text(out, "[");
        append_numbers(out, tensor, 0, count);
        buffer_text(out, "]");
    }
    buffer_text(out, "}");
}
