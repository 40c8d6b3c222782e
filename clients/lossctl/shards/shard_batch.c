#include "shards/shard_batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_BYTES = 32 << 20 }; /* of the tensor with the longest rows, by default */

void shard_batch_init(struct shard_batch *batch, const struct loss_request *request)
{
    *batch = (struct shard_batch){.request = *request};
    batch->request.partial = true;
}

void shard_batch_free(struct shard_batch *batch)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        if (!(batch->given >> k & 1))
            continue;
        shard_window_close(&batch->window[k]);
        shard_list_free(&batch->list[k]);
    }
    batch->given = 0;
}

enum exit_code shard_batch_add(struct shard_batch *batch, int k, const char *text)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    batch->given |= UINT32_C(1) << k;
    return shard_list_open(&batch->list[k], loss, k, evaluation_tensor_name(loss, k), text);
}

/* ---- Planning ---- */

static bool is_split(const struct shard_batch *batch, int k)
{
    return batch->split >> k & 1;
}

/* Points a request at tensors. */
static void set_tensors(struct loss_request *request, uint32_t given,
                        const struct loss_tensor tensor[EVALUATION_TENSORS])
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        request->tensor[k] = given >> k & 1 ? &tensor[k] : NULL;
    request->sample_weight =
        given >> EVALUATION_SAMPLE_WEIGHT & 1 ? &tensor[EVALUATION_SAMPLE_WEIGHT] : NULL;
}

/* Reports the first pair of shards with different numbers of rows or, if the tensors have different
   numbers of shards, their total numbers of rows. */
static enum exit_code rows_differ(const struct shard_list *a, const struct shard_list *b)
{
    for (size_t i = 0; a->spec.count == b->spec.count && i < a->spec.count; i++)
        if (a->shard[i].rows != b->shard[i].rows)
            return fail(EXIT_INPUT,
                        "%s has %" PRIu64 " rows and %s has %" PRIu64 "; %s and %s must have "
                        "the same number of rows in total",
                        a->shard[i].path, a->shard[i].rows, b->shard[i].path, b->shard[i].rows,
                        a->name, b->name);
    return fail(EXIT_INPUT,
                "%s has %" PRIu64 " rows in %zu files and %s has %" PRIu64 " rows in %zu files; "
                "they must have the same number of rows",
                a->name, a->rows, a->spec.count, b->name, b->rows, b->spec.count);
}

/* Reports tensors in several files that have different numbers of rows, which explains a failed
   plan better than its own error. Returns EXIT_OK if there are none. */
static enum exit_code compare_rows(const struct shard_batch *batch)
{
    const struct shard_list *first = NULL;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const struct shard_list *const list = &batch->list[k];
        if (!(batch->given >> k & 1) || list->spec.count < 2 || list->axis < 0)
            continue;
        if (first && first->rows != list->rows)
            return rows_differ(first, list);
        if (!first)
            first = list;
    }
    return EXIT_OK;
}

/* Returns true if the error is about what was requested, not about the files. */
static bool is_usage(const struct loss_error *error)
{
    static const char *const paths[] = {"/partial", "/grad", "/hess", "/reduction", "/dtype"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(error->path, paths[i]) == 0)
            return true;
    return false;
}

static enum exit_code plan_whole(struct shard_batch *batch)
{
    struct loss_tensor whole[EVALUATION_TENSORS];
    struct loss_error error;
    struct loss_request request = batch->request;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (batch->given >> k & 1)
            whole[k] = shard_list_whole(&batch->list[k]);
    set_tensors(&request, batch->given, whole);
    if (loss_plan(&batch->plan, &request, &error) == LOSS_OK)
        return EXIT_OK;
    const enum exit_code code = compare_rows(batch);
    if (code != EXIT_OK)
        return code;
    return is_usage(&error) ? fail(EXIT_USAGE, "%s", error.message) : fail_error(NULL, &error);
}

/* Finds the tensors that have rows: sets `split`, `uncut` and `rows`. */
static enum exit_code find_split(struct shard_batch *batch)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const struct shard_list *const list = &batch->list[k];
        if (!(batch->given >> k & 1))
            continue;
        const int axis = k < LOSS_MAX_TENSORS ? batch->plan.sample_axis[k] : 0;
        if (axis == LOSS_SHARED && list->spec.count > 1)
            return fail(EXIT_USAGE,
                        "%s is shared by all rows, so it must be one file; '%s' names %zu",
                        list->name, list->text, list->spec.count);
        if (axis == LOSS_SHARED)
            continue;
        batch->split |= UINT32_C(1) << k;
        if (axis != 0)
            batch->uncut |= UINT32_C(1) << k;
        if (axis >= 0)
            batch->rows = list->rows;
    }
    return EXIT_OK;
}

