#include "evaluate/task.h"
#include "cli/progress.h"
#include "memory/block_cache.h"
#include "number/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char binary[] = "application/vnd.safetensors";

/* ---- Request ---- */

void task_begin(struct task *task, const struct loss_descriptor *loss, int threads)
{
    task->loss = loss;
    task->label = NULL;
    evaluation_init(&task->evaluation, loss, "", 0);
    task->evaluation.threads = threads;
    fields_begin(&task->fields, &task->evaluation, &task->error);
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        task->input[k] = (struct input){.present = false};
    task->query = task->json = (struct buffer){.data = NULL};
}

void task_free(struct task *task)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        input_free(&task->input[k]);
    buffer_free(&task->query);
    buffer_free(&task->json);
    evaluation_free(&task->evaluation);
}

void task_set_tensor(struct task *task, int k, const struct loss_tensor *tensor)
{
    task->input[k] = (struct input){.present = true, .source.tensor = *tensor};
}

bool task_is_number(const char *text)
{
    const char *const end = number_skip(text);
    return end && *end == '\0';
}

/* Appends "&name=value", percent-encoded. */
static void append_field(struct buffer *query, const char *name, const char *value)
{
    char *const escaped = curl_easy_escape(NULL, value, 0);
    if (escaped)
        buffer_printf(query, "&%s=%s", name, escaped);
    query->failed |= !escaped;
    curl_free(escaped);
}

/* Returns the type of a parameter, or of another field: operands are numbers here, and all others
   have one of several values. */
static enum loss_param_type field_type(const struct loss_descriptor *loss, const char *name)
{
    const int param = loss_param_find(loss, name);
    if (param >= 0)
        return loss->params[param].type;
    return evaluation_tensor_find(loss, name) >= 0 ? LOSS_NUMBER : LOSS_CHOICE;
}

/* Appends ,"name":value as JSON of the field's type. The value has been validated. */
static void append_member(struct buffer *json, const struct loss_descriptor *loss, const char *name,
                          const char *value)
{
    const enum loss_param_type type = field_type(loss, name);
    buffer_printf(json, ",\"%s\":", name);
    if (type == LOSS_CHOICE)
        json_append_string(json, value);
    else if (type == LOSS_BOOLEAN)
        buffer_text(json, *value == 't' || *value == 'T' ? "true" : "false");
    else if (strcmp(value, "None") == 0)
        buffer_text(json, "null");
    else if (strpbrk(value, "nN") &&
             strcmp(value, "null") !=
                 0) /* among numbers, only inf, Infinity and nan contain an n */
        buffer_printf(json, "\"%s%s\"", *value == '-' ? "-" : "",
                      strpbrk(value, "iI") ? "Infinity" : "NaN");
    else
        buffer_text(json, value);
}

enum exit_code task_set(struct task *task, const char *name, const char *value)
{
    if (fields_read_plain(&task->fields, name, value, 0) != LOSS_OK)
        return fail(EXIT_USAGE, "%s%s%s", task->label ? task->label : "", task->label ? ": " : "",
                    task->error.message);
    append_field(&task->query, name, value);
    append_member(&task->json, task->loss, name, value);
    return task->query.failed || task->json.failed ? fail_memory() : EXIT_OK;
}

enum exit_code task_set_spec(struct task *task, const char *spec)
{
    const char *at = strchr(spec, ':');
    while (at && *at) {
        char name[64], value[256];
        at++;
        const size_t len = strcspn(at, ","), name_len = strcspn(at, "=,");
        if (name_len == len || name_len >= sizeof name || len - name_len > sizeof value)
            return fail(EXIT_USAGE,
                        "'%s' is not a loss with parameters; write %s:name=value,name=value", spec,
                        task->loss->name);
        snprintf(name, sizeof name, "%.*s", (int)name_len, at);
        snprintf(value, sizeof value, "%.*s", (int)(len - name_len - 1), at + name_len + 1);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : *c;
        const enum exit_code code = task_set(task, name, value);
        if (code != EXIT_OK)
            return code;
        at += len;
    }
    return EXIT_OK;
}

/* Returns operand k of the plan, or NULL if it is not given or is a number in the request. */
static struct loss_tensor *operand(struct task *task, int k)
{
    return task->input[k].present ? evaluation_operand(&task->evaluation, k) : NULL;
}

