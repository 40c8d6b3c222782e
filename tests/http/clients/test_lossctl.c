/* Tests lossctl: list, show, eval, compare, command-line errors, completions and manual pages. */

#include "lossctl_run.h"
#include "suites.h"
#include "support/batch.h"
#include "support/folder.h"
#include "support/tensor_file.h"

#include <stdlib.h>
#include <string.h>

/* ---- List and show ---- */

START_TEST(list_and_show_agree_with_the_server)
{
    char local[LOSSCTL_TEXT];
    assert_run(OK, "$L list --local");
    for (size_t i = 0; i < loss_count(); i++)
        assert_has(lossctl_out, loss_at(i)->name);
    strcpy(local, lossctl_out);
    assert_run(OK, "$L list --url $LOSSD_URL");
    ck_assert_str_eq(lossctl_out, local);
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *const loss = loss_at(i);
        assert_run(OK, "$L show --local %s", loss->aliases[0] ? loss->aliases[0] : loss->name);
        for (int k = 0; k < loss_tensor_specs(loss); k++)
            assert_has(lossctl_out, loss->tensors[k].name);
        for (int k = 0; k < loss_param_specs(loss); k++)
            assert_has(lossctl_out, loss->params[k].name);
    }
    assert_run(OK, "$L show huber --json --local");
    strcpy(local, lossctl_out);
    assert_run(OK, "$L show huber --json --url $LOSSD_URL");
    ck_assert_str_eq(lossctl_out, local);
    for (size_t i = 0; i < loss_count(); i++) {
        assert_run(OK,
                   "$L show %s --local | sed -n 's,http://127.0.0.1:8080,'$LOSSD_URL',; s/^  curl "
                   "/curl -sf /p' | sh",
                   loss_at(i)->name);
        assert_has(lossctl_out, "{\"loss\":");
    }
}
END_TEST

START_TEST(every_loss_and_command_has_help)
{
    assert_run(OK, "$L --help");
    assert_has(lossctl_out, "eval LOSS");
    assert_has(lossctl_out, "merge FILE...");
    for (size_t i = 0; i < loss_count(); i++) {
        assert_run(OK, "$L eval %s --help", loss_at(i)->name);
        assert_has(lossctl_out, "--reduction");
        assert_has(lossctl_out, "--sample-weight");
    }
    assert_has(lossctl_out, "--temperature NUMBER"); /* of info_nce, the last */
    for (size_t i = 0; i < loss_count(); i++) {
        assert_run(OK, "$L eval %s --help | grep -o '^  --[a-z0-9-]*' | sort | uniq -d",
                   loss_at(i)->name);
        /* no two options have the same name; dice:batch=true sets the parameter */
        ck_assert_str_eq(lossctl_out, strcmp(loss_at(i)->name, "dice") == 0 ? "  --batch\n" : "");
    }
    assert_run(OK, "$L --version");
    assert_has(lossctl_out, "lossctl " LOSS_VERSION "\nbuilt with ");
    assert_has(lossctl_out, ", libcurl ");
    assert_has(lossctl_out, "\ninstruction sets: ");
}
END_TEST

/* ---- Eval ---- */

/* Writes a batch of a loss to a safetensors file. */
static void write_batch(const struct batch *batch, const char *name)
{
    struct tensor_file file = {0};
    const struct loss_descriptor *const loss = batch->request.loss;
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const struct loss_tensor *const tensor = &batch->tensor[k];
        char shape[128] = "";
        for (int axis = 0; axis < tensor->rank; axis++)
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), axis ? ",%zu" : "%zu",
                     tensor->shape[axis]);
        tensor_file_add(&file, loss->tensors[k].name, tensor->dtype == LOSS_INT64 ? "I64" : "F32",
                        shape, tensor->data, loss_tensor_bytes(tensor));
    }
    struct buffer bytes = tensor_file_end(&file, 0);
    folder_write_bytes(name, bytes.data, bytes.len);
    buffer_free(&bytes);
}

/* Compares a tensor of a response with the result of the library. */
static void check_tensor(const struct tensor_answer *answer, const char *prefix, const char *name,
                         const struct loss_tensor *expected)
{
    char full[64];
    size_t len;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const void *const data = tensor_answer_data(answer, full, NULL, NULL, &len);
    ck_assert_uint_eq(len, loss_tensor_bytes(expected));
    ck_assert_mem_eq(data, expected->data, len);
}

