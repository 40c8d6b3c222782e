/* Runs lossctl, which is in the same folder as $LOSSD, from a shell, with and without a server. */
#include "suites.h"
#include "support/batch.h"
#include "support/folder.h"
#include "support/server_process.h"
#include "support/tensor_file.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 1 << 16, PATH = 512 };
enum {
    OK,
    FAILED,
    USAGE,
    UNREACHABLE,
    REFUSED,
    INPUT
}; /* exit status, as documented in lossctl(1) */

static struct server_process server;
static char program[PATH], lossd[PATH];
static char out[TEXT], err[TEXT]; /* output of the last run */

/* Finds lossctl next to the server. */
static const char *find_program(void)
{
    char path[PATH];
    const char *const named = getenv("LOSSD");
    if (!realpath(named && *named ? named : "build/lossd", lossd))
        return NULL;
    snprintf(path, sizeof path, "%.*slossctl", (int)(strrchr(lossd, '/') + 1 - lossd), lossd);
    return realpath(path, program);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(find_program());
    folder_make();
    server_process_start(&server, server_process_defaults);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", server.port);
    setenv("LOSSD_URL", url, 1);
}

static void teardown(void)
{
    folder_remove();
    server_process_end(&server);
}

static size_t read_file(const char *name, char *bytes, size_t size)
{
    FILE *file = fopen(folder_path(name), "re");
    ck_assert_msg(file != NULL, "cannot open %s", name);
    const size_t len = fread(bytes, 1, size - 1, file);
    bytes[len] = '\0';
    fclose(file);
    return len;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(folder_path(name), "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

/* Runs a shell command in the folder; $L is lossctl, $D is lossd. Returns its exit status and
   writes its output to `out` and `err`. */
__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
    char line[4096], command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && L=%s D=%s && { %s; } >.out 2>.err </dev/null",
             folder_name(), program, lossd, line);
    const int status = system(command); /* NOLINT(cert-env33-c): tests the shell interface */
    read_file(".out", out, sizeof out);
    read_file(".err", err, sizeof err);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#define assert_run(code, ...)                                                                      \
    do {                                                                                           \
        const int ran = run(__VA_ARGS__);                                                          \
        ck_assert_msg(ran == (code), "status %d, not %d; stdout: %s stderr: %s", ran, code, out,   \
                      err);                                                                        \
    } while (0)
#define assert_has(text, part)                                                                     \
    ck_assert_msg(strstr(text, part) != NULL, "'%s' is not in: %s", part, text)
/* The only output is this error message. */
#define assert_wrong(code, message, ...)                                                           \
    do {                                                                                           \
        assert_run(code, __VA_ARGS__);                                                             \
        ck_assert_str_eq(err, "lossctl: " message "\n");                                           \
        ck_assert_str_eq(out, "");                                                                 \
    } while (0)

/* ---- List and show ---- */

START_TEST(list_and_show_agree_with_the_server)
{
    char local[TEXT];
    assert_run(OK, "$L list --local");
    for (size_t i = 0; i < loss_count(); i++)
        assert_has(out, loss_at(i)->name);
    strcpy(local, out);
    assert_run(OK, "$L list --url $LOSSD_URL");
    ck_assert_str_eq(out, local);
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *const loss = loss_at(i);
        assert_run(OK, "$L show --local %s", loss->aliases[0] ? loss->aliases[0] : loss->name);
        for (int k = 0; k < loss_tensor_specs(loss); k++)
            assert_has(out, loss->tensors[k].name);
        for (int k = 0; k < loss_param_specs(loss); k++)
            assert_has(out, loss->params[k].name);
    }
    assert_run(OK, "$L show huber --json --local");
    strcpy(local, out);
    assert_run(OK, "$L show huber --json --url $LOSSD_URL");
    ck_assert_str_eq(out, local);
    for (size_t i = 0; i < loss_count(); i++) {
        assert_run(OK,
                   "$L show %s --local | sed -n 's,http://127.0.0.1:8080,'$LOSSD_URL',; s/^  curl "
                   "/curl -sf /p' | sh",
                   loss_at(i)->name);
        assert_has(out, "{\"loss\":");
    }
}
END_TEST

