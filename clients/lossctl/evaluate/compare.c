/* lossctl compare: evaluates several losses over one batch, with one request (POST /v1/evaluate) or
   in this process. */
#include "evaluate/payload.h"
#include "files/output.h"
#include "json/tensor_json.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LOSSES = 32 }; /* of one request */

struct comparison {
    const struct arguments *arguments;
    int count;
    struct task *task[MAX_LOSSES]; /* owned */
    struct outcome outcome[MAX_LOSSES];
    struct input_files files;
};

/* ---- Request ---- */

/* Returns true if the specification of the loss sets the field. */
static bool has_own(const struct task *task, const char *name)
{
    return task->fields.seen >> fields_find(task->loss, name) & 1;
}

/* Sets the fields and tensors of the command line and of --batch that the loss has, except those
   that its own specification sets. */
static enum exit_code set_common(struct comparison *c, struct task *task)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < c->arguments->fields && code == EXIT_OK; i++) {
        const struct loss_argument *const given = &c->arguments->field[i];
        const int field = fields_find(task->loss, given->option.name);
        if (field < 0 || has_own(task, given->option.name))
            continue;
        if (field >= EVALUATION_TENSORS ||
            (field == EVALUATION_GRAD_OUTPUT && task_is_number(given->value)))
            code = task_set(task, given->option.name, given->value);
        else
            code = input_open(&task->input[field], &c->files, given->value, given->option.name);
    }
    for (int k = 0; c->arguments->value[OPT_BATCH] && k < EVALUATION_TENSORS && code == EXIT_OK;
         k++)
        if (evaluation_tensor_name(task->loss, k) && !task->input[k].present)
            code = input_open_batch(&task->input[k], &c->files, c->arguments->value[OPT_BATCH],
                                    evaluation_tensor_name(task->loss, k));
    return code;
}

static enum exit_code add(struct comparison *c, int i, int threads)
{
    struct task *const task = c->task[i] = malloc(sizeof *task);
    if (!task)
        return fail_memory();
    c->count = i + 1;
    task_begin(task, c->arguments->loss[i], threads);
    task->label = c->arguments->argument[i];
    enum exit_code code = task_set_spec(task, c->arguments->argument[i]);
    if (code == EXIT_OK)
        code = set_common(c, task);
    if (code == EXIT_OK && task->evaluation.request.reduction == LOSS_NONE)
        code = fail(EXIT_USAGE, "compare needs one value per loss; reduction none gives several");
    return code == EXIT_OK ? task_prepare(task) : code;
}

/* ---- Evaluation by a server ---- */

static void put_tensor(struct buffer *out, const char *name, const struct loss_tensor *tensor)
{
    buffer_text(out, ",");
    payload_put_base64(out, name, tensor);
}

/* A tensor that is sent once, outside `losses`. */
struct shared {
    const char *name;
    enum loss_dtype dtype;
};
enum { SHARED = 64 };

/* Appends each tensor of a task to `outside`, unless that already contains one of the same name. If
   the loss needs the tensor in another dtype, appends it to `entry`, the fields of that loss. */
static enum exit_code put_tensors(struct task *task, struct shared shared[SHARED], int *count,
                                  struct buffer *outside, struct buffer *entry)
{
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        struct loss_tensor tensor;
        struct task_copies copies = {.copy = {NULL}};
        const char *const name = evaluation_tensor_name(task->loss, k);
        int same = 0;
        if (!task_operand(task, k, &tensor, &copies)) {
            if (copies.failed)
                return fail_memory();
            continue;
        }
        while (same < *count && strcmp(shared[same].name, name) != 0)
            same++;
        if (same == *count && same < SHARED) {
            shared[(*count)++] = (struct shared){name, tensor.dtype};
            put_tensor(outside, name, &tensor);
        } else if (same == SHARED || shared[same].dtype != tensor.dtype) {
            put_tensor(entry, name, &tensor);
        }
        task_free_copies(&copies);
    }
    return EXIT_OK;
}

/* Appends the request: {"losses": [{"loss": "huber", "delta": 0.5}, ...], "input": ...}. */
static enum exit_code put_request(struct comparison *c, struct buffer *body)
{
    struct shared shared[SHARED];
    struct buffer outside = {0};
    int count = 0;
    enum exit_code code = EXIT_OK;
    buffer_text(body, "{\"losses\":[");
    for (int i = 0; i < c->count && code == EXIT_OK; i++) {
        buffer_printf(body, "%s{\"loss\":\"%s\"", i ? "," : "", c->task[i]->loss->name);
        if (c->task[i]->json.len > 0)
            buffer_append(body, c->task[i]->json.data, c->task[i]->json.len);
        code = put_tensors(c->task[i], shared, &count, &outside, body);
        buffer_text(body, "}");
    }
    buffer_text(body, "]");
    if (!outside.failed && outside.len > 0)
        buffer_append(body, outside.data, outside.len);
    buffer_text(body, "}");
    body->failed |= outside.failed;
    buffer_free(&outside);
    return code == EXIT_OK && body->failed ? fail_memory() : code;
}

/* Reads a loss: a number, or a string such as "NaN" if it is not finite. */
static double loss_in(const json_t *result)
{
    const json_t *const loss = json_object_get(result, "loss");
    const char *const word = json_string_value(loss);
    if (!word)
        return json_number_value(loss);
    if (strcmp(word, "NaN") == 0)
        return NAN;
    return *word == '-' ? -INFINITY : INFINITY;
}

