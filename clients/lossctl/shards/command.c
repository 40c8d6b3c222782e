/* lossctl eval: evaluates shards in steps; for tensors that are read whole, calls eval_files(). */
#include "cli/arguments.h"
#include "evaluate/eval.h"
#include "evaluate/outcome.h"
#include "evaluate/partial_file.h"
#include "evaluate/task.h"
#include "files/output.h"
#include "number/number.h"
#include "shards/shard_job.h"
#include "json/tensor_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Options ---- */

/* Returns true if the command line asks for an evaluation over shards, or if there are several
   ranks: without shards, each would evaluate all rows. */
static bool is_sharded(const struct arguments *a, const struct ranks *ranks)
{
    static const enum option_id options[] = {
        OPT_PARTIAL, OPT_PART, OPT_STEP_ROWS, OPT_CHECKPOINT, OPT_CHECKPOINT_EVERY, OPT_RESTART};
    if (ranks->size > 1)
        return true;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (a->value[options[i]])
            return true;
    for (int i = 0; i < a->fields; i++)
        if (a->field[i].option.kind == LOSS_OPTION_TENSOR && shard_spec_matches(a->field[i].value))
            return true;
    return false;
}

/* Checks the name of the checkpoint. It must be a file of its own, which is removed at the end. */
static enum exit_code check_checkpoint(const char *path, const char *partial)
{
    if (path && strcmp(path, "-") == 0)
        return fail(EXIT_USAGE, "--checkpoint is '-'; it must be a file name");
    if (path && partial && strcmp(path, partial) == 0)
        return fail(EXIT_USAGE, "--checkpoint and --partial are both '%s'; they must differ", path);
    return EXIT_OK;
}

/* Rejects options that apply only to tensors that are read whole, and options that are incomplete
   or contradict each other. */
static enum exit_code check_options(const struct arguments *a)
{
    static const struct {
        enum option_id option;
        const char *why;
    } refused[] = {
        {OPT_URL, "this process evaluates shards, not a server"},
        {OPT_BATCH, "name each tensor, as in --input 'batch-*.safetensors'"},
        {OPT_HEADER, "shards are not CSV files"},
        {OPT_TERMS, "the terms of shards are not kept"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (a->value[refused[i].option] && !a->from_environment[refused[i].option])
            return fail(EXIT_USAGE, "--%s cannot be used with shards: %s",
                        option_specs[refused[i].option].name, refused[i].why);
    if (!a->value[OPT_CHECKPOINT] && (a->value[OPT_CHECKPOINT_EVERY] || a->value[OPT_RESTART]))
        return fail(EXIT_USAGE, "--%s needs --checkpoint FILE",
                    a->value[OPT_RESTART] ? "restart" : "checkpoint-every");
    for (int i = 0; i < 2; i++) {
        const enum option_id option = i ? OPT_PARTIAL : OPT_CHECKPOINT;
        if (a->value[option] && *a->value[option] == '\0')
            return fail(EXIT_USAGE, "--%s is ''; it must be a file name",
                        option_specs[option].name);
    }
    return check_checkpoint(a->value[OPT_CHECKPOINT], a->value[OPT_PARTIAL]);
}

/* Reads --part K/N. */
static enum exit_code read_part(const char *text, struct shard_job *job)
{
    enum { MAX_PARTS = 1000000 };
    const char *end = NULL;
    int64_t part = 0, parts = 0;
    if (!text)
        return EXIT_OK;
    if (number_read_i64(text, &part, &end) != NUMBER_OK || *end != '/' ||
        number_read_i64(end + 1, &parts, &end) != NUMBER_OK || *end || part < 1 || part > parts)
        return fail(EXIT_USAGE, "--part is '%s'; it must be K/N, with K from 1 to N", text);
    if (parts > MAX_PARTS)
        return fail(EXIT_USAGE, "--part is '%s'; there can be at most %d parts", text, MAX_PARTS);
    job->part = (uint64_t)part;
    job->parts = (uint64_t)parts;
    return EXIT_OK;
}

static enum exit_code read_options(const struct arguments *a, struct shard_job *job)
{
    long step_rows;
    enum exit_code code = arguments_threads(a, &job->threads);
    if (!a->value[OPT_THREADS])
        job->threads = job->ranks->cpus;
    if (code == EXIT_OK)
        code = read_part(a->value[OPT_PART], job);
    if (code == EXIT_OK)
        code = arguments_integer(a, OPT_STEP_ROWS, 1, LOSS_COUNT_LIMIT, 0, &step_rows);
    if (code == EXIT_OK)
        code = arguments_number(a, OPT_CHECKPOINT_EVERY, 0, 1e6, 10, &job->checkpoint_every);
    if (code != EXIT_OK)
        return code;
    job->step_rows = (uint64_t)step_rows;
    job->checkpoint = a->value[OPT_CHECKPOINT];
    job->restart = a->value[OPT_RESTART];
    return EXIT_OK;
}

/* ---- Tensors and gradients ---- */

/* Sets the parameters and other fields that are not tensors. */
static enum exit_code set_fields(const struct arguments *a, struct task *task)
{
    enum exit_code code = task_set_spec(task, a->argument[0]);
    for (int i = 0; i < a->fields && code == EXIT_OK; i++) {
        const struct loss_argument *const given = &a->field[i];
        const bool upstream = given->option.kind == LOSS_OPTION_TENSOR &&
                              given->option.tensor == EVALUATION_GRAD_OUTPUT;
        if (upstream && !task_is_number(given->value))
            code = fail(EXIT_USAGE, "--%s is '%s'; with shards it must be a number",
                        given->option.option, given->value);
        else if (upstream || given->option.kind == LOSS_OPTION_VALUE)
            code = task_set(task, given->option.name, given->value);
    }
    return code;
}

/* Adds the shards of each tensor. */
static enum exit_code add_tensors(const struct arguments *a, struct shard_batch *batch)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < a->fields && code == EXIT_OK; i++) {
        const struct loss_argument *const given = &a->field[i];
        if (given->option.kind == LOSS_OPTION_TENSOR &&
            given->option.tensor != EVALUATION_GRAD_OUTPUT)
            code = shard_batch_add(batch, given->option.tensor, given->value);
    }
    return code;
}

