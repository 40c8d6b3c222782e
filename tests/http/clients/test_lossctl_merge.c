/* Tests lossctl merge: partial results of a server have the loss of the whole batch, in any order
   and in steps; files that do not fit are named. */

#include "lossctl_run.h"
#include "memory/buffer.h"
#include "suites.h"
#include "support/folder.h"
#include "support/http_client.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 61, COLUMNS = 3 };

static struct http_client client;
static struct http_response response;

static void setup(void)
{
    lossctl_setup();
    setenv("LOSSD_URL", "http://127.0.0.1:1", 1); /* no server is used */
    ck_assert(http_client_connect(&client, "127.0.0.1", lossctl_server.port));
}

static void teardown(void)
{
    http_client_close(&client);
    lossctl_teardown();
}

/* ---- Parts ---- */

static double input[ROWS][COLUMNS], weight[ROWS];

/* Numbers of very different magnitudes. */
static void fill(void)
{
    uint64_t state = RANDOM_SEED;
    for (int i = 0; i < ROWS; i++) {
        weight[i] = (double)(random_bits(&state) >> 40) * 0x1p-20;
        for (int k = 0; k < COLUMNS; k++)
            input[i][k] = ((double)(random_bits(&state) >> 11) * 0x1p-53 - 0.5) *
                          ((i + k) % 7 == 0 ? 1e6 : 3);
    }
}

static const struct setting {
    const char *loss, *fields;
    bool classes, weights; /* targets are class indices; there are sample weights */
} settings[] = {{"mse", "", false, false},
                {"huber", ",\"delta\":0.5,\"reduction\":\"sum\"", false, true},
                {"cross_entropy", ",\"weight\":[0.1,0.2,0.7]", true, false}};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

static void append_rows(struct buffer *out, const struct setting *setting, int first, int end)
{
    buffer_text(out, "{\"input\":[");
    for (int i = first; i < end; i++)
        buffer_printf(out, "%s[%.17g,%.17g,%.17g]", i > first ? "," : "", input[i][0], input[i][1],
                      input[i][2]);
    buffer_text(out, "],\"target\":[");
    for (int i = first; i < end; i++)
        buffer_printf(out, setting->classes ? "%s%d" : "%s[%d,1,0.5]", i > first ? "," : "",
                      i % COLUMNS);
    buffer_text(out, setting->weights ? "],\"sample_weight\":[" : "]");
    for (int i = first; setting->weights && i < end; i++)
        buffer_printf(out, "%s%.17g", i > first ? "," : "", weight[i]);
    buffer_text(out, setting->weights ? "]" : "");
}

/* Evaluates rows [first, end) and keeps the response. */
static void evaluate(const struct setting *setting, int first, int end, const char *headers)
{
    struct buffer body = {0};
    char path[64];
    snprintf(path, sizeof path, "/v1/losses/%s", setting->loss);
    append_rows(&body, setting, first, end);
    buffer_printf(&body, "%s,\"partial\":true,\"offset\":%d}", setting->fields, first);
    ck_assert(http_client_ask(&client, "POST", path, headers, body.data, body.len, &response));
    ck_assert_msg(response.status == 200, "%s", response.body);
    buffer_free(&body);
}

/* Returns the partial result in the last response, which ends there. */
static const char *partial_of_response(void)
{
    char *const text = strstr(response.body, "\"partial\":");
    ck_assert_ptr_nonnull(text);
    text[strlen(text) - strlen("}\n")] = '\0';
    return text + strlen("\"partial\":");
}

/* Evaluates a batch in `count` parts. Writes each to a file, as a response or as its partial
   result; and a request to merge them to `request`. */
static void write_parts(const struct setting *setting, int count, struct buffer *request)
{
    buffer_text(request, "{\"partials\":[");
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "part-%d.json", i);
        evaluate(setting, i * ROWS / count, (i + 1) * ROWS / count, NULL);
        if (i % 2 == 0)
            folder_write(name, response.body);
        const char *const partial = partial_of_response();
        if (i % 2 == 1)
            folder_write(name, partial);
        buffer_printf(request, "%s%s", i ? "," : "", partial);
    }
    buffer_text(request, "]}");
}

/* Writes the names of the files of `count` parts. */
static void name_parts(int count, bool reversed, char *names, size_t size)
{
    names[0] = '\0';
    for (int i = 0; i < count; i++)
        snprintf(names + strlen(names), size - strlen(names), " part-%d.json",
                 reversed ? count - 1 - i : i);
}

