/* Merges partial results. */
#include "evaluation/partial_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a partial result. */
struct owned_rows {
    struct partial_rows rows;
    size_t index; /* of the partial result */
};

void partial_merger_init(struct partial_merger *merger, struct quota *quota)
{
    *merger = (struct partial_merger){
        .first_name = "the first partial result", .rows.quota = quota, .total.rows.quota = quota};
}

void partial_merger_free(struct partial_merger *merger)
{
    buffer_free(&merger->rows);
    partial_free(&merger->total);
}

/* ---- Comparing ---- */

/* A partial result that is compared with the first one. */
struct comparison {
    const struct partial *first, *part;
    const char *first_name;
    struct loss_error *error;
};

/* Fails because a value differs from that of the first partial result. */
static enum loss_status differs(const struct comparison *c, const char *path, const char *name,
                                const char *value, const char *first)
{
    return loss_fail_at(c->error, LOSS_INVALID, path, "%s is %.100s, but %.100s in %.100s", name,
                        value, first, c->first_name);
}

static enum loss_status compare_names(const struct comparison *c, const char *path,
                                      const char *value, const char *first)
{
    return strcmp(value, first) == 0 ? LOSS_OK : differs(c, path, path + 1, value, first);
}

/* Compares two texts in buffers, which it frees. */
static enum loss_status compare_texts(const struct comparison *c, const char *parent,
                                      const char *name, struct buffer *value, struct buffer *first)
{
    char path[sizeof c->error->path];
    enum loss_status status = LOSS_OK;
    snprintf(path, sizeof path, "%s/%s", parent, name);
    buffer_append(value, "", 1);
    buffer_append(first, "", 1);
    if (value->failed || first->failed)
        status = quota_insufficient(c->error);
    else if (strcmp(value->data, first->data) != 0)
        status = differs(c, path, name, value->data, first->data);
    buffer_free(value);
    buffer_free(first);
    return status;
}

static enum loss_status compare_parameters(const struct comparison *c)
{
    for (int k = 0; k < loss_param_specs(c->part->loss); k++) {
        const struct loss_param_spec *const spec = &c->part->loss->params[k];
        struct buffer value = {0}, other = {0};
        partial_append_value(spec, c->part->param[k], &value);
        partial_append_value(spec, c->first->param[k], &other);
        if (compare_texts(c, "/parameters", spec->name, &value, &other) != LOSS_OK)
            return c->error->status;
    }
    return LOSS_OK;
}

static enum loss_status compare_tensors(const struct comparison *c)
{
    for (int k = 0; k < PARTIAL_TENSORS; k++) {
        const struct partial_tensor *const a = &c->first->tensor[k], *const b = &c->part->tensor[k];
        const char *const name = partial_tensor_name(c->part, k);
        char path[sizeof c->error->path];
        struct buffer value = {0}, other = {0};
        snprintf(path, sizeof path, "/tensors/%s", name ? name : "");
        if (a->present != b->present)
            return differs(c, path, name, b->present ? "present" : "absent",
                           a->present ? "present" : "absent");
        if (!a->present)
            continue;
        partial_append_tensor(b, &value);
        partial_append_tensor(a, &other);
        if (compare_texts(c, "/tensors", name, &value, &other) != LOSS_OK)
            return c->error->status;
        snprintf(path, sizeof path, "/whole/%s", name);
        if (strcmp(a->hash, b->hash) != 0)
            return loss_fail_at(c->error, LOSS_INVALID, path,
                                "all parts must share %s, or none; here it differs from that of "
                                "%.100s",
                                name, c->first_name);
    }
    return LOSS_OK;
}

/* Checks that a partial result is of the same batch as the first one. */
static enum loss_status compare(const struct comparison *c)
{
    const struct partial *const first = c->first, *const part = c->part;
    if (compare_names(c, "/loss", part->loss->name, first->loss->name) != LOSS_OK ||
        compare_names(c, "/reduction", loss_reduction_name(part->reduction),
                      loss_reduction_name(first->reduction)) != LOSS_OK ||
        compare_names(c, "/dtype", loss_dtype_name(part->dtype), loss_dtype_name(first->dtype)) !=
            LOSS_OK ||
        compare_parameters(c) != LOSS_OK || compare_tensors(c) != LOSS_OK)
        return c->error->status;
    return compare_names(c, "/weighed", part->sums.weighed ? "true" : "false",
                         first->sums.weighed ? "true" : "false");
}