static void check_file(const char *name, const struct batch *batch)
{
    char bytes[LOSSCTL_TEXT];
    const struct loss_descriptor *const loss = batch->request.loss;
    const size_t len = folder_read(name, bytes, sizeof bytes);
    struct tensor_answer answer = tensor_answer_read(bytes, len);
    check_tensor(&answer, "loss", "", &batch->plan.output);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (batch->plan.grad_mask >> k & 1)
            check_tensor(&answer, "grad_", loss->tensors[k].name, &batch->plan.grad[k]);
        if (batch->plan.hess_mask >> k & 1)
            check_tensor(&answer, "hess_", loss->tensors[k].name, &batch->plan.hess[k]);
    }
    tensor_answer_free(&answer);
}

/* Writes "--terms FILE --grad-input FILE --hess_input FILE ..." for all derivatives. A name may
   have a hyphen or an underscore. */
static void derivative_options(const struct batch *batch, const char *file, char *options,
                               size_t size)
{
    const struct loss_descriptor *const loss = batch->request.loss;
    snprintf(options, size, "--terms %s", file);
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        if (batch->request.grad >> k & 1)
            snprintf(options + strlen(options), size - strlen(options), " --grad-%s %s",
                     loss->tensors[k].name, file);
        if (batch->request.hess >> k & 1)
            snprintf(options + strlen(options), size - strlen(options), " --hess_%s %s",
                     loss->tensors[k].name, file);
    }
}

START_TEST(eval_is_bit_identical_locally_remotely_and_in_the_library)
{
    const struct loss_descriptor *const loss = loss_at((size_t)_i);
    struct batch batch;
    char options[1024];
    batch_make(&batch, loss, 343, LOSS_FLOAT32, 3);
    batch.request.reduction = LOSS_NONE;
    batch_all_gradients(&batch);
    batch.request.hess = loss->hessian ? loss_predictions(loss) : 0;
    ck_assert_int_eq(batch_run(&batch, 1), LOSS_OK);
    write_batch(&batch, "batch.safetensors");
    derivative_options(&batch, "local.safetensors", options, sizeof options);
    assert_run(OK, "$L eval %s --batch batch.safetensors --reduction none --local %s", loss->name,
               options);
    derivative_options(&batch, "remote.safetensors", options, sizeof options);
    assert_run(OK, "$L eval %s --batch batch.safetensors --reduction none %s", loss->name, options);
    check_file("local.safetensors", &batch);
    check_file("remote.safetensors", &batch);
    batch_free(&batch);
}
END_TEST

START_TEST(results_are_printed_as_text_and_json)
{
    write_small_tensors();
    assert_run(OK, "$L eval mse --input x.npy --target y.npy");
    ck_assert_str_eq(
        lossctl_out,
        "loss       0.16666666666666666\nreduction  mean\ndtype      float32\ncount      3\n");
    assert_run(OK,
               "echo 5 | $L eval mse --input x.npy --target - --json --dtype float64 --grad g.npy");
    json_t *const tree = json_loads(lossctl_out, 0, NULL);
    ck_assert_ptr_nonnull(tree);
    ck_assert_double_eq(json_real_value(json_object_get(tree, "loss")), 40.25 / 3);
    ck_assert_str_eq(json_string_value(json_object_get(tree, "dtype")), "float64");
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "warnings")), 1);
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(tree, "files"), "grad_input")), "g.npy");
    json_decref(tree);
    folder_write("huge.csv", "1e39 1\n");
    assert_run(OK, "echo '[[1, 1]]' | $L eval mse --input huge.csv --target - --json");
    assert_has(lossctl_out, "\"loss\":\"Infinity\"");
    assert_has(lossctl_out, "\"nonfinite\":1");
    folder_write("zeros.json", "[0, 0]");
    folder_write("logs.json", "[[-1, -2]]");
    assert_run(OK, "$L eval huber --input x.npy --target y.npy --delta 0.25 --reduction none "
                   "--grad-output 2 --grad - --local");
    ck_assert_str_eq(lossctl_out, "[-0.5,0.5,0]\n");
    for (int local = 0; local < 2; local++) {
        assert_run(
            OK,
            "echo '[3, -4]' | $L eval huber --input - --target zeros.json --delta inf --json %s",
            local ? "--local" : "");
        assert_has(lossctl_out, "\"loss\":6.25");
        assert_run(
            OK,
            "echo '[1]' | $L eval nll --input logs.json --target - --ignore-index null --json %s",
            local ? "--local" : "");
        assert_has(lossctl_out, "\"loss\":2");
    }
}
END_TEST