/* Writes the loss of a response as lossctl prints it. */
static void loss_of_response(char *text, size_t size)
{
    const char *const loss = strstr(response.body, "\"loss\":") + strlen("\"loss\":");
    snprintf(text, size, "%.*s\n", (int)strcspn(loss, ","), loss);
}

/* _i is the setting. */
START_TEST(merged_parts_have_the_loss_of_the_whole_batch)
{
    static const int counts[] = {1, 2, 7};
    char loss[64], names[256];
    fill();
    evaluate(&settings[_i], 0, ROWS, NULL);
    loss_of_response(loss, sizeof loss);
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        struct buffer request = {0};
        write_parts(&settings[_i], counts[k], &request);
        ck_assert(http_client_ask(&client, "POST", "/v1/merge", NULL, request.data, request.len,
                                  &response));
        buffer_free(&request);
        for (int i = 0; i < 2; i++) {
            name_parts(counts[k], i == 1, names, sizeof names);
            assert_run(OK, "$L merge%s --quiet", names);
            ck_assert_str_eq(lossctl_out, loss);
            assert_run(OK, "$L merge --json%s", names);
            ck_assert_str_eq(lossctl_out, response.body);
            ck_assert_str_eq(lossctl_err, "");
        }
    }
}
END_TEST

START_TEST(safetensors_responses_are_merged)
{
    fill();
    evaluate(&settings[0], 0, 20, "Accept: application/vnd.safetensors\r\n");
    folder_write_bytes("a.safetensors", response.body, response.body_len);
    evaluate(&settings[0], 20, ROWS, NULL);
    folder_write("b.json", response.body);
    evaluate(&settings[0], 0, ROWS, NULL);
    folder_write("all.json", response.body);
    assert_run(OK, "$L merge a.safetensors - <b.json >merged && $L merge all.json | cmp merged -");
    evaluate(&settings[0], 0, 20, NULL);
    folder_write("a.json", response.body);
    assert_run(OK, "cat a.json | $L merge --json b.json - >merged && "
                   "$L merge all.json --json | cmp merged -");
}
END_TEST

/* ---- Output ---- */

/* A part of a batch of huber. */
#define PARTIAL(delta, sum, terms, nan, rows, warnings)                                            \
    "{\"format\":\"lossd-partial-1\",\"loss\":\"huber\",\"reduction\":\"mean\",\"dtype\":"         \
    "\"float32\",\"parameters\":{\"delta\":" delta "},\"tensors\":{\"input\":[\"float32\"],"       \
    "\"target\":[\"float32\"]},\"whole\":{},\"weighed\":false,\"sum\":\"" sum                      \
    "\",\"weight\":\"0x0p+0\",\"terms\":" terms ",\"samples\":" terms ",\"count\":" terms          \
    ",\"nan\":" nan ",\"inf\":0,\"neginf\":0,\"rows\":" rows ",\"warnings\":" warnings "}"

static void write_small_parts(void)
{
    folder_write("a.json", PARTIAL("0.5", "0x1p+0", "2", "0", "[[0,2]]", "[]"));
    folder_write("b.json", PARTIAL("0.5", "0x3p-1", "2", "0", "[[2,4]]", "[]"));
    folder_write("c.json", PARTIAL("0.5", "0x1p+3", "2", "0", "[[7,9]]", "[]"));
}

START_TEST(results_are_printed_as_text)
{
    write_small_parts();
    assert_run(OK, "$L merge b.json a.json");
    ck_assert_str_eq(lossctl_out, "loss       0.625\nreduction  mean\ndtype      float32\n"
                                  "count      4\nrows       0 to 3\n");
    assert_run(OK, "$L merge b.json c.json a.json --partial all.json");
    ck_assert_str_eq(lossctl_out, "loss       1.75\nreduction  mean\ndtype      float32\n"
                                  "count      6\nrows       0 to 3, 7 to 8\npartial    all.json\n");
    folder_write("d.json", PARTIAL("0.5", "0x1p+0", "2", "1", "[]",
                                   "[\"the shapes of target and input differ; they are "
                                   "broadcast, which is probably not intended\"]"));
    assert_run(OK, "$L merge d.json");
    ck_assert_str_eq(lossctl_out,
                     "loss       \"NaN\"\nreduction  mean\ndtype      float32\ncount      2\n"
                     "warning    1 of the terms is NaN or infinite\n"
                     "warning    the shapes of target and input differ; they are broadcast, which "
                     "is probably not intended\n");
    assert_run(OK, "$L merge d.json --quiet");
    ck_assert_str_eq(lossctl_out, "\"NaN\"\n");
    folder_write("e.json", PARTIAL("0.5", "0x1p+0", "99", "0",
                                   "[[0,1],[2,3],[4,5],[6,7],[8,9],[10,11],[12,13],[14,15],"
                                   "[16,17],[18,19]]",
                                   "[]"));
    assert_run(OK, "$L merge e.json");
    assert_has(lossctl_out, "rows       0 to 0, 2 to 2, 4 to 4, 6 to 6, 8 to 8, 10 to 10, "
                            "12 to 12, 14 to 14, and 2 more intervals\n");
    assert_run(OK, "$L merge --help");
    assert_has(lossctl_out, "usage: lossctl merge FILE... ");
    assert_has(lossctl_out, "--partial FILE");
}
END_TEST

