#include "evaluation/multi_loss.h"
#include "evaluation/json_response.h"
#include "evaluation/request_fields.h"
#include "memory/block_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void multi_loss_init(struct multi_loss *s, const char *body, size_t len)
{
    s->body = body;
    s->len = len;
    s->threads = 1;
    s->quota = NULL;
    s->attached = NULL;
    s->count = s->numbers = 0;
    s->entry = NULL;
    s->shared = NULL;
}

void multi_loss_free(struct multi_loss *s)
{
    for (size_t i = 0; i < s->count; i++) {
        evaluation_free(&s->entry[i]->evaluation);
        free(s->entry[i]);
    }
    for (size_t i = 0; i < s->numbers; i++) {
        block_cache_free(s->number[i].data, s->number[i].size);
        quota_release(s->quota, s->number[i].size);
    }
    free(s->entry);
    free(s->shared);
}

/* Returns the index of the first field in a JSON Pointer; -1 if the loss does not have it. */
static int field_of(const struct loss_descriptor *loss, const char *path)
{
    char name[64];
    if (path[0] != '/')
        return -1;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(path + 1, "/"), path + 1);
    return fields_find(loss, name);
}

enum loss_status multi_loss_name_entry(const struct multi_loss *s, size_t i,
                                       struct loss_error *error)
{
    const struct multi_loss_entry *const entry = s->entry[i];
    const struct loss_descriptor *const loss = entry->evaluation.request.loss;
    char message[sizeof error->message];
    const int field = field_of(loss, error->path);
    snprintf(message, sizeof message, "losses[%zu], %s: %.280s", i, loss->name, error->message);
    memcpy(error->message, message, sizeof message);
    if (field >= 0 && (entry->own >> field & 1))
        object_reader_below(error, "/losses/%zu", i);
    return error->status;
}

enum loss_status multi_loss_plan(struct multi_loss *s, struct loss_error *error)
{
    for (size_t i = 0; i < s->count; i++)
        if (evaluation_plan(&s->entry[i]->evaluation, error) != LOSS_OK)
            return multi_loss_name_entry(s, i, error);
    return LOSS_OK;
}

size_t multi_loss_elements(const struct multi_loss *s)
{
    size_t elements = 0;
    for (size_t i = 0; i < s->count; i++)
        if (__builtin_add_overflow(elements, s->entry[i]->evaluation.plan.elements, &elements))
            return SIZE_MAX;
    return elements;
}

size_t multi_loss_work(const struct multi_loss *s)
{
    size_t work = 0;
    for (size_t i = 0; i < s->count; i++)
        if (__builtin_add_overflow(work, s->entry[i]->evaluation.plan.work, &work))
            return SIZE_MAX;
    return work;
}

size_t multi_loss_transport_work(const struct multi_loss *s)
{
    size_t work = s->len;
    for (size_t i = 0; i < s->count; i++)
        if (__builtin_add_overflow(work, evaluation_writing_work(&s->entry[i]->evaluation, true),
                                   &work))
            return SIZE_MAX;
    return work;
}

/* ---- Decoding ---- */

static const struct multi_loss_numbers *find_numbers(const struct multi_loss *s, int shared,
                                                     enum loss_dtype dtype)
{
    for (size_t i = 0; i < s->numbers; i++)
        if (s->number[i].shared == shared && s->number[i].dtype == dtype)
            return &s->number[i];
    return NULL;
}

static bool take_numbers(struct multi_loss *s, struct multi_loss_numbers *numbers)
{
    if (!quota_reserve(s->quota, numbers->size))
        return false;
    numbers->data = block_cache_resize(NULL, 0, numbers->size);
    if (!numbers->data)
        quota_release(s->quota, numbers->size);
    return numbers->data != NULL;
}

/* Decodes an operand that entries may share. Returns NULL on failure. */
static const struct multi_loss_numbers *decode_numbers(struct multi_loss *s, size_t i, int k,
                                                       struct loss_error *error)
{
    struct evaluation *const e = &s->entry[i]->evaluation;
    struct loss_tensor tensor = *evaluation_operand(e, k);
    struct multi_loss_numbers *const numbers = &s->number[s->numbers];
    *numbers = (struct multi_loss_numbers){s->entry[i]->shares[k], tensor.dtype, NULL,
                                           loss_tensor_bytes(&tensor)};
    numbers->size += numbers->size == 0; /* so that `data` is not NULL */
    if (!take_numbers(s, numbers)) {
        quota_insufficient(error);
        return NULL;
    }
    s->numbers++;
    tensor.data = numbers->data;
    return evaluation_decode_operand(e, k, &tensor, error) == LOSS_OK ? numbers : NULL;
}

/* Sets the data of the operands that an entry shares. */
static enum loss_status share(struct multi_loss *s, size_t i, struct loss_error *error)
{
    struct multi_loss_entry *const entry = s->entry[i];
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        struct loss_tensor *const tensor = evaluation_operand(&entry->evaluation, k);
        if (!tensor || tensor->data || entry->shares[k] < 0)
            continue;
        const struct multi_loss_numbers *numbers = find_numbers(s, entry->shares[k], tensor->dtype);
        if (!numbers && !(numbers = decode_numbers(s, i, k, error)))
            return error->status;
        tensor->data = numbers->data;
    }
    return LOSS_OK;
}

enum loss_status multi_loss_decode(struct multi_loss *s, int threads, struct loss_error *error)
{
    s->threads = threads;
    for (size_t i = 0; i < s->count; i++) {
        s->entry[i]->evaluation.quota = s->quota;
        s->entry[i]->evaluation.threads = threads;
        if (share(s, i, error) != LOSS_OK ||
            evaluation_decode(&s->entry[i]->evaluation, error) != LOSS_OK)
            return multi_loss_name_entry(s, i, error);
    }
    return LOSS_OK;
}

/* ---- Running ---- */

enum loss_status multi_loss_run(struct multi_loss *s, struct loss_error *error)
{
    const struct loss_plan *plan[MULTI_LOSS_MAX];
    struct loss_result result[MULTI_LOSS_MAX];
    size_t failed;
    for (size_t i = 0; i < s->count; i++) {
        s->entry[i]->evaluation.plan.control = quota_control(s->quota);
        plan[i] = &s->entry[i]->evaluation.plan;
    }
    if (loss_run_all(plan, s->count, s->threads, result, &failed, error) != LOSS_OK) {
        evaluation_point(&s->entry[failed]->evaluation, error);
        return multi_loss_name_entry(s, failed, error);
    }
    for (size_t i = 0; i < s->count; i++)
        s->entry[i]->evaluation.result = result[i];
    return LOSS_OK;
}

void multi_loss_append_json(const struct multi_loss *s, struct buffer *out)
{
    buffer_text(out, "{\"results\":[");
    for (size_t i = 0; i < s->count; i++) {
        buffer_text(out, i > 0 ? "," : "");
        json_response_append(&s->entry[i]->evaluation, out);
    }
    buffer_text(out, "]}\n");
}