START_TEST(every_loss_and_command_has_help)
{
    assert_run(OK, "$L --help");
    assert_has(out, "eval LOSS");
    for (size_t i = 0; i < loss_count(); i++) {
        assert_run(OK, "$L eval %s --help", loss_at(i)->name);
        assert_has(out, "--reduction");
        assert_has(out, "--sample-weight");
    }
    assert_has(out, "--temperature NUMBER"); /* of info_nce, the last */
    assert_run(OK, "$L --version");
    assert_has(out, "lossctl " LOSS_VERSION);
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
    write_file(name, bytes.data, bytes.len);
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
    char bytes[TEXT];
    const struct loss_descriptor *const loss = batch->request.loss;
    const size_t len = read_file(name, bytes, sizeof bytes);
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

/* Writes "--grad-input FILE --hess-input FILE ..." for all derivatives. */
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

/* Writes a NumPy file of version 1. */
static void write_npy(const char *name, const char *header, const void *numbers, size_t len)
{
    char file[512];
    const size_t header_len = strlen(header);
    memcpy(file, "\x93NUMPY\x01", 8);
    file[8] = (char)header_len;
    file[9] = 0;
    memcpy(file + 10, header, header_len);
    memcpy(file + 10 + header_len, numbers, len);
    write_file(name, file, 10 + header_len + len);
}

/* Writes three predictions and targets. */
static void write_small(void)
{
    static const float input[] = {2.5F, 0, 2}, target[] = {3, -0.5F, 2};
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n";
    write_npy("x.npy", header, input, sizeof input);
    write_npy("y.npy", header, target, sizeof target);
    write_text("x.csv", "prediction\n2.5\n0\n2\n");
    write_text("y.csv", "# measured\n3\n\n-0.5\r\n2");
    write_text("both.json", "{\"input\": [2.5, 0, 2], \"y\": {\"shape\": [3], \"data\": [3, -0.5, "
                            "2]}, \"target\": null}");
}

static const char small_loss[] = "0.16666666666666666\n";

START_TEST(tensors_are_read_from_every_format_and_stdin)
{
    static const char *const inputs[] = {"--input x.npy", "--input x.csv", "--input both.json",
                                         "--input both.json:input", "--input npy:x.npy"};
    static const char *const targets[] = {"--target y.npy", "--target y.csv",
                                          "--target both.json:y", "--target - <y.csv",
                                          "--target - <y.npy"};
    write_small();
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        for (size_t k = 0; k < sizeof targets / sizeof targets[0]; k++) {
            assert_run(OK, "$L eval mse --quiet %s %s %s", (i + k) % 2 ? "--local" : "", inputs[i],
                       targets[k]);
            ck_assert_str_eq(out, small_loss);
        }
    assert_run(OK, "cat both.json | $L eval MSELoss -q --input - --target -:y");
    ck_assert_str_eq(out, small_loss);
    assert_run(OK, "echo '{\"input\": [1, 2], \"target\": [1, 4]}' | $L eval mse --local -q "
                   "--input - --target -");
    ck_assert_str_eq(out, "2\n");
    assert_run(OK, "$L compare mse l1 --local --input - --target y.csv <x.csv");
    /* the only tensor of a file, whatever its name */
    assert_run(OK,
               "$L eval mse --local --input x.npy --target y.npy --grad g.safetensors -q && "
               "$L eval mse --local -q --input g.safetensors --target g.safetensors:grad_input");
    ck_assert_str_eq(out, "0.16666666666666666\n0\n");
}
END_TEST

START_TEST(gradients_are_written_in_every_format_and_to_stdout)
{
    write_small();
    assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad - --local");
    ck_assert_str_eq(out, "[-0.33333334,0.33333334,0]\n");
    assert_has(err, "loss       0.16666666666666666\n");
    assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad csv:- --quiet");
    ck_assert_str_eq(out, "-0.33333334\n0.33333334\n0\n");
    ck_assert_str_eq(err, "");
    static const char *const files[] = {"g.npy", "g.csv", "g.json", "g.safetensors"};
    for (int i = 0; i < 4; i++) {
        assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad %s --grad-target t.json",
                   files[i]);
        assert_has(out, "grad_target");
        assert_run(OK, "$L eval l1 --local -q --reduction sum --input %s --target t.json",
                   files[i]);
        ck_assert_str_eq(out, "1.3333333730697632\n"); /* one gradient is minus the other */
    }
    assert_run(
        OK, "$L eval mse --input x.npy --target y.npy --reduction none --terms npy:- | cat >t.npy; "
            "$L eval l1 --local -q --input t.npy --target t.npy");
    ck_assert_str_eq(out, "0\n");
}
END_TEST

START_TEST(fortran_order_and_big_endian_arrays_are_read_correctly)
{
    static const float columns[] = {1, 2, 3, 10, 20, 30};
    uint32_t bits[6];
    memcpy(bits, columns, sizeof bits);
    for (size_t i = 0; i < 6; i++)
        bits[i] = __builtin_bswap32(bits[i]);
    write_npy("f.npy", "{'descr': '>f4', 'fortran_order': True, 'shape': (3,2)}\n", bits,
              sizeof bits);
    write_text("z.csv", "0 0\n0\t0\n0 0\n");
    for (int local = 0; local < 2; local++) {
        assert_run(OK,
                   "$L eval l1 %s -q --input f.npy --target z.csv --reduction none --terms csv:-",
                   local ? "--local" : "");
        ck_assert_str_eq(out, "1,10\n2,20\n3,30\n");
    }
}
END_TEST

START_TEST(results_are_printed_as_text_and_json)
{
    write_small();
    assert_run(OK, "$L eval mse --input x.npy --target y.npy");
    ck_assert_str_eq(
        out, "loss       0.16666666666666666\nreduction  mean\ndtype      float32\ncount      3\n");
    assert_run(OK,
               "echo 5 | $L eval mse --input x.npy --target - --json --dtype float64 --grad g.npy");
    json_t *const tree = json_loads(out, 0, NULL);
    ck_assert_ptr_nonnull(tree);
    ck_assert_double_eq(json_real_value(json_object_get(tree, "loss")), 40.25 / 3);
    ck_assert_str_eq(json_string_value(json_object_get(tree, "dtype")), "float64");
    ck_assert_uint_eq(json_array_size(json_object_get(tree, "warnings")), 1);
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(tree, "files"), "grad_input")), "g.npy");
    json_decref(tree);
    write_text("huge.csv", "1e39 1\n");
    assert_run(OK, "echo '[[1, 1]]' | $L eval mse --input huge.csv --target - --json");
    assert_has(out, "\"loss\":\"Infinity\"");
    assert_has(out, "\"nonfinite\":1");
    write_text("zeros.json", "[0, 0]");
    write_text("logs.json", "[[-1, -2]]");
    assert_run(OK, "$L eval huber --input x.npy --target y.npy --delta 0.25 --reduction none "
                   "--grad-output 2 --grad - --local");
    ck_assert_str_eq(out, "[-0.5,0.5,0]\n");
    for (int local = 0; local < 2; local++) {
        assert_run(
            OK,
            "echo '[3, -4]' | $L eval huber --input - --target zeros.json --delta inf --json %s",
            local ? "--local" : "");
        assert_has(out, "\"loss\":6.25");
        assert_run(
            OK,
            "echo '[1]' | $L eval nll --input logs.json --target - --ignore-index null --json %s",
            local ? "--local" : "");
        assert_has(out, "\"loss\":2");
    }
}
END_TEST