/* ---- Compare ---- */

/* Checks that compare prints what eval prints for each loss. */
static void check_comparison(const char *losses, const char *options)
{
    char table[LOSSCTL_TEXT], copy[512], loss[128];
    assert_run(OK, "$L compare --quiet %s %s", losses, options);
    strcpy(table, lossctl_out);
    assert_run(OK, "$L compare --quiet --local %s %s", losses, options);
    ck_assert_str_eq(lossctl_out, table);
    snprintf(copy, sizeof copy, "%s", losses);
    char *row = table;
    for (char *rest = copy, *spec; (spec = strtok_r(rest, " ", &rest));
         row = strchr(row, '\n') + 1) {
        char name[128], own[128] = "", value[64];
        ck_assert_int_eq(sscanf(row, "%127s %63s", name, value), 2);
        ck_assert_str_eq(name, spec);
        snprintf(loss, sizeof loss, "%.*s", (int)strcspn(spec, ":"), spec);
        if (strchr(spec, ':'))
            snprintf(own, sizeof own, "--%s", strchr(spec, ':') + 1);
        assert_run(OK, "$L eval --quiet --local %s %s %s", loss, own, options);
        lossctl_out[strcspn(lossctl_out, "\n")] = '\0';
        ck_assert_str_eq(lossctl_out, value);
    }
    ck_assert_str_eq(row, "");
}

START_TEST(compare_agrees_with_eval)
{
    write_small_tensors();
    folder_write("rows.csv", "0.1,0.2,0.7\n0.3,0.3,0.4\n");
    folder_write("labels.csv", "2\n1\n");
    folder_write("sets.csv", "1,0,-1\n2,-1,-1\n");
    check_comparison("mse huber:delta=0.25 l1 MSELoss quantile:q=0.9",
                     "--input x.npy --target y.csv --reduction sum");
    check_comparison("cross_entropy:label-smoothing=0.1 nll multi_margin:p=2",
                     "--input rows.csv --target labels.csv");
    /* mse and l1 take real targets, multilabel_margin takes class indices. */
    check_comparison("mse multilabel_margin l1", "--input rows.csv --target sets.csv");
    check_comparison("mse multilabel_margin", "--input rows.csv --target sets.csv --dtype float64");
    assert_run(OK, "$L compare mse gaussian_nll:full=true --input x.npy --target y.npy --var x.npy "
                   "--eps 0.5 --json");
    json_t *const tree = json_loads(lossctl_out, 0, NULL), *const results =
                                                               json_object_get(tree, "results");
    ck_assert_uint_eq(json_array_size(results), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(results, 1), "name")),
                     "gaussian_nll:full=true");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(results, 1), "count")), 3);
    json_decref(tree);
    assert_run(OK, "echo 1 | $L compare mse l1 --input x.npy --target -");
    assert_has(lossctl_out, "  the shapes of target and input differ");
    assert_wrong(INPUT, "nll: target has shape (3,); it must be () for class indices",
                 "$L compare mse nll --input x.npy --target y.npy");
    assert_wrong(USAGE,
                 "'huber:delta' is not a loss with parameters; write huber:name=value,name=value",
                 "$L compare huber:delta --input x.npy");
    assert_wrong(USAGE, "huber:dlta=1: huber has no field 'dlta'; did you mean 'delta'?",
                 "$L compare huber:dlta=1");
    assert_wrong(USAGE, "compare mse has no option --grad-input; did you mean --grad-output?",
                 "$L compare mse --grad-input g.npy");
    assert_wrong(USAGE, "compare needs one value per loss; reduction none gives several",
                 "$L compare mse --input x.npy --target y.npy --reduction none");
}
END_TEST

/* ---- Command line ---- */