enum exit_code task_prepare(struct task *task)
{
    struct evaluation *const e = &task->evaluation;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        if (!task->input[k].present)
            continue;
        e->tensor[k] = task->input[k].source;
        if (task->input[k].file)
            e->len += task->input[k].file->len; /* limits broadcasting, as the body on a server */
        *evaluation_place(e, k) = &e->tensor[k].tensor;
    }
    if (evaluation_plan(e, &task->error) != LOSS_OK)
        return fail_error(task->label, &task->error);
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        struct loss_tensor *const tensor = operand(task, k);
        if (!tensor || task->input[k].source.tensor.data)
            continue;
        const enum exit_code code = input_decode(&task->input[k], tensor->dtype,
                                                 evaluation_tensor_name(task->loss, k), e->threads);
        if (code != EXIT_OK)
            return code;
        e->tensor[k].tensor.data = tensor->data = task->input[k].source.tensor.data;
    }
    /* Converts big-endian data, and allocates the outputs. */
    return evaluation_decode(e, &task->error) == LOSS_OK ? EXIT_OK
                                                         : fail_error(task->label, &task->error);
}

/* ---- Local evaluation ---- */

static enum exit_code run_local(struct task *task, struct outcome *outcome)
{
    struct evaluation *const e = &task->evaluation;
    const struct loss_plan *const plan = &e->plan;
    progress_begin("computing %s", task->loss->name);
    const double started = evaluation_clock();
    const enum loss_status status = evaluation_run(e, &task->error);
    const double ms = evaluation_clock() - started;
    progress_end();
    if (status != LOSS_OK)
        return fail_error(task->label, &task->error);
    outcome->loss = e->result.loss;
    outcome->count = e->result.count;
    outcome->nonfinite = e->result.nonfinite;
    outcome->terms = plan->output;
    if (plan->reduction != LOSS_NONE)
        outcome->terms.data = &outcome->loss;
    memcpy(outcome->grad, plan->grad, sizeof plan->grad);
    memcpy(outcome->hess, plan->hess, sizeof plan->hess);
    for (int i = 0; i < LOSS_MAX_WARNINGS && plan->warning[i]; i++)
        snprintf(outcome->warnings + strlen(outcome->warnings),
                 sizeof outcome->warnings - strlen(outcome->warnings), "%s%s", i ? "\n" : "",
                 plan->warning[i]);
    outcome->ms = ms;
    return EXIT_OK;
}

/* ---- Evaluation by a server ---- */

/* Copies a strided tensor in row-major order: the axes from `axis` on, starting at `from`. Returns
   the end of the copy. */
static char *gather(const struct loss_tensor *tensor, int axis, const char *from, char *to)
{
    const size_t size = loss_dtype_size(tensor->dtype);
    if (axis == tensor->rank) {
        memcpy(to, from, size);
        return to + size;
    }
    for (size_t i = 0; i < tensor->shape[axis]; i++)
        to = gather(tensor, axis + 1, from + (ptrdiff_t)i * tensor->stride[axis] * (ptrdiff_t)size,
                    to);
    return to;
}

bool task_operand(struct task *task, int k, struct loss_tensor *tensor, struct task_copies *copies)
{
    if (!operand(task, k))
        return false;
    *tensor = *operand(task, k);
    if (!tensor->strided)
        return true;
    copies->size[k] = loss_tensor_bytes(tensor) + 1; /* never 0 bytes */
    copies->copy[k] = block_cache_resize(NULL, 0, copies->size[k]);
    copies->failed |= !copies->copy[k];
    if (copies->failed)
        return false;
    if (loss_tensor_elements(tensor) > 0)
        gather(tensor, 0, tensor->data, copies->copy[k]);
    tensor->data = copies->copy[k];
    tensor->strided = false;
    return true;
}

/* Sorts the widest dtype first, so that all tensors are aligned. */
static int by_width(const void *a, const void *b)
{
    const struct archive_entry *const x = a, *const y = b;
    const size_t one = loss_dtype_size(x->tensor->dtype), other = loss_dtype_size(y->tensor->dtype);
    return (one < other) - (one > other);
}

static void append_names(struct buffer *query, const struct loss_descriptor *loss,
                         const char *field, uint32_t mask)
{
    for (int k = 0, n = 0; k < LOSS_MAX_TENSORS; k++)
        if (mask >> k & 1)
            buffer_printf(query, "%s%s", n++ ? "," : field, loss->tensors[k].name);
}

static void append_path(struct buffer *path, const struct task *task)
{
    buffer_printf(path, "/v1/losses/%s", task->loss->name);
    const size_t query = path->len;
    append_names(path, task->loss, "&grad=", task->evaluation.request.grad);
    append_names(path, task->loss, "&hess=", task->evaluation.request.hess);
    if (task->query.len > 0)
        buffer_append(path, task->query.data, task->query.len);
    if (path->len > query)
        path->data[query] = '?';
    buffer_append(path, "", 1);
}