START_TEST(command_line_errors_say_what_is_expected)
{
    write_small();
    assert_wrong(USAGE, "missing command; `lossctl --help` lists all commands", "$L");
    assert_wrong(USAGE, "there is no command 'evl'; did you mean 'eval'?", "$L evl");
    assert_wrong(USAGE, "there is no loss 'hubr'; did you mean 'huber'?", "$L eval hubr");
    assert_wrong(USAGE, "there is no loss 'huber:delta=1'; `lossctl list` lists all losses",
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
    assert_wrong(USAGE, "--local and --url exclude each other",
                 "$L eval mse --local --url http://localhost");
    assert_wrong(USAGE, "--threads is '0'; it must be an integer from 1 to 1024",
                 "$L eval mse --threads 0");
    assert_wrong(USAGE,
                 "'g.dat' has no known format to write grad_input in; it must end in .npy, "
                 ".safetensors, .json or .csv, or begin with npy:, safetensors:, json: or csv:",
                 "$L eval mse --input x.npy --target y.npy --grad g.dat");
    assert_wrong(USAGE,
                 "grad_input1 and grad_input2 would both go to g.npy; only a safetensors file "
                 "can contain several tensors",
                 "$L eval margin_ranking --grad g.npy");
    assert_wrong(USAGE, "x.npy: a npy file contains one unnamed tensor; 'a' cannot select one",
                 "$L eval mse --input x.npy:a");
    assert_wrong(INPUT, "delta is 0; it must be greater than 0",
                 "$L eval huber --input x.npy --target y.npy --delta 0");
    assert_run(OK, "$L eval mse --local -q --input x.npy --target y.npy --grad g.safetensors");
    static const char *const wholes[] = {"x.npy", "x.csv", "g.safetensors", "x.json"};
    write_text("x.json", "[1, 2]");
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++)
        assert_wrong(USAGE,
                     "input and target would both be all of standard input; read one from a file, "
                     "or both by name, as -:target, from JSON or safetensors",
                     "$L eval mse --local --input - --target - <%s", wholes[i]);
}
END_TEST

START_TEST(file_errors_name_file_and_position)
{
    write_small();
    write_text("bad.csv", "a,b\n1,2\n3,x\n");
    write_text("ragged.csv", "1,2\n3\n");
    write_text("comma.csv", "1;2,5\n");
    write_text("hole.csv", "1,,2\n");
    write_text("empty.csv", "a,b\n");
    write_text("labels.csv", "0\n1.5\n0\n");
    write_text("bad.json", "[1, 2, [3]]");
    write_text("cut.json", "{\"input\": [1, 2, 3], \"b\": [1");
    write_text("short.safetensors", "x");
    write_text("cut.npy", "\x93NUMPY\x01");
    assert_wrong(INPUT, "cannot read nothing.npy: No such file or directory",
                 "$L eval mse --input nothing.npy");
    assert_wrong(INPUT, "bad.csv: line 3, column 3: 'x' where a number was expected",
                 "$L eval mse --local --input bad.csv --target bad.csv");
    assert_wrong(
        INPUT,
        "ragged.csv: line 2, column 1: this row has length 1; the rows before it have length 2",
        "$L eval mse --input ragged.csv");
    assert_wrong(INPUT,
                 "comma.csv: line 1, column 4: ',' where ';' or the end of the line was expected; "
                 "numbers have a decimal point",
                 "$L eval mse --input comma.csv");
    assert_wrong(
        INPUT,
        "hole.csv: line 1, column 3: there is no number here; write nan for one that is missing",
        "$L eval mse --input hole.csv");
    assert_wrong(INPUT, "empty.csv: line 2, column 1: the end where a row of numbers was expected",
                 "$L eval mse --input empty.csv");
    assert_wrong(INPUT, "labels.csv: line 2, column 1: '1.5' where a whole number was expected",
                 "echo '[[1, 2], [2, 1], [0, 0]]' | $L eval nll --input - --target labels.csv");
    assert_wrong(INPUT,
                 "bad.json: input[2] is an array where its neighbours are numbers; nested arrays "
                 "must be rectangular",
                 "$L eval mse --input bad.json");
    assert_wrong(INPUT, "cut.json: invalid JSON at the end (byte 28)",
                 "$L eval mse --input cut.json");
    assert_wrong(INPUT, "both.json: the object does not contain 'target2'",
                 "$L eval mse --input both.json --target both.json:target2");
    assert_wrong(INPUT,
                 "short.safetensors: a safetensors file begins with an 8-byte header length; this "
                 "file has 1 bytes",
                 "$L eval mse --input short.safetensors");
    assert_wrong(INPUT, "cut.npy: input: the file ends before its header (byte 7)",
                 "$L eval mse --input cut.npy");
    assert_wrong(INPUT, "target is missing: true values, of shape (*), broadcast against input",
                 "$L eval mse --batch both.json");
    assert_wrong(INPUT, "target has shape (4,); it does not broadcast with (3,) of input",
                 "seq 4 | $L eval mse --input x.npy --target -");
    assert_wrong(USAGE,
                 "bad.csv: a batch must be a safetensors or JSON file, in which tensors have names",
                 "$L eval mse --batch bad.csv");
    assert_wrong(INPUT, "both.json contains none of the tensors of ctc",
                 "$L eval ctc --batch both.json");
    assert_wrong(FAILED, "cannot write nowhere/g.npy: No such file or directory",
                 "$L eval mse --local --input x.npy --target y.npy --grad nowhere/g.npy");
    assert_run(OK, "ls -A | grep part || true");
    ck_assert_str_eq(out, "");
}
END_TEST