START_TEST(command_line_errors_say_what_is_expected)
{
    write_small_tensors();
    assert_wrong(USAGE, "missing command; `lossctl --help` lists all commands", "$L");
    assert_wrong(USAGE, "no such command 'evl'; did you mean 'eval'?", "$L evl");
    assert_wrong(USAGE, "no such loss 'hubr'; did you mean 'huber'?", "$L eval hubr");
    assert_wrong(USAGE, "no such loss 'huber:delta=1'; `lossctl list` lists all losses",
                 "$L show --local huber:delta=1");
    assert_wrong(USAGE, "missing LOSS; usage: lossctl eval LOSS [--option value]...",
                 "$L eval --local");
    assert_wrong(
        USAGE, "eval cross_entropy has no option --label-smothing; did you mean --label-smoothing?",
        "$L eval cross_entropy --label-smothing 0.1");
    assert_wrong(USAGE, "eval mse has no option --delta; `--help` lists all options",
                 "$L eval mse --delta 1");
    assert_wrong(USAGE,
                 "--delta: options of a loss come after its name: lossctl eval LOSS "
                 "--delta ...",
                 "$L eval --delta 1 huber");
    assert_wrong(USAGE, "delta is 'x'; it must be a number", "$L eval huber --delta x");
    assert_wrong(USAGE, "--delta needs a value: --delta NUMBER", "$L eval huber --delta");
    assert_wrong(USAGE, "--delta is given twice", "$L eval huber --delta 1 --delta 2");
    assert_wrong(USAGE, "reduction is 'avg'; it must be 'mean', 'sum' or 'none'",
                 "$L eval huber --reduction avg");
    assert_wrong(USAGE, "--local and --url are mutually exclusive",
                 "$L eval mse --local --url http://localhost");
    assert_wrong(USAGE, "--threads is '0'; it must be an integer from 1 to 1024",
                 "$L eval mse --threads 0");
    assert_wrong(USAGE,
                 "'g.dat' has no known format to write grad_input in; it must end in .npy, "
                 ".safetensors, .json or .csv, or begin with npy:, safetensors:, json: or csv:",
                 "$L eval mse --input x.npy --target y.npy --grad g.dat");
    assert_wrong(USAGE,
                 "cannot write both grad_input1 and grad_input2 to g.npy; only a safetensors file "
                 "can contain several tensors",
                 "$L eval margin_ranking --grad g.npy");
    assert_wrong(USAGE, "x.npy: a npy file contains one unnamed tensor; 'a' cannot select one",
                 "$L eval mse --input x.npy:a");
    assert_wrong(INPUT, "delta is 0; it must be greater than 0",
                 "$L eval huber --input x.npy --target y.npy --delta 0");
    assert_run(OK, "$L eval mse --local -q --input x.npy --target y.npy --grad g.safetensors");
    static const char *const wholes[] = {"x.npy", "x.csv", "g.safetensors", "x.json"};
    folder_write("x.json", "[1, 2]");
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++)
        assert_wrong(USAGE,
                     "standard input cannot be both input and target; read one from a file, "
                     "or select both by name, as -:target, from JSON or safetensors",
                     "$L eval mse --local --input - --target - <%s", wholes[i]);
}
END_TEST

START_TEST(operations_over_a_second_show_progress)
{
    write_small_tensors();
    assert_run(
        OK,
        "(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target y.npy -q --grad g.npy");
    ck_assert_str_eq(lossctl_err, "");
    assert_run(OK, "(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target y.npy");
    ck_assert_str_eq(lossctl_err, "lossctl: reading standard input: 1 s\n");
    assert_run(OK, "$L eval mse --local --input x.csv --target y.npy");
    ck_assert_str_eq(lossctl_err, "");
    if (lossctl_run("command -v script") != OK)
        return;
    /* on a terminal, the progress is removed at the end */
    assert_run(OK, "script -qec \"(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target "
                   "y.npy\" /dev/null");
    const char *const shown = strstr(lossctl_out, "\r\033[Kreading standard input: 1 s");
    ck_assert_ptr_nonnull(shown);
    assert_has(shown, "\r\033[Kloss       0.16666666666666666\r\n");
}
END_TEST

/* ---- Completions and manual pages ---- */

/* Completes the last word of a command line in bash, and writes the candidates to `lossctl_out`,
   one per line. */
static void complete(const char *line)
{
    assert_run(OK,
               "$L completions bash >c.bash && bash -c 'source ./c.bash; set -f; COMP_WORDS=(%s); "
               "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _lossctl; printf \"%%s\\n\" "
               "\"${COMPREPLY[@]}\" | sort -u'",
               line);
}