/* Adds the derivatives of --grad and --hess (all predictions), --grad-NAME and --hess-NAME. */
static enum exit_code add_gradients(const struct arguments *a, struct gradient_files *files)
{
    enum exit_code code = EXIT_OK;
    for (int k = 0; k < 2 * LOSS_MAX_TENSORS && code == EXIT_OK; k++) {
        const bool hess = k >= LOSS_MAX_TENSORS;
        const int tensor = k % LOSS_MAX_TENSORS;
        const bool predicted = loss_predictions(a->loss[0]) >> tensor & 1;
        const char *folder = predicted ? a->value[hess ? OPT_HESS : OPT_GRAD] : NULL;
        for (int i = 0; i < a->fields; i++)
            if (a->field[i].option.kind == (hess ? LOSS_OPTION_HESS : LOSS_OPTION_GRAD) &&
                a->field[i].option.tensor == tensor)
                folder = a->field[i].value;
        if (folder)
            code = gradient_files_add(files, tensor, hess, folder);
    }
    return code;
}

/* ---- Result ---- */

static const char *output_name(const struct shard_job *job, int i, char name[64])
{
    const struct gradient_output *const output = &job->gradients.output[i];
    snprintf(name, 64, "%s_%s", output->hess ? "hess" : "grad",
             job->batch.list[output->tensor].name);
    return name;
}

static void put_text(struct buffer *text, const struct arguments *a, const struct shard_job *job,
                     const struct outcome *outcome)
{
    char shape[LOSS_SHAPE_TEXT], name[64];
    const char *const partial = a->value[OPT_PARTIAL];
    if (a->value[OPT_QUIET]) {
        tensor_json_encode(text, &outcome->terms, FORM_NESTED, 1);
        buffer_text(text, "\n");
        return;
    }
    outcome_put_text(outcome, job->result.reduction, job->result.dtype, text);
    if (job->parts > 1)
        outcome_put_rows(&job->result, text);
    for (int i = 0; i < job->gradients.count; i++)
        buffer_printf(
            text, "%-10s %s/ %s\n", output_name(job, i, name), job->gradients.output[i].folder,
            loss_shape_text(&job->batch.plan.tensor[job->gradients.output[i].tensor], shape));
    if (partial && strcmp(partial, "-") != 0)
        buffer_printf(text, "partial    %s\n", partial);
    outcome_put_warnings(outcome, "warning    ", text);
}