static enum exit_code read_response(struct comparison *c, const struct http_response *response)
{
    json_t *const tree =
        json_loadb(response->body.data, response->body.len, JSON_DECODE_INT_AS_REAL, NULL);
    const json_t *const results = json_object_get(tree, "results");
    const size_t found = json_array_size(results);
    const bool valid = found == (size_t)c->count;
    for (int i = 0; i < c->count && valid; i++) {
        const json_t *const result = json_array_get(results, (size_t)i);
        struct outcome *const outcome = &c->outcome[i];
        size_t k;
        json_t *warning;
        outcome->loss = loss_in(result);
        outcome->terms = (struct loss_tensor){.dtype = LOSS_FLOAT64, .data = &outcome->loss};
        outcome->count = (size_t)json_number_value(json_object_get(result, "count"));
        outcome->nonfinite = (size_t)json_number_value(json_object_get(result, "nonfinite"));
        json_array_foreach(json_object_get(result, "warnings"), k, warning)
        {
            const size_t len = strlen(outcome->warnings);
            snprintf(outcome->warnings + len, sizeof outcome->warnings - len, "%s%s",
                     len ? "\n" : "", json_string_value(warning) ? json_string_value(warning) : "");
        }
    }
    json_decref(tree);
    return valid ? EXIT_OK
                 : fail(EXIT_REFUSED, "invalid response: found %zu results, expected %d", found,
                        c->count);
}

static enum exit_code run_remote(struct comparison *c)
{
    struct connection connection;
    struct http_response response = {.status = 0};
    struct buffer body = {0};
    enum exit_code code = connection_open(&connection, c->arguments);
    if (code == EXIT_OK)
        code = put_request(c, &body);
    if (code == EXIT_OK)
        code = connection_perform(
            &connection,
            &(struct http_request){.path = "/v1/evaluate",
                                   .content_type = "application/json",
                                   .segment = &(struct segment){body.data, body.len},
                                   .segments = 1},
            &response);
    if (code == EXIT_OK)
        code = response.status == 200 ? read_response(c, &response)
                                      : http_response_fail(&connection, &response);
    http_response_free(&response);
    buffer_free(&body);
    connection_close(&connection);
    return code;
}

/* ---- Local evaluation ---- */

static enum exit_code run_local(struct comparison *c)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < c->count && code == EXIT_OK; i++)
        code = task_run(c->task[i], NULL, &c->outcome[i]);
    return code;
}

/* ---- Output ---- */

static void put_table(const struct comparison *c, struct buffer *text)
{
    int widest = 4;
    for (int i = 0; i < c->count; i++)
        if ((int)strlen(c->arguments->argument[i]) > widest)
            widest = (int)strlen(c->arguments->argument[i]);
    if (!c->arguments->value[OPT_QUIET])
        buffer_printf(text, "%-*s  %-24s  %-10s  %-8s  %s\n", widest, "loss", "value", "reduction",
                      "dtype", "count");
    for (int i = 0; i < c->count; i++) {
        const struct loss_plan *const plan = &c->task[i]->evaluation.plan;
        struct buffer number = {0};
        json_append_number(&number, c->outcome[i].loss);
        buffer_append(&number, "", 1);
        buffer_printf(text, "%-*s  %-24s  %-10s  %-8s  %zu\n", widest, c->arguments->argument[i],
                      number.failed ? "" : number.data, loss_reduction_name(plan->reduction),
                      loss_dtype_name(plan->dtype), c->outcome[i].count);
        text->failed |= number.failed;
        buffer_free(&number);
        if (!c->arguments->value[OPT_QUIET])
            outcome_put_warnings(&c->outcome[i], "  ", text);
    }
}

static void put_json(const struct comparison *c, struct buffer *text)
{
    buffer_text(text, "{\"results\":[");
    for (int i = 0; i < c->count; i++) {
        buffer_text(text, i ? ",{\"name\":" : "{\"name\":");
        json_append_string(text, c->arguments->argument[i]);
        buffer_text(text, ",");
        outcome_put_json(&c->outcome[i], &c->task[i]->evaluation.plan, text);
        buffer_text(text, "}");
    }
    buffer_text(text, "]}\n");
}

enum exit_code command_compare(const struct arguments *a)
{
    int threads;
    enum exit_code code = arguments_threads(a, &threads);
    struct comparison *const c = calloc(1, sizeof *c);
    struct buffer text = {0};
    if (!c)
        return fail_memory();
    c->arguments = a;
    if (code == EXIT_OK)
        code = arguments_header(a, &c->files.header);
    for (int i = 0; i < a->count && code == EXIT_OK; i++)
        code = add(c, i, threads);
    if (code == EXIT_OK)
        code = a->value[OPT_LOCAL] ? run_local(c) : run_remote(c);
    if (code == EXIT_OK) {
        if (a->value[OPT_JSON])
            put_json(c, &text);
        else
            put_table(c, &text);
        code = output_print(&text, false, false);
    }
    for (int i = 0; i < c->count; i++) {
        outcome_free(&c->outcome[i]);
        task_free(c->task[i]);
        free(c->task[i]);
    }
    input_files_free(&c->files);
    free(c);
    return code;
}