START_TEST(completions_include_commands_losses_options_and_values)
{
    complete("lossctl e");
    ck_assert_str_eq(lossctl_out, "eval\n");
    complete("lossctl eval cross");
    ck_assert_str_eq(lossctl_out, "cross_entropy\n");
    complete("lossctl eval cross_entropy --lab");
    ck_assert_str_eq(lossctl_out, "--label-smoothing\n");
    complete("lossctl eval --local CrossEntropyLoss --ign");
    ck_assert_str_eq(lossctl_out, "--ignore-index\n");
    complete("lossctl eval mse --lab");
    ck_assert_str_eq(lossctl_out, "\n");
    complete("lossctl eval kl_div --reduction b");
    ck_assert_str_eq(lossctl_out, "batchmean\n");
    complete("lossctl eval kl_div --log_target f");
    ck_assert_str_eq(lossctl_out, "false\n");
    complete("lossctl compare mse huber:delta=2 --grad-");
    ck_assert_str_eq(lossctl_out, "--grad-output\n"); /* compare does not write gradients */
    complete("lossctl bench --formats s");
    ck_assert_str_eq(lossctl_out, "safetensors\n");
    folder_write("pred.npy", "");
    complete("lossctl eval mse --input pr");
    ck_assert_str_eq(lossctl_out, "pred.npy\n");
    complete("lossctl merge --json pr");
    ck_assert_str_eq(lossctl_out, "pred.npy\n");
    complete("lossctl merge --par");
    ck_assert_str_eq(lossctl_out, "--partial\n");
    complete("lossctl merge --partial pr");
    ck_assert_str_eq(lossctl_out, "pred.npy\n");
    complete("lossctl completions z");
    ck_assert_str_eq(lossctl_out, "zsh\n");
    assert_wrong(USAGE, "no completions for 'csh'; it must be bash, zsh or fish",
                 "$L completions csh");
}
END_TEST

/* Checks by programs that are not installed are skipped. */
START_TEST(completions_and_manual_pages_are_valid)
{
    assert_run(OK, "$L completions bash >c.bash && bash -n c.bash");
    assert_run(
        OK, "$L completions zsh >_lossctl && { ! command -v zsh >/dev/null || zsh -n _lossctl; }");
    assert_run(OK, "$L completions fish >c.fish && { ! command -v fish >/dev/null || fish "
                   "--no-execute c.fish; }");
    assert_run(OK, "$L --man >lossctl.1 && $D --man >lossd.8");
    assert_run(OK, "! command -v mandoc >/dev/null || mandoc -T lint -W error lossctl.1 lossd.8");
    ck_assert_str_eq(lossctl_out, "");
    assert_run(
        OK,
        "! command -v man >/dev/null || for page in lossctl.1 lossd.8; do "
        "LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z ./$page >/dev/null || exit 1; done");
    ck_assert_str_eq(lossctl_err, "");
    folder_read("lossctl.1", lossctl_out, sizeof lossctl_out);
    for (int code = 0; code <= INPUT; code++) {
        char line[32];
        snprintf(line, sizeof line, "\n.B %d\n", code);
        assert_has(lossctl_out, line);
    }
    for (size_t i = 0; i < loss_count(); i++)
        assert_has(lossctl_out, loss_at(i)->name);
    folder_read("lossd.8", lossctl_out, sizeof lossctl_out);
    assert_has(lossctl_out, "\\fB\\-\\-listen\\fR \\fIADDRESS");
    assert_has(lossctl_out, "LOSSD_THREADS");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_suite(void)
{
    Suite *suite = suite_create("lossctl");
    if (!lossctl_find()) {
        fprintf(stderr, "lossctl: not tested, not built: libcurl4-openssl-dev is not installed\n");
        return suite;
    }
    TCase *const tcase = suite_add_case(suite, "lossctl", 60, lossctl_setup, lossctl_teardown);
    CASE_ADD(tcase, list_and_show_agree_with_the_server, every_loss_and_command_has_help,
             results_are_printed_as_text_and_json, compare_agrees_with_eval,
             command_line_errors_say_what_is_expected,
             completions_include_commands_losses_options_and_values,
             completions_and_manual_pages_are_valid);
    tcase_add_loop_test(tcase, eval_is_bit_identical_locally_remotely_and_in_the_library, 0,
                        (int)loss_count());
    TCase *const slow = suite_add_case(suite, "lossctl_slow", 60, lossctl_setup, lossctl_teardown);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, operations_over_a_second_show_progress);
    return suite;
}