/* The first row is a header only if it cannot be a row of numbers. */
START_TEST(csv_header_is_detected)
{
    static const char *const headers[] = {"y\n1\n3\n",
                                          "y_true\r\n1\r\n3\r\n",
                                          "\"y\"\n1\n3\n",
                                          "\"a, 1\"\n1\n3\n",
                                          "\"class 1 (%)\"\n1\n3\n",
                                          "\xc3\xa4\n1\n3\n",
                                          "_\n1\n3\n",
                                          "\"1\"\n\"3\"\n",
                                          "1\n3\n",
                                          "# y\n1\n3\n",
                                          "true\n3\n",
                                          "narrow\n1\n3\n"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        write_text("x.csv", headers[i]);
        assert_run(
            OK,
            "$L eval l1 --local -q --input x.csv --target x.csv --reduction none --terms csv:-");
        ck_assert_msg(strcmp(out, "0\n0\n") == 0, "%s: %s", headers[i], out);
    }
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"NA\n1\n3\n",
         "line 1, column 1: 'NA' where a number was expected; write nan for one that is missing"},
        {"1\n3\nN/A\n",
         "line 3, column 1: 'N/A' where a number was expected; write nan for one that is missing"},
        {"null\n1\n",
         "line 1, column 1: 'null' where a number was expected; write nan for one that is missing"},
        {"<NA>\n1\n",
         "line 1, column 1: '<NA>' where a number was expected; write nan for one that is missing"},
        {"y,NA\n1,2\n", "line 1, column 1: 'y' where a number was expected"},
        {",y\n0,2\n",
         "line 1, column 1: there is no number here; write nan for one that is missing"},
        {"\"\",\"y\"\n\"1\",2\n",
         "line 1, column 1: there is no number here; write nan for one that is missing"},
        {"1.5x\n3\n", "line 1, column 1: '1.5x' where a number was expected"},
        {"-\n3\n", "line 1, column 1: '-' where a number was expected"},
        {"?\n3\n", "line 1, column 1: '?' where a number was expected"},
        {"+1\n3\n", "line 1, column 1: '+1' where a number was expected"},
        {".5\n3\n", "line 1, column 1: '.5' where a number was expected"},
        {"$3\n3\n", "line 1, column 1: '$3' where a number was expected"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[200];
        write_text("x.csv", rows[i].text);
        snprintf(expected, sizeof expected, "lossctl: x.csv: %s\n", rows[i].error);
        assert_run(INPUT, "$L eval mse --local --input x.csv --target x.csv");
        ck_assert_str_eq(err, expected);
    }
}
END_TEST

START_TEST(csv_header_option_overrides_detection)
{
    write_text("x.csv", "0\n1.5\n3\n"); /* as pandas writes a Series without a name */
    write_text("y.csv", "NA\n1\n3\n");
    assert_run(OK,
               "$L eval l1 --local -q --input x.csv --target x.csv --reduction none --terms csv:-");
    ck_assert_str_eq(out, "0\n0\n0\n");
    assert_run(OK, "$L eval l1 --local -q --header yes --input x.csv --target y.csv --reduction "
                   "none --terms csv:-");
    ck_assert_str_eq(out, "0.5\n0\n");
    assert_run(OK, "$L compare l1 --local -q --header=yes --input x.csv --target y.csv --json");
    assert_has(out, "\"loss\":0.25");
    write_text("z.csv", "y\n1\n");
    assert_wrong(INPUT, "z.csv: line 1, column 1: 'y' where a number was expected",
                 "$L eval l1 --local --header no --input z.csv --target z.csv");
    assert_wrong(USAGE, "--header is 'maybe'; it must be auto, yes or no",
                 "$L eval l1 --local --header maybe --input z.csv --target z.csv");
    assert_wrong(USAGE, "--header is 'maybe'; it must be auto, yes or no",
                 "$L compare l1 --local --header maybe --input z.csv --target z.csv");
}
END_TEST

START_TEST(byte_order_mark_is_ignored)
{
    write_text("x.json", "\xef\xbb\xbf[1, 3]");
    write_text("x.dat", "\xef\xbb\xbf [1, 3]");
    write_text("x.csv", "\xef\xbb\xbfy\r\n1\r\n3\r\n");
    assert_run(OK, "for i in x.json x.dat x.csv; do $L eval mse --local --input $i --target x.json "
                   "--json; done");
    ck_assert_int_eq(strncmp(out, "{\"loss\":0,", 10), 0);
}
END_TEST

static void assert_lacks_password(void)
{
    ck_assert_msg(!strstr(err, "hunter2") && !strstr(out, "hunter2"), "the password is in %s%s",
                  err, out);
}

/* Copies the timeout header that lossctl sends; empty if it sends none. */
static void time_limit_of(const char *timeout, int status, char *value, size_t size)
{
    char head[1024] = "";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 4), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_run(status, "timeout 1 $L list --timeout %s --url http://127.0.0.1:%d", timeout,
               ntohs(address.sin_port));
    const int connection = accept(listener, NULL, NULL);
    ck_assert_int_gt(read(connection, head, sizeof head - 1), 0);
    close(connection);
    close(listener);
    assert_has(head, "GET /v1/losses HTTP/1.1\r\n");
    const char *const found = strstr(head, "X-Request-Timeout: ");
    snprintf(value, size, "%.*s", found ? (int)strcspn(found, "\r") : 0, found ? found : "");
}

START_TEST(timeout_is_sent_to_the_server)
{
    enum { ENDED_BY_TIMEOUT = 124 };
    char limit[64];
    time_limit_of("0.25", UNREACHABLE, limit, sizeof limit);
    ck_assert_str_eq(limit, "X-Request-Timeout: 0.250");
    time_limit_of("86400", ENDED_BY_TIMEOUT, limit, sizeof limit);
    ck_assert_str_eq(limit, "X-Request-Timeout: 86400.000");
    time_limit_of("86401", ENDED_BY_TIMEOUT, limit,
                  sizeof limit); /* larger than the maximum of the header */
    ck_assert_str_eq(limit, "");
}
END_TEST