enum exit_code task_build_request(struct task *task, struct buffer *path, struct buffer *head,
                                  struct segment *segment, int *segments,
                                  struct task_copies *copies)
{
    struct loss_tensor tensor[EVALUATION_TENSORS];
    struct archive_entry entry[EVALUATION_TENSORS];
    int count = 0;
    *copies = (struct task_copies){.copy = {NULL}};
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        if (!task_operand(task, k, &tensor[k], copies))
            continue;
        entry[count].tensor = &tensor[k];
        snprintf(entry[count++].name, sizeof entry->name, "%s",
                 evaluation_tensor_name(task->loss, k));
    }
    qsort(entry, (size_t)count, sizeof *entry, by_width);
    archive_header(head, entry, count);
    append_path(path, task);
    if (path->failed || head->failed || copies->failed)
        return fail_memory();
    segment[0] = (struct segment){head->data, head->len};
    for (int i = 0; i < count; i++)
        segment[i + 1] =
            (struct segment){entry[i].tensor->data, loss_tensor_bytes(entry[i].tensor)};
    *segments = count + 1;
    return EXIT_OK;
}

void task_free_copies(struct task_copies *copies)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        block_cache_free(copies->copy[k], copies->size[k]);
}

/* Finds an output in the response and checks it against the plan. */
static enum exit_code take_output(struct outcome *outcome, const char *prefix, const char *name,
                                  const struct loss_tensor *planned, struct loss_tensor *tensor)
{
    char full[64], found[LOSS_SHAPE_TEXT], expected[LOSS_SHAPE_TEXT];
    struct loss_error error;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (archive_find(&outcome->archive, full, tensor, &error) != LOSS_OK)
        return fail(EXIT_REFUSED, "invalid response: %s", error.message);
    bool same = tensor->dtype == planned->dtype && tensor->rank == planned->rank;
    for (int axis = 0; same && axis < planned->rank; axis++)
        same = tensor->shape[axis] == planned->shape[axis];
    return same
               ? EXIT_OK
               : fail(EXIT_REFUSED, "invalid response: %s has shape %s and dtype %s, not %s and %s",
                      full, loss_shape_text(tensor, found), loss_dtype_name(tensor->dtype),
                      loss_shape_text(planned, expected), loss_dtype_name(planned->dtype));
}

static size_t number_in(const struct archive *archive, const char *name)
{
    const char *const text = archive_metadata(archive, name);
    return text ? (size_t)strtoull(text, NULL, 10) : 0;
}

static enum exit_code read_response(struct task *task, struct outcome *outcome)
{
    struct loss_error error;
    const struct loss_plan *const plan = &task->evaluation.plan;
    const struct http_response *const response = &outcome->response;
    if (archive_open(&outcome->archive, response->body.data, response->body.len, &error) != LOSS_OK)
        return fail(EXIT_REFUSED, "invalid response: %s", error.message);
    enum exit_code code = take_output(outcome, "loss", "", &plan->output, &outcome->terms);
    for (int k = 0; k < LOSS_MAX_TENSORS && code == EXIT_OK; k++) {
        if (plan->grad_mask >> k & 1)
            code = take_output(outcome, "grad_", task->loss->tensors[k].name, &plan->grad[k],
                               &outcome->grad[k]);
        if (code == EXIT_OK && (plan->hess_mask >> k & 1))
            code = take_output(outcome, "hess_", task->loss->tensors[k].name, &plan->hess[k],
                               &outcome->hess[k]);
    }
    if (code != EXIT_OK)
        return code;
    if (plan->reduction != LOSS_NONE)
        memcpy(&outcome->loss, outcome->terms.data, sizeof outcome->loss);
    outcome->count = number_in(&outcome->archive, "count");
    outcome->nonfinite = number_in(&outcome->archive, "nonfinite");
    const char *const warnings = archive_metadata(&outcome->archive, "warnings");
    snprintf(outcome->warnings, sizeof outcome->warnings, "%s", warnings ? warnings : "");
    outcome->ms = response->ms;
    return EXIT_OK;
}

static enum exit_code run_remote(struct task *task, struct connection *connection,
                                 struct outcome *outcome)
{
    struct buffer path = {0}, head = {0};
    struct segment segment[TASK_SEGMENTS];
    struct task_copies copies;
    int segments = 0;
    enum exit_code code = task_build_request(task, &path, &head, segment, &segments, &copies);
    if (code == EXIT_OK)
        code = connection_perform(connection,
                                  &(struct http_request){.path = path.data,
                                                         .content_type = binary,
                                                         .accept = binary,
                                                         .segment = segment,
                                                         .segments = segments},
                                  &outcome->response);
    task_free_copies(&copies);
    buffer_free(&path);
    buffer_free(&head);
    if (code != EXIT_OK)
        return code;
    return outcome->response.status == 200 ? read_response(task, outcome)
                                           : http_response_fail(connection, &outcome->response);
}

enum exit_code task_run(struct task *task, struct connection *connection, struct outcome *outcome)
{
    *outcome = (struct outcome){.loss = 0};
    return connection ? run_remote(task, connection, outcome) : run_local(task, outcome);
}