static void put_json(struct buffer *text, const struct arguments *a, const struct shard_job *job,
                     const struct outcome *outcome)
{
    char name[64];
    const char *separator = ",\"files\":{";
    buffer_text(text, "{");
    outcome_put_json(outcome, &job->batch.plan, text);
    buffer_printf(text, ",\"milliseconds\":%.3f", job->ms);
    for (int i = 0; i < job->gradients.count; i++) {
        buffer_printf(text, "%s\"%s\":", separator, output_name(job, i, name));
        json_append_string(text, job->gradients.output[i].folder);
        separator = ",";
    }
    if (a->value[OPT_PARTIAL]) {
        buffer_printf(text, "%s\"partial\":", separator);
        json_append_string(text, a->value[OPT_PARTIAL]);
        separator = ",";
    }
    buffer_text(text, strcmp(separator, ",") == 0 ? "}}\n" : "}\n");
}

/* Prints the result; to stderr if the partial result goes to standard output. */
static enum exit_code print(const struct arguments *a, const struct shard_job *job)
{
    struct buffer text = {0};
    struct outcome outcome;
    const bool to_stderr = a->value[OPT_PARTIAL] && strcmp(a->value[OPT_PARTIAL], "-") == 0;
    outcome_set_partial(&outcome, &job->result);
    if (a->value[OPT_JSON])
        put_json(&text, a, job, &outcome);
    else
        put_text(&text, a, job, &outcome);
    return output_print(&text, to_stderr, a->value[OPT_QUIET]);
}

/* ---- Command ---- */

static enum exit_code run(const struct arguments *a, struct shard_job *job)
{
    enum exit_code code = check_options(a);
    if (code == EXIT_OK)
        code = read_options(a, job);
    if (code == EXIT_OK)
        code = add_tensors(a, &job->batch);
    if (code == EXIT_OK)
        code = add_gradients(a, &job->gradients);
    code = ranks_agree(job->ranks, code);
    if (code == EXIT_OK)
        code = shard_job_run(job);
    if (job->ranks->rank > 0)
        return code;
    fail_hold(false);
    if (code == EXIT_OK && a->value[OPT_PARTIAL])
        code = partial_file_write(a->value[OPT_PARTIAL], &job->result);
    if (code == EXIT_OK)
        code = print(a, job);
    if (code == EXIT_OK)
        shard_job_finish(job);
    return code;
}

static enum exit_code eval_task(const struct arguments *a, struct ranks *ranks, struct task *task,
                                struct shard_job *job)
{
    task_begin(task, a->loss[0], 1);
    enum exit_code code = ranks_agree(ranks, set_fields(a, task));
    shard_job_init(job, &task->evaluation.request, ranks);
    if (code == EXIT_OK)
        code = run(a, job);
    shard_job_free(job);
    task_free(task);
    return code;
}

static enum exit_code eval_shards(const struct arguments *a, struct ranks *ranks)
{
    struct task *const task = malloc(sizeof *task);
    struct shard_job *const job = malloc(sizeof *job);
    enum exit_code code = ranks_agree(ranks, task && job ? EXIT_OK : fail_memory());
    if (code == EXIT_OK && task && job)
        code = eval_task(a, ranks, task, job);
    free(job);
    free(task);
    return code;
}

enum exit_code command_eval(const struct arguments *a)
{
    struct ranks ranks;
    enum exit_code code = ranks_start(&ranks);
    if (code == EXIT_OK)
        code = is_sharded(a, &ranks) ? eval_shards(a, &ranks) : eval_files(a);
    ranks_end(&ranks, code);
    return code;
}