START_TEST(server_errors_are_reported)
{
    struct server_process small;
    write_small();
    write_text("classes.csv", "0 1\n1 0\n");
    write_text("labels.csv", "0\n2\n");
    assert_run(INPUT, "$L eval nll --input classes.csv --target labels.csv");
    assert_has(
        err,
        "responds with status 422: target[1] is 2; class indices must be in [0, 2), or -100 to be "
        "ignored (/target/1)\n");
    assert_run(INPUT, "$L eval nll --input classes.csv --target labels.csv --local");
    ck_assert_str_eq(
        err, "lossctl: target[1] is 2; class indices must be in [0, 2), or -100 to be ignored\n");
    server_process_start(&small,
                         (const char *const[]){"--max-body", "64", "--log-level", "error", NULL});
    assert_run(REFUSED, "$L eval mse --input x.npy --target y.npy --url http://127.0.0.1:%d/",
               small.port);
    assert_has(err, " responds with status 413: ");
    assert_run(UNREACHABLE, "$L eval mse --input x.npy --target y.npy --url unix:nowhere");
    assert_has(err, "lossctl: no response from http://localhost through nowhere: ");
    const int port = small.port;
    assert_run(REFUSED,
               "$L eval mse --input x.npy --target y.npy --url http://me:hunter2@127.0.0.1:%d/",
               port);
    assert_has(err, "lossctl: http://***@127.0.0.1:");
    assert_lacks_password();
    run("$L doctor --url http://me:hunter2@127.0.0.1:%d", port);
    assert_has(out, "http://***@127.0.0.1:");
    assert_lacks_password();
    server_process_stop(&small);
    server_process_free(&small);
    static const char *const users[] = {"http://me:hunter2", "http://hunter2",
                                        "HTTP://me:hunter2/@"};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        assert_run(UNREACHABLE, "$L list --url %s@127.0.0.1:%d/", users[i], port);
        assert_has(err, "://***@127.0.0.1:");
        assert_lacks_password();
    }
    assert_wrong(USAGE, "--url is '***@127.0.0.1'; it must begin with http://, https:// or unix:",
                 "$L list --url me:hunter2@127.0.0.1");
    assert_wrong(USAGE,
                 "--url is 'ftp://***@127.0.0.1'; it must begin with http://, https:// or unix:",
                 "LOSSD_URL=ftp://me:hunter2@127.0.0.1 $L list");
    assert_run(UNREACHABLE, "$L list --url http://127.0.0.1:%d", port);
    assert_has(err, "is lossd running there? set its address with --url, or run without a server "
                    "with --local\n");
}
END_TEST

/* ---- Compare and doctor ---- */

/* The comparison prints what eval prints for each loss. */
static void check_comparison(const char *losses, const char *options)
{
    char table[TEXT], copy[512], loss[128];
    assert_run(OK, "$L compare --quiet %s %s", losses, options);
    strcpy(table, out);
    assert_run(OK, "$L compare --quiet --local %s %s", losses, options);
    ck_assert_str_eq(out, table);
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
        out[strcspn(out, "\n")] = '\0';
        ck_assert_str_eq(out, value);
    }
    ck_assert_str_eq(row, "");
}

START_TEST(compare_agrees_with_eval)
{
    write_small();
    write_text("rows.csv", "0.1,0.2,0.7\n0.3,0.3,0.4\n");
    write_text("labels.csv", "2\n1\n");
    write_text("sets.csv", "1,0,-1\n2,-1,-1\n");
    check_comparison("mse huber:delta=0.25 l1 MSELoss quantile:q=0.9",
                     "--input x.npy --target y.csv --reduction sum");
    check_comparison("cross_entropy:label-smoothing=0.1 nll multi_margin:p=2",
                     "--input rows.csv --target labels.csv");
    /* One loss takes real targets, the other class indices. */
    check_comparison("mse multilabel_margin l1", "--input rows.csv --target sets.csv");
    check_comparison("mse multilabel_margin", "--input rows.csv --target sets.csv --dtype float64");
    assert_run(OK, "$L compare mse gaussian_nll:full=true --input x.npy --target y.npy --var x.npy "
                   "--eps 0.5 --json");
    json_t *const tree = json_loads(out, 0, NULL), *const results =
                                                       json_object_get(tree, "results");
    ck_assert_uint_eq(json_array_size(results), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(results, 1), "name")),
                     "gaussian_nll:full=true");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(results, 1), "count")), 3);
    json_decref(tree);
    assert_run(OK, "echo 1 | $L compare mse l1 --input x.npy --target -");
    assert_has(out, "  the shapes of target and input differ");
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

START_TEST(doctor_checks_a_server)
{
    assert_run(OK, "$L doctor");
    assert_has(out, "ok    reachable   http://127.0.0.1:");
    assert_has(out, "ok    version     lossd " LOSS_VERSION ", same as this program\n");
    assert_has(out, "isa=\"");
    assert_has(out, "ok    threads     2 compute threads\n");
    assert_has(out, "ok    limits      max-body 1G, ");
    assert_has(out, " max-url 8192,");
    char all[128];
    snprintf(all, sizeof all,
             "ok    self-test   the examples of all %zu losses, with gradients, "
             "give bit-identical results",
             loss_count());
    assert_has(out, all);
    assert_run(OK, "$L doctor --json");
    json_t *const tree = json_loads(out, 0, NULL);
    ck_assert(json_is_true(json_object_get(tree, "healthy")));
    json_decref(tree);
    /* another HTTP server */
    assert_run(
        FAILED,
        "printf 'import http.server as h\\nclass H(h.BaseHTTPRequestHandler):\\n"
        " def do_GET(s): s.send_response(200); s.send_header(\"Content-Length\", \"2\"); "
        "s.end_headers(); "
        "s.wfile.write(b\"ok\")\\n do_POST = do_GET\\n log_message = lambda *a: None\\n"
        "v = h.HTTPServer((\"127.0.0.1\", 0), H)\\nprint(v.server_port, "
        "flush=True)\\nv.serve_forever()\\n' >s.py; "
        "python3 s.py >port & S=$!; for i in $(seq 100); do test -s port || sleep 0.1; done; "
        "$L doctor --url http://127.0.0.1:$(cat port); R=$?; kill $S; exit $R");
    assert_has(out, "FAIL  version     GET /v2 returns 200 with an unexpected body; "
                    "is this lossd?\n");
    assert_has(out, "FAIL  self-test   mse: the server returns 200 ok, this program 200");
}
END_TEST