/* Numbers the rows of tensors that have none of their own: each of their shards belongs to the
   shard of the first tensor at the same place. */
static enum exit_code number_own(struct shard_batch *batch)
{
    const struct shard_list *const first = &batch->list[0];
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        struct shard_list *const list = &batch->list[k];
        if (!is_split(batch, k) || list->axis != LOSS_OWN)
            continue;
        if (list->spec.count != first->spec.count)
            return fail(EXIT_INPUT,
                        "%s has %zu files and %s has %zu; each file of %s needs its own file of %s",
                        first->name, first->spec.count, list->name, list->spec.count, first->name,
                        list->name);
        for (size_t i = 0; i < list->spec.count; i++) {
            list->shard[i].first = first->shard[i].first;
            list->shard[i].rows = first->shard[i].rows;
        }
        list->rows = first->rows;
    }
    return EXIT_OK;
}

/* Checks that no shard of another tensor begins within a shard that cannot be cut. */
static enum exit_code check_uncut(const struct shard_batch *batch)
{
    for (int k = 0; batch->uncut && k < EVALUATION_TENSORS; k++) {
        const struct shard_list *const list = &batch->list[k];
        for (size_t i = 0; is_split(batch, k) && i < list->spec.count; i++) {
            const uint64_t row = list->shard[i].first;
            if (row >= batch->rows || shard_batch_cut(batch, row, 0) == row)
                continue;
            return fail(EXIT_INPUT,
                        "%s begins at row %" PRIu64 ", within a file that cannot be cut: files of "
                        "%s must begin at rows where all others do",
                        list->shard[i].path, row, batch->request.loss->name);
        }
    }
    return EXIT_OK;
}

static enum exit_code map_shared(struct shard_batch *batch)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        if (!(batch->given >> k & 1) || is_split(batch, k))
            continue;
        const struct shard *const shard = batch->list[k].shard;
        batch->shared[k] = shard->tensor;
        const enum exit_code code =
            shard_window_open(&batch->window[k], shard->path, &shard->stamp, shard->offset,
                              loss_tensor_bytes(&shard->tensor), true);
        if (code != EXIT_OK)
            return code;
        batch->shared[k].data = (void *)(uintptr_t)batch->window[k].data; /* never written to */
    }
    return EXIT_OK;
}

enum exit_code shard_batch_close_shared(struct shard_batch *batch)
{
    enum exit_code code = EXIT_OK;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const char *const changed = shard_window_close(&batch->window[k]);
        if (changed && code == EXIT_OK)
            code = shard_window_fail_changed(changed);
    }
    return code;
}

static void choose_step_rows(struct shard_batch *batch, uint64_t step_rows)
{
    size_t longest = 1;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (is_split(batch, k) && shard_row_bytes(&batch->list[k].shard->tensor) > longest)
            longest = shard_row_bytes(&batch->list[k].shard->tensor);
    batch->step_rows = longest < STEP_BYTES ? STEP_BYTES / longest : 1;
    if (step_rows > 0)
        batch->step_rows = step_rows;
    if (batch->uncut)
        batch->step_rows = UINT64_MAX;
}

enum exit_code shard_batch_plan(struct shard_batch *batch, uint64_t step_rows)
{
    enum exit_code code = plan_whole(batch);
    if (code == EXIT_OK)
        code = find_split(batch);
    if (code == EXIT_OK)
        code = number_own(batch);
    if (code == EXIT_OK)
        code = check_uncut(batch);
    if (code != EXIT_OK)
        return code;
    choose_step_rows(batch, step_rows);
    batch->request.dtype = batch->plan.dtype;
    return map_shared(batch);
}

void shard_batch_describe(const struct shard_batch *batch, struct partial *partial)
{
    char hash[LOSS_MAX_TENSORS][SHA256_TEXT] = {""};
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        struct sha256 sum;
        if (!(batch->given >> k & 1) || is_split(batch, k))
            continue;
        sha256_begin(&sum);
        sha256_add(&sum, batch->shared[k].data, loss_tensor_bytes(&batch->shared[k]));
        sha256_end(&sum, hash[k]);
    }
    partial_begin(partial, &batch->plan, hash);
}