/* ---- Adding ---- */

static void add_rows(struct partial_merger *merger, const struct partial *part)
{
    for (size_t i = 0; i < row_set_intervals(&part->rows); i++) {
        const struct owned_rows owned = {row_set_interval(&part->rows, i), merger->count};
        buffer_append(&merger->rows, &owned, sizeof owned);
    }
}

enum loss_status partial_merger_add(struct partial_merger *merger, const struct partial *part,
                                    struct loss_error *error)
{
    struct partial *const total = &merger->total;
    const struct comparison comparison = {total, part, merger->first_name, error};
    if (merger->count == 0) {
        struct quota *const quota = total->rows.quota;
        *total = *part;
        total->rows = (struct buffer){.quota = quota};
        total->sums = (struct loss_partial){.weighed = part->sums.weighed};
    } else if (compare(&comparison) != LOSS_OK) {
        return error->status;
    }
    if (!loss_partial_add(&total->sums, &part->sums))
        return loss_fail_at(error, LOSS_INVALID, "/sum",
                            "the merged sums or counts are out of range");
    total->warnings |= part->warnings;
    add_rows(merger, part);
    merger->count++;
    return merger->rows.failed ? quota_insufficient(error) : LOSS_OK;
}

/* ---- Rows ---- */

static int by_place(const void *a, const void *b)
{
    const struct owned_rows *const x = a, *const y = b;
    if (x->rows.first != y->rows.first)
        return x->rows.first < y->rows.first ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static enum loss_status fail_overlap(const struct owned_rows *a, const struct owned_rows *b,
                                     struct partial_overlap *overlap, struct loss_error *error)
{
    const uint64_t end = a->rows.end < b->rows.end ? a->rows.end : b->rows.end;
    *overlap = (struct partial_overlap){{b->rows.first, end},
                                        a->index < b->index ? a->index : b->index,
                                        a->index < b->index ? b->index : a->index};
    return loss_fail_at(error, LOSS_INVALID, "/rows",
                        "rows %" PRIu64 " to %" PRIu64 " are in both partial results %zu and %zu",
                        b->rows.first, end - 1, overlap->first, overlap->second);
}

enum loss_status partial_merger_finish(struct partial_merger *merger,
                                       struct partial_overlap *overlap, struct loss_error *error)
{
    struct buffer *const into = &merger->total.rows;
    const size_t count = merger->rows.len / sizeof(struct owned_rows);
    struct owned_rows *const all = (struct owned_rows *)(void *)merger->rows.data;
    *overlap = (struct partial_overlap){.first = 0};
    if (count == 0)
        return LOSS_OK;
    qsort(all, count, sizeof *all, by_place);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && all[i].rows.first < all[i - 1].rows.end)
            return fail_overlap(&all[i - 1], &all[i], overlap, error);
        row_set_append(into, all[i].rows);
    }
    if (into->failed)
        return quota_insufficient(error);
    if (row_set_intervals(into) > PARTIAL_ROWS_MAX)
        return loss_fail_at(error, LOSS_INVALID, "/rows",
                            "the merged rows are %zu intervals; at most %d are supported",
                            row_set_intervals(into), PARTIAL_ROWS_MAX);
    return LOSS_OK;
}

/* ---- Response ---- */

void partial_merger_append(const struct partial_merger *merger, struct buffer *out)
{
    const struct partial *const total = &merger->total;
    const struct loss_result result = loss_partial_result(&total->sums, total->reduction);
    buffer_text(out, "{\"loss\":");
    json_append_number(out, result.loss);
    buffer_printf(out, ",\"reduction\":\"%s\",\"dtype\":\"%s\",\"count\":%zu",
                  loss_reduction_name(total->reduction), loss_dtype_name(total->dtype),
                  result.count);
    if (result.nonfinite > 0)
        buffer_printf(out, ",\"nonfinite\":%zu", result.nonfinite);
    if (total->warnings != 0)
        partial_append_warnings(total->warnings, out);
    buffer_text(out, ",\"partial\":");
    partial_append(total, out);
    buffer_text(out, "}\n");
}