/* ---- Bench ---- */

static double number_in(const json_t *object, const char *key)
{
    const json_t *const number = json_object_get(object, key);
    ck_assert_msg(json_is_number(number), "%s is not a number", key);
    return json_number_value(number);
}

/* Checks that the results of a scenario are consistent. */
static void check_results(const json_t *scenario)
{
    static const char *const order[] = {"min", "p50", "p90", "p99", "p99.9", "max"};
    const json_t *const latency = json_object_get(scenario, "latency_ms");
    double before = 0, in_histogram = 0;
    size_t i;
    json_t *each;
    ck_assert_double_gt(number_in(scenario, "answered"), 0);
    ck_assert_double_eq(number_in(scenario, "refused") + number_in(scenario, "broken"), 0);
    ck_assert_double_eq_tol(number_in(scenario, "throughput"),
                            number_in(scenario, "answered") / number_in(scenario, "seconds"),
                            1 + number_in(scenario, "throughput") / 100);
    for (i = 0; i < sizeof order / sizeof order[0]; i++) {
        ck_assert_double_ge(number_in(latency, order[i]), before);
        before = number_in(latency, order[i]);
    }
    ck_assert_double_ge(number_in(latency, "mean"), number_in(latency, "min"));
    json_array_foreach(json_object_get(scenario, "histogram"), i, each) in_histogram +=
        json_number_value(json_array_get(each, 1));
    ck_assert_double_eq(in_histogram,
                        number_in(scenario, "answered") + number_in(scenario, "unsent"));
    ck_assert_uint_gt(json_array_size(json_object_get(scenario, "series")), 0);
}

START_TEST(bench_measures_every_format_and_writes_three_reports)
{
    static char html[8 * TEXT], json[8 * TEXT];
    size_t i;
    json_t *scenario;
    assert_run(
        OK,
        "$L bench --losses huber:delta=0.25,reduction=sum,ctc --formats "
        "json,base64,safetensors,oip --sizes 200 "
        "--connections 1,3 --grad "
        "--warm-up 0 --duration 0.1 --json b.json --html b.html --limit errors=0 --limit p99=10s");
    ck_assert_str_eq(err, "");
    assert_has(out, "closed loop");
    assert_has(out, "\nctc                           200  oip             3 ");
    read_file("b.json", json, sizeof json);
    json_t *const report = json_loads(json, 0, NULL);
    ck_assert_ptr_nonnull(report);
    ck_assert(json_is_null(json_object_get(report, "rate")));
    const json_t *const scenarios = json_object_get(report, "scenarios");
    ck_assert_uint_eq(json_array_size(scenarios), 16);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(scenarios, 0), "loss")),
                     "huber:delta=0.25,reduction=sum");
    json_array_foreach(scenarios, i, scenario) check_results(scenario);
    json_decref(report);
    read_file("b.html", html, sizeof html);
    assert_has(html, "ctc, 200 elements, oip, 3 connections");
    assert_has(html, "latency by percentile");
    assert_has(html, "</html>");
}
END_TEST

/* Requests are due on schedule while the server stalls for 0.6 s, so all requests of that time are
   late, not only one per connection. */
START_TEST(bench_at_a_fixed_rate_counts_requests_delayed_by_a_stall)
{
    assert_run(
        OK,
        "(sleep 0.4; kill -STOP %d; sleep 0.6; kill -CONT %d) & "
        "$L bench --rate 100 --connections 4 --warm-up 0 --duration 1.5 --sizes 10 --json -; wait",
        (int)server.pid, (int)server.pid);
    json_t *const report = json_loads(out, 0, NULL), *const scenario = json_array_get(
                                                         json_object_get(report, "scenarios"), 0);
    ck_assert_double_eq(number_in(report, "rate"), 100);
    ck_assert_double_eq(number_in(scenario, "answered") + number_in(scenario, "unsent"), 150);
    const json_t *const latency = json_object_get(scenario, "latency_ms");
    ck_assert_double_gt(number_in(latency, "max"), 500);
    ck_assert_double_gt(number_in(latency, "p90"),
                        200); /* of the 40 % that were due during the stall, evenly 0 to 600 ms */
    json_decref(report);
}
END_TEST

START_TEST(bench_fails_if_a_limit_is_missed)
{
    struct server_process other;
    assert_run(FAILED, "$L bench --duration 0.1 --warm-up 0 --sizes 10 --limit throughput=1e9 "
                       "--limit p99=0.001us --limit max=10s");
    assert_has(err, "lossctl: mse, 10 elements, safetensors, 8 connections misses --limit "
                    "throughput=1e9: measured ");
    assert_has(err, " requests/s\n");
    assert_has(err, " misses --limit p99=0.001us: measured ");
    ck_assert_ptr_null(strstr(err, "max=10s"));
    assert_has(out, "requests/s");
    server_process_start(&other, (const char *const[]){"--log-level", "error", NULL});
    assert_run(FAILED,
               "(sleep 0.3; kill -KILL %d) & $L bench --url http://127.0.0.1:%d --duration 0.6 "
               "--warm-up 0 --rate 50 "
               "--limit errors=0; R=$?; wait; exit $R",
               (int)other.pid, other.port);
    assert_has(err, " misses --limit errors=0: measured ");
    assert_has(out, " requests got no response: ");
    server_process_free(&other);
    /* Ctrl-C ends the measurement early, and the results are printed. */
    assert_run(FAILED, "timeout --foreground --preserve-status -s INT 0.5 $L bench --duration 100 "
                       "--warm-up 0 --sizes 10");
    assert_has(err, "lossctl: interrupted: the results cover the time until then\n");
    assert_has(out, "\nmse ");
}
END_TEST

