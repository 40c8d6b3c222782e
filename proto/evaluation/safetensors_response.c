/*
 * The plan determines the length of the file, so the outputs are computed in place. The header
 * contains counts that are known only after the evaluation, so its maximum length is reserved, and
 * the rest is padded with spaces.
 */
#include "evaluation/safetensors_response.h"
#include "evaluation/metadata.h"
#include "formats/dtype_names.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    LENGTH = 8,     /* bytes of the header's length */
    ALIGNMENT = 64, /* of the first tensor in the file */
};

/* ---- Header ---- */

/* Appends the member of a tensor whose bytes start at *at, and adds their number to *at. */
static void append_tensor(struct buffer *header, const char *prefix, const char *name,
                          const struct loss_tensor *tensor, size_t *at)
{
    const size_t bytes = loss_tensor_bytes(tensor);
    buffer_printf(header, "%c\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", header->len == 0 ? '{' : ',',
                  prefix, name, dtype_name(DTYPE_SAFETENSORS, tensor->dtype));
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(header, axis ? ",%zu" : "%zu", tensor->shape[axis]);
    buffer_printf(header, "],\"data_offsets\":[%zu,%zu]}", *at, *at + bytes);
    *at += bytes;
}

static void append_derivatives(struct buffer *header, const struct evaluation *e,
                               const char *prefix, uint32_t mask,
                               const struct loss_tensor derivative[], size_t *at)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (mask >> k & 1)
            append_tensor(header, prefix, e->plan.loss->tensors[k].name, &derivative[k], at);
}

static void append_metadata(struct buffer *header, const struct evaluation *e,
                            const struct loss_result *result)
{
    const struct loss_plan *const plan = &e->plan;
    buffer_printf(
        header, ",\"__metadata__\":{\"count\":\"%zu\",\"reduction\":\"%s\",\"dtype\":\"%s\"",
        result->count, loss_reduction_name(plan->reduction), loss_dtype_name(plan->dtype));
    if (result->nonfinite > 0)
        buffer_printf(header, ",\"nonfinite\":\"%zu\"", result->nonfinite);
    metadata_append_warnings(header, plan);
    metadata_append_partial(header, e, result);
    buffer_text(header, "}}");
}

/* Appends the header for a result, without padding; *size is set to the bytes of all tensors. */
static void append_header(struct buffer *header, const struct evaluation *e,
                          const struct loss_result *result, size_t *size)
{
    *size = 0;
    append_tensor(header, "", "loss", &e->plan.output,
                  size); /* first, because its dtype is the widest; all tensors are then aligned */
    append_derivatives(header, e, "grad_", e->plan.grad_mask, e->plan.grad, size);
    append_derivatives(header, e, "hess_", e->plan.hess_mask, e->plan.hess, size);
    append_metadata(header, e, result);
}

/* ---- File ---- */

static void set_place(struct loss_tensor *tensor, char **next)
{
    tensor->data = *next;
    *next += loss_tensor_bytes(tensor);
}

void safetensors_response_prepare(struct evaluation *e, struct buffer *out)
{
    const struct loss_result longest = {.count = SIZE_MAX, .nonfinite = SIZE_MAX};
    struct buffer header = {0};
    size_t data;
    append_header(&header, e, &longest, &data);
    const size_t before = (LENGTH + header.len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t size;
    out->failed = header.failed || __builtin_add_overflow(before, data, &size);
    char *const file = out->failed ? NULL : buffer_take(out, size);
    buffer_free(&header);
    if (!file)
        return;
    out->len = size;
    const uint64_t len = before - LENGTH;
    memcpy(file, &len, sizeof len); /* little-endian, as is this machine */
    char *next = file + before;
    set_place(&e->plan.output, &next);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (e->plan.grad_mask >> k & 1)
            set_place(&e->plan.grad[k], &next);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (e->plan.hess_mask >> k & 1)
            set_place(&e->plan.hess[k], &next);
}

void safetensors_response_finish(const struct evaluation *e, struct buffer *out)
{
    struct buffer header = {0};
    size_t data;
    append_header(&header, e, &e->result, &data);
    if (header.failed) {
        out->failed = true;
    } else {
        char *const text = out->data + LENGTH;
        memset(text, ' ', out->len - data - LENGTH);
        memcpy(text, header.data, header.len);
        if (e->plan.reduction != LOSS_NONE)
            memcpy(e->plan.output.data, &e->result.loss, sizeof e->result.loss);
    }
    buffer_free(&header);
}