START_TEST(partial_results_are_written_and_merged_again)
{
    write_small_parts();
    assert_run(OK, "$L merge a.json b.json c.json --partial all.json --json");
    const char *const partial = strstr(lossctl_out, "\"partial\":") + strlen("\"partial\":");
    char expected[LOSSCTL_TEXT], found[LOSSCTL_TEXT];
    snprintf(expected, sizeof expected, "%.*s\n", (int)(strlen(partial) - strlen("}\n")), partial);
    folder_read("all.json", found, sizeof found);
    ck_assert_str_eq(found, expected);
    assert_run(OK, "$L merge c.json a.json --partial two.json -q && $L merge b.json two.json "
                   "--partial again.json && cmp again.json all.json && "
                   "$L merge again.json --partial again.json && cmp again.json all.json");
    /* the result goes to stderr */
    assert_run(OK, "$L merge c.json a.json --partial - -q | $L merge b.json - --partial -");
    ck_assert_str_eq(lossctl_out, expected);
    assert_has(lossctl_err, "loss       1.75\n");
    assert_run(OK, "$L merge c.json a.json --partial - -q --json | $L merge b.json - --partial -");
    ck_assert_str_eq(lossctl_out, expected);
    assert_run(OK, "$L merge all.json --partial /dev/stdout -q | cat");
    assert_run(OK, "ls | grep -v json; true");
    ck_assert_str_eq(lossctl_out, "");
}
END_TEST

START_TEST(thousands_of_files_are_merged)
{
    folder_write("part", PARTIAL("0.5", "0x1p+0", "1", "0", "[[FIRST,END]]", "[]"));
    assert_run(OK, "mkdir many && awk '{ for (i = 0; i < 3000; i++) { t = $0; sub(/FIRST/, i, t); "
                   "sub(/END/, i + 1, t); f = \"many/\" i; print t >f; close(f) } }' part");
    assert_run(OK, "$L merge many/*");
    ck_assert_str_eq(lossctl_out, "loss       1\nreduction  mean\ndtype      float32\n"
                                  "count      3000\nrows       0 to 2999\n");
    assert_run(OK, "rm -r many");
}
END_TEST

/* ---- Errors ---- */

START_TEST(files_that_are_not_partial_results_are_named)
{
#define NOT_PARTIAL                                                                                \
    "neither a partial result nor a response that contains one; send requests with \"partial\": "  \
    "true"
    write_small_parts();
    assert_wrong(USAGE, "missing FILE...; usage: lossctl merge FILE... [--option value]...",
                 "$L merge");
    assert_wrong(USAGE, "merge has no option --grad; `--help` lists all options",
                 "$L merge a.json --grad x.npy");
    assert_wrong(INPUT, "cannot read no.json: No such file or directory",
                 "$L merge a.json no.json");
    assert_wrong(INPUT, "cannot read d: Is a directory", "mkdir d; $L merge a.json d b.json");
    assert_run(OK, "rmdir d");
    folder_write("empty.json", "");
    assert_wrong(INPUT, "empty.json: the file is empty", "$L merge a.json empty.json");
    assert_wrong(INPUT, "standard input: the file is empty", "$L merge a.json -");
    assert_wrong(USAGE, "standard input is given twice", "cat a.json | $L merge - b.json -");
    folder_write("x.json", "loss 0.5\n");
    assert_wrong(INPUT, "x.json: 'l' where '{' was expected (byte 0)", "$L merge a.json x.json");
    folder_write("x.json", "[1, 2]");
    assert_wrong(INPUT, "x.json: '[' where '{' was expected (byte 0)", "$L merge x.json");
    folder_write("x.json", "{\"loss\":0.5,\"partial\":{");
    assert_wrong(INPUT, "x.json: the end where a field name in quotes was expected (byte 23)",
                 "$L merge x.json");
    folder_write("x.json", "{\"loss\":0.5,\"reduction\":\"mean\"}\n");
    assert_wrong(INPUT, "x.json: " NOT_PARTIAL, "$L merge a.json x.json");
    folder_write("x.json", "{\"partial\":1}");
    assert_wrong(INPUT, "x.json: a partial result is 1; it must be an object (byte 11)",
                 "$L merge x.json");
    folder_write("x.json", "{\"partial\":{},\"partial\":{}}");
    assert_wrong(INPUT, "x.json: duplicate field 'partial' (byte 24)", "$L merge x.json");
    folder_write("x.json", PARTIAL("0.5", "0x2p+0", "2", "0", "[]", "[]"));
    assert_wrong(INPUT,
                 "x.json: sum is '0x2p+0'; it must be an odd hexadecimal integer times a power of "
                 "two, such as -0x1fp-3, or 0x0p+0 (byte 193)",
                 "$L merge a.json x.json");
    folder_write("x.json", PARTIAL("0.5", "0x1p+0", "2", "3", "[]", "[]"));
    assert_wrong(INPUT, "x.json: nan, inf and neginf exceed terms", "$L merge a.json x.json");
    assert_run(OK, "sed s/partial-1/partial-2/ a.json >x.json");
    assert_wrong(INPUT, "x.json: format is 'lossd-partial-2'; this version reads 'lossd-partial-1'",
                 "$L merge x.json");
    assert_run(OK, "cat a.json b.json >x.json");
    assert_wrong(INPUT, "x.json: '{' where the end was expected (byte 308)", "$L merge x.json");
    write_small_tensors();
    assert_wrong(INPUT, "x.npy: byte 0x93 where '{' was expected (byte 0)", "$L merge x.npy");
    assert_run(OK, "$L eval mse --local -q --input x.npy --target y.npy --terms x.safetensors");
    assert_wrong(INPUT, "x.safetensors: " NOT_PARTIAL, "$L merge x.safetensors");
}
END_TEST

