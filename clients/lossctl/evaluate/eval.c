#include "evaluate/eval.h"
#include "cli/progress.h"
#include "evaluate/task.h"
#include "files/output.h"
#include "json/tensor_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Request ---- */

/* Opens the tensors of the loss in the batch, except those that have been opened before. Returns
   EXIT_INPUT if it contains none. */
static enum exit_code open_batch(struct task *task, struct input_files *files, const char *spec)
{
    bool any = false;
    for (int k = 0; k < EVALUATION_TENSORS; k++) {
        const char *const name = evaluation_tensor_name(task->loss, k);
        if (!name || task->input[k].present)
            continue;
        const enum exit_code code = input_open_batch(&task->input[k], files, spec, name);
        if (code != EXIT_OK)
            return code;
        any |= task->input[k].present;
    }
    return any ? EXIT_OK
               : fail(EXIT_INPUT, "%s contains none of the tensors of %s", spec, task->loss->name);
}

/* Adds the outputs of --grad-NAME and --grad (all predictions), or of --hess-NAME and --hess. */
static enum exit_code add_derivatives(const struct arguments *a, enum option_id all,
                                      enum loss_option_kind kind, uint32_t *mask,
                                      struct outputs *outputs)
{
    const char *const prefix = kind == LOSS_OPTION_GRAD ? "grad_" : "hess_";
    const uint32_t predictions = a->value[all] ? loss_predictions(a->loss[0]) : 0;
    char name[64];
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        const char *path = predictions >> k & 1 ? a->value[all] : NULL;
        for (int i = 0; i < a->fields; i++)
            if (a->field[i].option.kind == kind && a->field[i].option.tensor == k)
                path = a->field[i].value;
        if (!path)
            continue;
        *mask |= UINT32_C(1) << k;
        snprintf(name, sizeof name, "%s%s", prefix, a->loss[0]->tensors[k].name);
        if (outputs_add(outputs, name, path) != EXIT_OK)
            return EXIT_USAGE;
    }
    return EXIT_OK;
}

/* Sets up a task from the command line. */
static enum exit_code set_up(const struct arguments *a, struct task *task,
                             struct input_files *files, struct outputs *outputs)
{
    enum exit_code code = task_set_spec(task, a->argument[0]);
    for (int i = 0; i < a->fields && code == EXIT_OK; i++) {
        const struct loss_argument *const given = &a->field[i];
        if (given->option.kind == LOSS_OPTION_VALUE ||
            (given->option.tensor == EVALUATION_GRAD_OUTPUT && task_is_number(given->value)))
            code = task_set(task, given->option.name, given->value);
        else if (given->option.kind == LOSS_OPTION_TENSOR)
            code = input_open(&task->input[given->option.tensor], files, given->value,
                              given->option.name);
    }
    if (code == EXIT_OK && a->value[OPT_BATCH])
        code = open_batch(task, files, a->value[OPT_BATCH]);
    if (code == EXIT_OK && a->value[OPT_TERMS])
        code = outputs_add(outputs, "loss", a->value[OPT_TERMS]);
    if (code == EXIT_OK)
        code =
            add_derivatives(a, OPT_GRAD, LOSS_OPTION_GRAD, &task->evaluation.request.grad, outputs);
    if (code == EXIT_OK)
        code =
            add_derivatives(a, OPT_HESS, LOSS_OPTION_HESS, &task->evaluation.request.hess, outputs);
    return code;
}

/* ---- Result ---- */

/* Points the outputs at the tensors of the result. */
static void attach(struct outputs *outputs, const struct loss_descriptor *loss,
                   const struct outcome *outcome)
{
    for (int i = 0; i < outputs->count; i++) {
        struct output *const output = &outputs->output[i];
        if (strcmp(output->name, "loss") == 0)
            output->tensor = &outcome->terms;
        for (int k = 0; k < loss_tensor_specs(loss) && !output->tensor; k++)
            if (strcmp(output->name + strlen("grad_"), loss->tensors[k].name) == 0)
                output->tensor =
                    strncmp(output->name, "grad_", 5) == 0 ? &outcome->grad[k] : &outcome->hess[k];
    }
}

static void put_text(struct buffer *text, const struct arguments *a, const struct outputs *outputs,
                     const struct task *task, const struct outcome *outcome)
{
    char shape[LOSS_SHAPE_TEXT];
    const struct loss_plan *const plan = &task->evaluation.plan;
    if (a->value[OPT_QUIET]) {
        tensor_json_encode(text, &outcome->terms, FORM_NESTED, 1);
        buffer_text(text, "\n");
        return;
    }
    outcome_put_text(outcome, plan->reduction, plan->dtype, text);
    for (int i = 0; i < outputs->count; i++)
        if (strcmp(outputs->output[i].path, "-") != 0)
            buffer_printf(text, "%-10s %s %s\n", outputs->output[i].name, outputs->output[i].path,
                          loss_shape_text(outputs->output[i].tensor, shape));
    outcome_put_warnings(outcome, "warning    ", text);
}

static void put_json(struct buffer *text, const struct outputs *outputs, const struct task *task,
                     const struct outcome *outcome)
{
    buffer_text(text, "{");
    outcome_put_json(outcome, &task->evaluation.plan, text);
    buffer_printf(text, ",\"milliseconds\":%.3f", outcome->ms);
    for (int i = 0; i < outputs->count; i++) {
        buffer_printf(text, "%s\"%s\":", i ? "," : ",\"files\":{", outputs->output[i].name);
        json_append_string(text, outputs->output[i].path);
    }
    buffer_text(text, outputs->count ? "}}\n" : "}\n");
}

/* Prints the result; to stderr if a tensor goes to standard output. */
static enum exit_code print(const struct arguments *a, const struct outputs *outputs,
                            const struct task *task, const struct outcome *outcome)
{
    struct buffer text = {0};
    if (a->value[OPT_JSON])
        put_json(&text, outputs, task, outcome);
    else
        put_text(&text, a, outputs, task, outcome);
    return output_print(&text, outputs_use_stdout(outputs), a->value[OPT_QUIET]);
}

/* ---- Command ---- */

static enum exit_code evaluate(const struct arguments *a, struct task *task,
                               struct connection *connection, struct outputs *outputs,
                               struct outcome *outcome, int threads)
{
    enum exit_code code = task_run(task, connection, outcome);
    if (code == EXIT_OK) {
        attach(outputs, task->loss, outcome);
        code = outputs_write(outputs, threads);
    }
    return code == EXIT_OK ? print(a, outputs, task, outcome) : code;
}

enum exit_code eval_files(const struct arguments *a)
{
    struct connection connection = {.curl = NULL};
    struct input_files files = {.count = 0};
    struct outputs outputs = {.count = 0};
    struct outcome outcome = {.loss = 0};
    int threads;
    struct task *const task = malloc(sizeof *task);
    if (!task)
        return fail_memory();
    enum exit_code code = arguments_threads(a, &threads);
    task_begin(task, a->loss[0], threads);
    if (code == EXIT_OK)
        code = arguments_header(a, &files.header);
    if (code == EXIT_OK)
        code = set_up(a, task, &files, &outputs);
    if (code == EXIT_OK && !a->value[OPT_LOCAL])
        code = connection_open(&connection, a);
    if (code == EXIT_OK)
        code = task_prepare(task);
    if (code == EXIT_OK)
        code = evaluate(a, task, a->value[OPT_LOCAL] ? NULL : &connection, &outputs, &outcome,
                        threads);
    outcome_free(&outcome);
    task_free(task);
    free(task);
    connection_close(&connection);
    input_files_free(&files);
    return code;
}