START_TEST(bench_option_errors_say_what_is_expected)
{
    assert_wrong(USAGE, "there is no format 'jsn'; did you mean 'json'?",
                 "$L bench --formats json,jsn");
    assert_wrong(USAGE, "there is no loss 'mze'; did you mean 'mse'?", "$L bench --losses mze");
    assert_wrong(USAGE,
                 "--sizes contains 'x'; it must be a list of integers from 1 to 1000000000, "
                 "separated by commas",
                 "$L bench --sizes 10,x");
    assert_wrong(USAGE,
                 "--limit is 'p98=1ms'; there are limits on p50, p90, p99, p99.9, max, mean, "
                 "errors and throughput",
                 "$L bench --limit p98=1ms");
    assert_wrong(USAGE, "--limit is 'p99=1'; it must be like p99=50ms, 800us or 2s",
                 "$L bench --limit p99=1");
    assert_wrong(USAGE, "--duration is '0'; it must be a number from 0.1 to 1000000",
                 "$L bench --duration 0");
    assert_run(USAGE, "$L bench --losses huber:dlta=2");
    assert_has(err, "huber has no field 'dlta'; did you mean 'delta'?");
    assert_run(INPUT,
               "$L bench --losses info_nce --sizes 1000000 --duration 0.1"); /* too many queries */
    assert_has(err, "lossctl: info_nce, 1000000 elements, safetensors, 8 connections: ");
}
END_TEST

START_TEST(tokens_and_unix_sockets_are_supported)
{
    struct server_process guarded;
    char tokens[PATH], path[PATH];
    write_small();
    assert_run(OK, "printf %%s 'a-token-that-is-long-enough-to-be-one' >token; "
                   "$D --hash-token=alice <token >tokens");
    snprintf(tokens, sizeof tokens, "--token-file=%s/tokens", folder_name());
    snprintf(path, sizeof path, "unix:%s/socket", folder_name());
    server_process_start(
        &guarded, (const char *const[]){tokens, "--listen", path, "--log-level", "error", NULL});
    assert_run(REFUSED, "$L eval mse --input x.npy --target y.npy --url unix:socket");
    assert_has(err, " responds with status 401: ");
    assert_has(err, "lossctl: provide a token with --token-file or LOSSD_TOKEN\n");
    assert_run(OK,
               "$L eval mse --input x.npy --target y.npy --url unix:socket --token-file token -q");
    ck_assert_str_eq(out, small_loss);
    assert_run(OK, "LOSSD_TOKEN=$(cat token) LOSSD_URL=unix:socket $L eval mse --input x.npy "
                   "--target y.npy -q");
    ck_assert_str_eq(out, small_loss);
    assert_run(OK, "$L doctor --url unix:socket --token-file token");
    assert_run(REFUSED, "$L doctor --url unix:socket");
    assert_wrong(INPUT, "the first line of the token file empty is empty",
                 ": >empty; $L eval mse --input x.npy --target y.npy --token-file empty");
    server_process_stop(&guarded);
    server_process_free(&guarded);
}
END_TEST

/* ---- Completions and manual pages ---- */

/* Completes the last word of a command line in bash, and writes the candidates to `out`, one per
   line. */
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
    ck_assert_str_eq(out, "eval\n");
    complete("lossctl eval cross");
    ck_assert_str_eq(out, "cross_entropy\n");
    complete("lossctl eval cross_entropy --lab");
    ck_assert_str_eq(out, "--label-smoothing\n");
    complete("lossctl eval --local CrossEntropyLoss --ign");
    ck_assert_str_eq(out, "--ignore-index\n");
    complete("lossctl eval mse --lab");
    ck_assert_str_eq(out, "\n");
    complete("lossctl eval kl_div --reduction b");
    ck_assert_str_eq(out, "batchmean\n");
    complete("lossctl eval kl_div --log_target f");
    ck_assert_str_eq(out, "false\n");
    complete("lossctl compare mse huber:delta=2 --grad-");
    ck_assert_str_eq(out, "--grad-output\n"); /* compare does not write gradients */
    complete("lossctl bench --formats s");
    ck_assert_str_eq(out, "safetensors\n");
    write_text("pred.npy", "");
    complete("lossctl eval mse --input pr");
    ck_assert_str_eq(out, "pred.npy\n");
    complete("lossctl completions z");
    ck_assert_str_eq(out, "zsh\n");
    assert_wrong(USAGE, "no completions for 'csh'; it must be bash, zsh or fish",
                 "$L completions csh");
}
END_TEST

/* Programs that are not installed are skipped. */
START_TEST(completions_and_manual_pages_are_valid)
{
    assert_run(OK, "$L completions bash >c.bash && bash -n c.bash");
    assert_run(
        OK, "$L completions zsh >_lossctl && { ! command -v zsh >/dev/null || zsh -n _lossctl; }");
    assert_run(OK, "$L completions fish >c.fish && { ! command -v fish >/dev/null || fish "
                   "--no-execute c.fish; }");
    assert_run(OK, "$L --man >lossctl.1 && $D --man >lossd.8");
    assert_run(OK, "! command -v mandoc >/dev/null || mandoc -T lint -W error lossctl.1 lossd.8");
    ck_assert_str_eq(out, "");
    assert_run(
        OK,
        "! command -v man >/dev/null || for page in lossctl.1 lossd.8; do "
        "LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z ./$page >/dev/null || exit 1; done");
    ck_assert_str_eq(err, "");
    read_file("lossctl.1", out, sizeof out);
    for (int code = 0; code <= INPUT; code++) {
        char line[32];
        snprintf(line, sizeof line, "\n.B %d\n", code);
        assert_has(out, line);
    }
    for (size_t i = 0; i < loss_count(); i++)
        assert_has(out, loss_at(i)->name);
    read_file("lossd.8", out, sizeof out);
    assert_has(out, "\\fB\\-\\-listen\\fR \\fIADDRESS");
    assert_has(out, "LOSSD_THREADS");
}
END_TEST