START_TEST(parts_that_do_not_belong_together_are_named)
{
    char before[LOSSCTL_TEXT], after[LOSSCTL_TEXT];
    write_small_parts();
    folder_write("x.json", PARTIAL("1", "0x1p+0", "2", "0", "[]", "[]"));
    assert_wrong(INPUT, "x.json: delta is 1, but 0.5 in a.json", "$L merge a.json b.json x.json");
    assert_wrong(INPUT, "b.json: delta is 0.5, but 1 in standard input",
                 "cat x.json | $L merge - b.json");
    assert_run(OK, "sed 's/\"float32\",\"par/\"float64\",\"par/' a.json >x.json");
    assert_wrong(INPUT, "x.json: dtype is float64, but float32 in b.json",
                 "$L merge b.json x.json");
    evaluate(&settings[0], 0, 2, NULL);
    folder_write("x.json", response.body);
    assert_wrong(INPUT, "x.json: loss is mse, but huber in a.json", "$L merge a.json x.json");
    folder_write("x.json", PARTIAL("0.5", "0x1p+0", "9", "0", "[[1,3],[8,10]]", "[]"));
    assert_wrong(INPUT, "x.json: rows 1 to 1 are also in a.json",
                 "$L merge c.json b.json a.json x.json");
    assert_wrong(INPUT, "c.json: rows 8 to 8 are also in x.json", "$L merge x.json c.json");
    assert_wrong(INPUT, "a.json: rows 0 to 1 are also in a.json", "$L merge a.json a.json");
    folder_read("b.json", before, sizeof before);
    assert_wrong(INPUT, "x.json: rows 1 to 1 are also in a.json",
                 "$L merge a.json x.json --partial b.json");
    folder_read("b.json", after, sizeof after);
    ck_assert_str_eq(after, before);
    assert_wrong(FAILED, "cannot write no/x.json: No such file or directory",
                 "$L merge a.json b.json --partial no/x.json");
    assert_wrong(FAILED, "cannot write /dev/full: No space left on device",
                 "$L merge a.json b.json --partial /dev/full");
    assert_wrong(USAGE, "--partial is ''; it must be a file name",
                 "$L merge a.json b.json --partial ''");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_merge_suite(void)
{
    Suite *suite = suite_create("lossctl_merge");
    if (!lossctl_find())
        return suite;
    TCase *const tcase = suite_add_case(suite, "lossctl_merge", 60, setup, teardown);
    tcase_add_loop_test(tcase, merged_parts_have_the_loss_of_the_whole_batch, 0, SETTINGS);
    CASE_ADD(tcase, safetensors_responses_are_merged, results_are_printed_as_text,
             partial_results_are_written_and_merged_again, thousands_of_files_are_merged,
             files_that_are_not_partial_results_are_named,
             parts_that_do_not_belong_together_are_named);
    return suite;
}