void shard_batch_describe_files(const struct shard_batch *batch, enum shard_detail detail,
                                struct buffer *out)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (batch->given >> k & 1)
            shard_list_describe(&batch->list[k], detail, out);
}

/* ---- Steps ---- */

uint64_t shard_batch_cut(const struct shard_batch *batch, uint64_t row, uint32_t whole)
{
    const uint32_t mask = (batch->uncut | whole) & batch->split;
    for (uint64_t before = row + 1; row > 0 && row < batch->rows && row != before;) {
        before = row;
        for (int k = 0; k < EVALUATION_TENSORS; k++)
            if (mask >> k & 1)
                row = batch->list[k].shard[shard_list_find(&batch->list[k], row)].first;
    }
    return row;
}

uint64_t shard_batch_step_end(const struct shard_batch *batch, struct partial_rows rows)
{
    if (rows.end - rows.first > batch->step_rows)
        rows.end = rows.first + batch->step_rows;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        if (!is_split(batch, k))
            continue;
        const struct shard *const shard =
            &batch->list[k].shard[shard_list_find(&batch->list[k], rows.first)];
        if (shard->first + shard->rows < rows.end)
            rows.end = shard->first + shard->rows;
    }
    return rows.end;
}

/* Maps the rows of a step of tensor k. */
static enum exit_code open_rows(struct shard_step *step, const struct shard_batch *batch, int k,
                                bool ahead)
{
    const struct shard_list *const list = &batch->list[k];
    const struct shard *const shard = &list->shard[shard_list_find(list, step->rows.first)];
    struct loss_tensor *const tensor = &step->tensor[k];
    uint64_t offset = shard->offset;
    *tensor = shard->tensor;
    if (list->axis == 0)
        offset += (step->rows.first - shard->first) * shard_row_bytes(tensor);
    if (list->axis >= 0)
        tensor->shape[list->axis] = (size_t)(step->rows.end - step->rows.first);
    const enum exit_code code = shard_window_open(&step->window[k], shard->path, &shard->stamp,
                                                  offset, loss_tensor_bytes(tensor), ahead);
    tensor->data = (void *)(uintptr_t)step->window[k].data; /* never written to */
    return code;
}

enum exit_code shard_step_open(struct shard_step *step, const struct shard_batch *batch,
                               struct partial_rows rows, bool ahead)
{
    enum exit_code code = EXIT_OK;
    *step = (struct shard_step){.rows = rows};
    for (int k = 0; k < EVALUATION_TENSORS && code == EXIT_OK; k++) {
        step->tensor[k] = batch->shared[k];
        if (is_split(batch, k))
            code = open_rows(step, batch, k, ahead);
    }
    if (code != EXIT_OK)
        shard_step_close(step);
    return code;
}

const char *shard_step_close(struct shard_step *step)
{
    const char *changed = NULL;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const char *const path = shard_window_close(&step->window[k]);
        if (path)
            changed = path;
    }
    return changed;
}

struct loss_request shard_step_request(const struct shard_step *step,
                                       const struct shard_batch *batch)
{
    struct loss_request request = batch->request;
    set_tensors(&request, batch->given, step->tensor);
    return request;
}

/* ---- Errors ---- */

enum exit_code shard_step_fail(const struct shard_step *step, const struct shard_batch *batch,
                               const struct loss_error *error)
{
    const bool at_element = error->element >= 0 && is_split(batch, error->tensor);
    const struct shard_list *const list = &batch->list[at_element ? error->tensor : 0];
    const struct shard *const shard = &list->shard[shard_list_find(list, step->rows.first)];
    const uint64_t first = step->rows.first - shard->first;
    const char *const bracket = strchr(error->message, '[');
    char *rest;
    if (error->status != LOSS_INVALID)
        return fail_error(shard->path, error);
    if (error->element >= 0 && !at_element)
        return fail_error(batch->list[error->tensor].shard->path, error);
    if (!at_element || list->axis != 0 || !bracket)
        return fail(EXIT_INPUT, "%s, rows %" PRIu64 " to %" PRIu64 ": %s", shard->path, first,
                    first + (step->rows.end - step->rows.first) - 1, error->message);
    /* The message begins with the element: target[17]. Its row becomes that in the file. */
    const uint64_t row = strtoull(bracket + 1, &rest, 10);
    return fail(EXIT_INPUT, "%s: %.*s[%" PRIu64 "%s", shard->path, (int)(bracket - error->message),
                error->message, first + row, rest);
}