START_TEST(operations_over_a_second_show_progress)
{
    write_small();
    assert_run(
        OK,
        "(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target y.npy -q --grad g.npy");
    ck_assert_str_eq(err, "");
    assert_run(OK, "(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target y.npy");
    ck_assert_str_eq(err, "lossctl: reading standard input: 1 s\n");
    assert_run(OK, "$L eval mse --local --input x.csv --target y.npy");
    ck_assert_str_eq(err, "");
    if (run("command -v script") != OK)
        return;
    /* on a terminal, the progress is removed at the end */
    assert_run(OK, "script -qec \"(sleep 1.3; cat x.csv) | $L eval mse --local --input - --target "
                   "y.npy\" /dev/null");
    const char *const shown = strstr(out, "\r\033[Kreading standard input: 1 s");
    ck_assert_ptr_nonnull(shown);
    assert_has(shown, "\r\033[Kloss       0.16666666666666666\r\n");
}
END_TEST

/* A TLS server that requires a client certificate. */
START_TEST(tls_certificates_are_sent_and_verified)
{
    if (run("command -v openssl python3") != OK) {
        fprintf(stderr, "lossctl: TLS is not tested: openssl or python3 is not installed\n");
        return;
    }
    assert_run(OK, "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days "
                   "2 -subj /CN=localhost "
                   "-addext subjectAltName=DNS:localhost 2>/dev/null");
    write_text(
        "s.py",
        "import http.server, ssl\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(s):\n"
        "        s.send_response(200); s.end_headers()\n"
        "        s.wfile.write(b'{\"losses\": [{\"name\": \"its_own\", \"title\": \"T\"}]}')\n"
        "    log_message = lambda *a: None\n"
        "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "c.load_cert_chain('cert.pem', 'key.pem')\n"
        "c.load_verify_locations('cert.pem'); c.verify_mode = ssl.CERT_REQUIRED\n"
        "v = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
        "v.socket = c.wrap_socket(v.socket, server_side=True, do_handshake_on_connect=False)\n"
        "print(v.server_port, flush=True)\nv.serve_forever()\n");
    assert_run(OK, "python3 s.py >port 2>/dev/null & S=$!; for i in $(seq 100); do test -s port || "
                   "sleep 0.1; done; "
                   "U=https://localhost:$(cat port); $L list --url $U --cacert cert.pem --cert "
                   "cert.pem --key key.pem; A=$?; "
                   "$L list --url $U --cert cert.pem --key key.pem; B=$?; $L list --url $U "
                   "--cacert cert.pem; C=$?; "
                   "kill $S; echo $A $B $C");
    ck_assert_str_eq(out, "its_own  T\n0 3 3\n");
}
END_TEST

Suite *lossctl_suite(void)
{
    Suite *suite = suite_create("lossctl");
    if (!find_program()) {
        fprintf(stderr, "lossctl: not tested: it is not built (libcurl4-openssl-dev)\n");
        return suite;
    }
    TCase *tcase = suite_add_case(suite, "lossctl", 60, setup, teardown);
    TCase *slow = suite_add_case(suite, "lossctl_slow", 60, setup, teardown);
    tcase_set_tags(slow, TAG_SLOW);
    tcase_add_test(tcase, list_and_show_agree_with_the_server);
    tcase_add_test(tcase, every_loss_and_command_has_help);
    tcase_add_loop_test(tcase, eval_is_bit_identical_locally_remotely_and_in_the_library, 0,
                        (int)loss_count());
    tcase_add_test(tcase, tensors_are_read_from_every_format_and_stdin);
    tcase_add_test(tcase, gradients_are_written_in_every_format_and_to_stdout);
    tcase_add_test(tcase, fortran_order_and_big_endian_arrays_are_read_correctly);
    tcase_add_test(tcase, results_are_printed_as_text_and_json);
    tcase_add_test(tcase, command_line_errors_say_what_is_expected);
    tcase_add_test(tcase, file_errors_name_file_and_position);
    tcase_add_test(tcase, csv_header_is_detected);
    tcase_add_test(tcase, csv_header_option_overrides_detection);
    tcase_add_test(tcase, byte_order_mark_is_ignored);
    tcase_add_test(slow, timeout_is_sent_to_the_server);
    tcase_add_test(tcase, server_errors_are_reported);
    tcase_add_test(tcase, compare_agrees_with_eval);
    tcase_add_test(tcase, doctor_checks_a_server);
    tcase_add_test(slow, bench_measures_every_format_and_writes_three_reports);
    tcase_add_test(slow, bench_at_a_fixed_rate_counts_requests_delayed_by_a_stall);
    tcase_add_test(slow, bench_fails_if_a_limit_is_missed);
    tcase_add_test(tcase, bench_option_errors_say_what_is_expected);
    tcase_add_test(tcase, tokens_and_unix_sockets_are_supported);
    tcase_add_test(tcase, tls_certificates_are_sent_and_verified);
    tcase_add_test(tcase, completions_include_commands_losses_options_and_values);
    tcase_add_test(tcase, completions_and_manual_pages_are_valid);
    tcase_add_test(slow, operations_over_a_second_show_progress);
    return suite;
}
