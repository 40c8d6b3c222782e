/*
 * A batch split into parts: evaluated by two servers and merged, it has the loss of the whole
 * batch, and with `divisor` its gradients, in every format. Partial results that do not belong
 * together, and texts that are not partial results, are rejected.
 */
#include "memory/buffer.h"
#include "suites.h"
#include "support/random.h"
#include "support/server_fixture.h"
#include "support/tensor_file.h"
#include "json/scanner.h"
#include "json/tensor_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 61, COLUMNS = 5, TENSORS = 4, MAX_PARTS = 7, TEXT = 64, VALUES = ROWS * COLUMNS };

static struct server_process second;
static struct http_client clients[2];

static void setup(void)
{
    start_server(server_process_defaults);
    server_process_start(&second, server_process_defaults);
    ck_assert(http_client_connect(&clients[0], "127.0.0.1", server.port));
    ck_assert(http_client_connect(&clients[1], "127.0.0.1", second.port));
}

static void teardown(void)
{
    http_client_close(&clients[0]);
    http_client_close(&clients[1]);
    server_process_end(&second);
    end_server();
}

/* ---- Batches ---- */

static float input[VALUES], target[VALUES], sample_weight[ROWS], class_weight[COLUMNS];
static int64_t classes[ROWS];

/* Numbers of very different magnitudes. */
static void fill(void)
{
    uint64_t state = RANDOM_SEED;
    for (int i = 0; i < VALUES; i++) {
        const double u = (double)(random_bits(&state) >> 11) * 0x1p-53;
        input[i] = (float)((u - 0.5) * (i % 7 == 0 ? 1e6 : 3));
        target[i] = (float)(random_bits(&state) >> 40) * 0x1p-24F;
    }
    for (int i = 0; i < ROWS; i++) {
        sample_weight[i] = (float)(random_bits(&state) >> 40) * 0x1p-20F;
        classes[i] = i % 9 == 0 ? -100 : (int64_t)(random_bits(&state) % COLUMNS);
    }
    for (int i = 0; i < COLUMNS; i++)
        class_weight[i] = 0.1F * (float)(i + 1);
}

/* A tensor of a batch. */
struct operand {
    const char *name;
    const void *data;
    enum loss_dtype dtype;
    size_t columns; /* elements of a row; 1: rows are numbers */
    bool shared;    /* by all rows */
};

static const struct setting {
    const char *loss, *reduction, *option, *value;
    struct operand operand[TENSORS];
} settings[] = {
#define MATRICES                                                                                   \
    {"input", input, LOSS_FLOAT32, COLUMNS, false},                                                \
    {                                                                                              \
        "target", target, LOSS_FLOAT32, COLUMNS, false                                             \
    }
#define LOGITS                                                                                     \
    {"input", input, LOSS_FLOAT32, COLUMNS, false},                                                \
    {                                                                                              \
        "target", classes, LOSS_INT64, 1, false                                                    \
    }
    {"mse", "mean", NULL, NULL, {MATRICES}},
    {"huber", "sum", "delta", "0.5", {MATRICES}},
    {"mse",
     "mean",
     NULL,
     NULL,
     {MATRICES, {"sample_weight", sample_weight, LOSS_FLOAT32, 1, false}}},
    {"kl_div", "batchmean", NULL, NULL, {MATRICES}},
    {"bce_with_logits",
     "mean",
     NULL,
     NULL,
     {MATRICES, {"pos_weight", class_weight, LOSS_FLOAT32, COLUMNS, true}}},
    {"cross_entropy",
     "mean",
     "label_smoothing",
     "0.1",
     {LOGITS, {"weight", class_weight, LOSS_FLOAT32, COLUMNS, true}}},
    {"nll", "mean", NULL, NULL, {LOGITS}},
};
enum { SETTINGS = sizeof settings / sizeof settings[0] };

/* Returns rows [first, end) of an operand. */
static struct loss_tensor rows_of(const struct operand *operand, size_t first, size_t end)
{
    struct loss_tensor tensor = {.dtype = operand->dtype};
    const size_t skip = operand->shared ? 0 : first * operand->columns;
    tensor.data = (char *)(uintptr_t)operand->data + skip * loss_dtype_size(operand->dtype);
    if (!operand->shared)
        tensor.shape[tensor.rank++] = end - first;
    if (operand->columns > 1)
        tensor.shape[tensor.rank++] = operand->columns;
    return tensor;
}

/* ---- Requests ---- */

enum format { JSON, SAFETENSORS_FILE, OIP, FORMATS };

/* A part of a batch, and what is requested. */
struct part {
    const struct setting *setting;
    size_t first, end;
    bool partial, grad;
    const char *divisor; /* NULL: none */
};

/* What a response contains. */
struct answer {
    double loss;
    char loss_text[TEXT]; /* in JSON */
    char *partial;        /* owned; NULL if there is none */
    float grad[VALUES];
};

/* Calls `add` for each field that is not a tensor. */
static void each_field(const struct part *part,
                       void (*add)(struct buffer *, const char *, const char *), struct buffer *out)
{
    char offset[TEXT];
    snprintf(offset, sizeof offset, "%zu", part->first);
    add(out, "reduction", part->setting->reduction);
    if (part->setting->option)
        add(out, part->setting->option, part->setting->value);
    if (part->partial) {
        add(out, "partial", "true");
        add(out, "offset", offset);
    }
    if (part->divisor)
        add(out, "divisor", part->divisor);
}

static void add_json(struct buffer *out, const char *name, const char *value)
{
    const char *const quote = strcmp(name, "reduction") == 0 ? "\"" : "";
    buffer_printf(out, ",\"%s\":%s%s%s", name, quote, value, quote);
}

static void add_query(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "&%s=%s", name, value);
}

static void shape_text(const struct loss_tensor *tensor, char *text)
{
    text[0] = '\0';
    for (int axis = 0; axis < tensor->rank; axis++)
        sprintf(text + strlen(text), axis ? ",%zu" : "%zu", tensor->shape[axis]);
}

static char *copy_of(const char *text, size_t len)
{
    char *const copy = malloc(len + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static struct answer ask_json(struct http_client *to, const struct part *part)
{
    struct answer answer = {.partial = NULL};
    struct buffer body = {0};
    char path[TEXT];
    const char *at;
    buffer_text(&body, part->grad ? "{\"grad\":true,\"encoding\":\"flat\"" : "{\"grad\":false");
    for (int k = 0; k < TENSORS && part->setting->operand[k].name; k++) {
        const struct loss_tensor tensor =
            rows_of(&part->setting->operand[k], part->first, part->end);
        buffer_printf(&body, ",\"%s\":", part->setting->operand[k].name);
        if (tensor.dtype == LOSS_INT64) {
            for (size_t i = 0; i < tensor.shape[0]; i++)
                buffer_printf(&body, "%c%lld", i ? ',' : '[', ((long long *)tensor.data)[i]);
            buffer_text(&body, "]");
        } else {
            tensor_json_encode(&body, &tensor, FORM_BASE64, 1);
        }
    }
    each_field(part, add_json, &body);
    buffer_text(&body, "}");
    snprintf(path, sizeof path, "/v1/losses/%s", part->setting->loss);
    ck_assert(http_client_ask(to, "POST", path, NULL, body.data, body.len, &response));
    buffer_free(&body);
    ck_assert_msg(response.status == 200, "%s", response.body);
    const char *const loss = strstr(response.body, "\"loss\":") + 7;
    snprintf(answer.loss_text, sizeof answer.loss_text, "%.*s", (int)strcspn(loss, ","), loss);
    const char *const text = strstr(response.body, "\"partial\":");
    if (text)
        answer.partial =
            copy_of(text + 10, (size_t)(json_skip_value(text + 10, NULL, &at) - text) - 10);
    json_t *const tree = json_loads(response.body, 0, NULL);
    answer.loss = json_number_value(json_object_get(tree, "loss"));
    const json_t *const data =
        json_object_get(json_object_get(json_object_get(tree, "grad"), "input"), "data");
    for (size_t i = 0; i < json_array_size(data); i++)
        answer.grad[i] = (float)json_number_value(json_array_get(data, i));
    json_decref(tree);
    return answer;
}

static struct answer ask_file(struct http_client *to, const struct part *part)
{
    struct answer answer = {.partial = NULL};
    struct tensor_file file = {0};
    struct buffer path = {0};
    char shape[TEXT];
    size_t len;
    for (int k = 0; k < TENSORS && part->setting->operand[k].name; k++) {
        const struct loss_tensor tensor =
            rows_of(&part->setting->operand[k], part->first, part->end);
        shape_text(&tensor, shape);
        tensor_file_add(&file, part->setting->operand[k].name,
                        tensor.dtype == LOSS_INT64 ? "I64" : "F32", shape, tensor.data,
                        loss_tensor_bytes(&tensor));
    }
    struct buffer body = tensor_file_end(&file, 0);
    buffer_printf(&path, "/v1/losses/%s?grad=%s", part->setting->loss,
                  part->grad ? "true" : "false");
    each_field(part, add_query, &path);
    buffer_append(&path, "", 1);
    ck_assert(http_client_ask(to, "POST", path.data,
                              "Content-Type: application/vnd.safetensors\r\n", body.data, body.len,
                              &response));
    buffer_free(&body);
    buffer_free(&path);
    ck_assert_msg(response.status == 200, "%s", response.body);
    struct tensor_answer file_answer = tensor_answer_read(response.body, response.body_len);
    memcpy(&answer.loss, tensor_answer_data(&file_answer, "loss", "F64", "", &len),
           sizeof answer.loss);
    const char *const partial = tensor_answer_metadata(&file_answer, "partial");
    if (partial)
        answer.partial = copy_of(partial, strlen(partial));
    if (part->grad) {
        sprintf(shape, "%zu,%d", part->end - part->first, COLUMNS);
        const void *const grad = tensor_answer_data(&file_answer, "grad_input", "F32", shape, &len);
        memcpy(answer.grad, grad, len);
    }
    tensor_answer_free(&file_answer);
    return answer;
}

static void append_oip_inputs(const struct part *part, struct buffer *json, struct buffer *data)
{
    char shape[TEXT];
    for (int k = 0; k < TENSORS && part->setting->operand[k].name; k++) {
        const struct loss_tensor tensor =
            rows_of(&part->setting->operand[k], part->first, part->end);
        shape_text(&tensor, shape);
        buffer_printf(json,
                      "%s{\"name\":\"%s\",\"shape\":[%s],\"datatype\":\"%s\",\"parameters\":{"
                      "\"binary_data_size\":%zu}}",
                      k ? "," : "{\"inputs\":[", part->setting->operand[k].name, shape,
                      tensor.dtype == LOSS_INT64 ? "INT64" : "FP32", loss_tensor_bytes(&tensor));
        buffer_append(data, tensor.data, loss_tensor_bytes(&tensor));
    }
    buffer_printf(
        json, "],\"outputs\":[{\"name\":\"loss\"}%s],\"parameters\":{\"binary_data_output\":true",
        part->grad ? ",{\"name\":\"grad_input\"}" : "");
    each_field(part, add_json, json);
    buffer_text(json, "}}");
}

static struct answer ask_oip(struct http_client *to, const struct part *part)
{
    struct answer answer = {.partial = NULL};
    struct buffer json = {0}, data = {0};
    char path[TEXT], headers[TEXT], length[TEXT];
    append_oip_inputs(part, &json, &data);
    snprintf(headers, sizeof headers, "Inference-Header-Content-Length: %zu\r\n", json.len);
    buffer_append(&json, data.data, data.len);
    snprintf(path, sizeof path, "/v2/models/%s/infer", part->setting->loss);
    ck_assert(http_client_ask(to, "POST", path, headers, json.data, json.len, &response));
    buffer_free(&json);
    buffer_free(&data);
    ck_assert_msg(response.status == 200, "%s", response.body);
    ck_assert_ptr_nonnull(
        http_response_header(&response, "Inference-Header-Content-Length", length, sizeof length));
    const size_t len = strtoul(length, NULL, 10);
    json_t *const tree = json_loadb(response.body, len, 0, NULL);
    ck_assert_ptr_nonnull(tree);
    const char *const partial =
        json_string_value(json_object_get(json_object_get(tree, "parameters"), "partial"));
    if (partial)
        answer.partial = copy_of(partial, strlen(partial));
    memcpy(&answer.loss, response.body + len, sizeof answer.loss);
    if (part->grad)
        memcpy(answer.grad, response.body + len + sizeof answer.loss,
               (part->end - part->first) * COLUMNS * sizeof(float));
    json_decref(tree);
    return answer;
}

static struct answer ask_part(enum format format, struct http_client *to, const struct part *part)
{
    if (format == JSON)
        return ask_json(to, part);
    return format == OIP ? ask_oip(to, part) : ask_file(to, part);
}

/* ---- Merging ---- */

/* Sends partial results to be merged, in reverse order if `reversed`. Returns the merged one. */
static char *merge(struct http_client *to, char *const partials[], int count, bool reversed,
                   char *loss_text)
{
    struct buffer body = {0};
    const char *at;
    for (int i = 0; i < count; i++)
        buffer_printf(&body, "%s%s", i ? "," : "{\"partials\":[",
                      partials[reversed ? count - 1 - i : i]);
    buffer_text(&body, "]}");
    ck_assert(http_client_ask(to, "POST", "/v1/merge", NULL, body.data, body.len, &response));
    buffer_free(&body);
    ck_assert_msg(response.status == 200, "%s", response.body);
    const char *const loss = strstr(response.body, "\"loss\":") + 7;
    snprintf(loss_text, TEXT, "%.*s", (int)strcspn(loss, ","), loss);
    const char *const text = strstr(response.body, "\"partial\":") + 10;
    return copy_of(text, (size_t)(json_skip_value(text, NULL, &at) - text));
}

/* Writes what the reduction of a partial result divides by. Returns NULL for a sum. */
static const char *divisor_of(const char *partial, char *text)
{
    json_t *const tree = json_loads(partial, 0, NULL);
    const char *const reduction = json_string_value(json_object_get(tree, "reduction"));
    double divisor = (double)json_integer_value(json_object_get(tree, "terms"));
    if (json_is_true(json_object_get(tree, "weighed")))
        divisor = strtod(json_string_value(json_object_get(tree, "weight")), NULL);
    else if (strcmp(reduction, "batchmean") == 0)
        divisor = (double)json_integer_value(json_object_get(tree, "samples"));
    snprintf(text, TEXT, "%.17g", divisor);
    const bool divides = strcmp(reduction, "sum") != 0;
    json_decref(tree);
    return divides ? text : NULL;
}

static size_t bound(int part, int parts)
{
    return (size_t)(part * ROWS / parts);
}

/* Evaluates the parts without gradients, and merges them. Returns the merged partial result. */
static char *merge_parts(const struct setting *setting, enum format format, int parts,
                         const char *loss_text)
{
    char *partial[MAX_PARTS], text[TEXT];
    for (int i = 0; i < parts; i++) {
        const struct part part = {setting, bound(i, parts), bound(i + 1, parts), true, false, NULL};
        partial[i] = ask_part(format, &clients[i % 2], &part).partial;
        ck_assert_ptr_nonnull(partial[i]);
    }
    char *const merged = merge(&clients[0], partial, parts, false, text), *const reversed = merge(
                                                                              &clients[1], partial,
                                                                              parts, true, text);
    ck_assert_str_eq(text, loss_text);
    ck_assert_str_eq(merged, reversed);
    if (parts == 1)
        ck_assert_str_eq(merged, partial[0]);
    for (int i = 0; i < parts; i++)
        free(partial[i]);
    free(reversed);
    return merged;
}

/* _i is the setting. */
START_TEST(parts_have_the_result_of_the_whole_batch)
{
    static const int counts[] = {1, 2, MAX_PARTS};
    const struct setting *const setting = &settings[_i];
    const struct part all = {setting, 0, ROWS, false, true, NULL};
    const struct answer whole = (fill(), ask_json(&clients[0], &all));
    char divisor[TEXT], *first = NULL;
    for (enum format format = JSON; format < FORMATS; format++)
        for (int k = 0; k < 3; k++) {
            float grad[VALUES];
            char *const merged = merge_parts(setting, format, counts[k], whole.loss_text);
            if (!first)
                first = copy_of(merged, strlen(merged));
            ck_assert_str_eq(merged, first);
            for (int i = 0; i < counts[k]; i++) {
                const struct part part = {
                    setting, bound(i, counts[k]),        bound(i + 1, counts[k]), false,
                    true,    divisor_of(merged, divisor)};
                const struct answer answer = ask_part(format, &clients[i % 2], &part);
                memcpy(grad + part.first * COLUMNS, answer.grad,
                       (part.end - part.first) * COLUMNS * sizeof *grad);
            }
            ck_assert_mem_eq(grad, whole.grad, sizeof grad);
            free(merged);
        }
    free(first);
}
END_TEST

START_TEST(empty_parts_and_nonfinite_terms_are_merged)
{
    char *partial[3], text[TEXT];
    static const char *const bodies[] = {
        "{\"input\":[],\"target\":[],\"partial\":true,\"offset\":0}",
        "{\"input\":[1,Infinity],\"target\":[0,0],\"partial\":true,\"offset\":1}",
        "{\"input\":[NaN],\"target\":[0],\"partial\":true}"};
    const char *at;
    for (int i = 0; i < 3; i++) {
        ask("POST", "/v1/losses/mse", NULL, bodies[i]);
        ck_assert_int_eq(response.status, 200);
        const char *const start = strstr(response.body, "\"partial\":") + 10;
        partial[i] = copy_of(start, (size_t)(json_skip_value(start, NULL, &at) - start));
    }
    char *merged = merge(&client, partial, 2, false, text);
    ck_assert_str_eq(text, "\"Infinity\"");
    expect_text(response.body, "\"count\":2,\"nonfinite\":1,\"partial\"");
    expect_text(merged, "\"sum\":\"0x1p+0\",\"weight\":\"0x0p+0\",\"terms\":2,\"samples\":2,"
                        "\"count\":2,\"nan\":0,\"inf\":1,\"neginf\":0,\"rows\":[[1,3]]");
    free(merged);
    merged = merge(&client, partial, 3, false, text);
    ck_assert_str_eq(text, "\"NaN\"");
    free(merged);
    merged = merge(&client, partial, 1, false, text);
    ck_assert_str_eq(text, "\"NaN\""); /* the mean of no terms */
    expect_text(merged, "\"rows\":[]");
    free(merged);
    for (int i = 0; i < 3; i++)
        free(partial[i]);
}
END_TEST

START_TEST(several_losses_have_partial_results)
{
    ask("POST", "/v1/evaluate", NULL,
        "{\"input\":[1,2],\"target\":[1,4],\"losses\":[\"mse\",\"l1\"],\"partial\":true,"
        "\"offset\":7}");
    expect_response(200, "\"loss\":\"mse\",\"reduction\":\"mean\"");
    expect_response(200, "\"sum\":\"0x1p+1\"");
    expect_response(200, "\"rows\":[[7,9]]");
}
END_TEST

START_TEST(partial_has_the_documented_text)
{
    ask("POST", "/v1/losses/huber", NULL,
        "{\"input\":[[1,2],[3,4]],\"target\":[1,2],\"delta\":0.5,\"partial\":true,\"offset\":10}");
    expect_response(
        200,
        "\"partial\":{\"format\":\"lossd-partial-1\",\"loss\":\"huber\",\"reduction\":\"mean\","
        "\"dtype\":\"float32\",\"parameters\":{\"delta\":0.5},\"tensors\":{\"input\":[\"float32\","
        "2],"
        "\"target\":[\"float32\",2]},\"whole\":{\"target\":"
        "\"b9c80b5adeca450753a16950c3cc655d271f7bef7a485bc83f112b72fef21d37\"},\"weighed\":false,"
        "\"sum\":\"0x7p-2\",\"weight\":\"0x0p+0\",\"terms\":4,\"samples\":2,\"count\":4,"
        "\"nan\":0,\"inf\":0,\"neginf\":0,\"rows\":[[10,12]],\"warnings\":[\"the shapes of "
        "target and input differ; they are broadcast, which is probably not intended\"]}}\n");
}
END_TEST

/* ---- Errors ---- */

/* Two parts of a batch. */
#define PARTIAL(sum, terms, rows)                                                                  \
    "{\"format\":\"lossd-partial-1\",\"loss\":\"huber\",\"reduction\":\"mean\",\"dtype\":"         \
    "\"float32\",\"parameters\":{\"delta\":0.5},\"tensors\":{\"input\":[\"float32\",8],"           \
    "\"target\":[\"float32\",8]},\"whole\":{},\"weighed\":false,\"sum\":\"" sum                    \
    "\",\"weight\":\"0x0p+0\",\"terms\":" terms ",\"samples\":1000,\"count\":" terms               \
    ",\"nan\":0,\"inf\":0,\"neginf\":0,\"rows\":" rows ",\"warnings\":[]}"
static const char one[] = PARTIAL("0x7e57b809716878116dfp-57", "8000", "[[0,1000]]");
static const char other[] = PARTIAL("-0x3p+1", "8000", "[[1000,2000]]");

static const struct {
    const char *from, *to; /* replaced in the second partial result */
    int status;
    const char *pointer, *message;
} wrong[] = {
    {"lossd-partial-1", "lossd-partial-2", 422, "/partials/1/format",
     "format is 'lossd-partial-2'; this version reads 'lossd-partial-1'"},
    {"\"huber\"", "\"hubert\"", 422, "/partials/1/loss", "no such loss 'hubert'"},
    {"\"huber\"", "\"smooth_l1\"", 422, "/partials/1/parameters",
     "smooth_l1 has no parameter 'delta'"},
    {"\"mean\"", "\"sum\"", 422, "/partials/1/reduction",
     "reduction is sum, but mean in the first partial result"},
    {"\"mean\"", "\"none\"", 422, "/partials/1/reduction",
     "no partial results of reduction 'none'"},
    {"\"dtype\":\"float32\"", "\"dtype\":\"float64\"", 422, "/partials/1/dtype",
     "dtype is float64"},
    {"\"dtype\":\"float32\"", "\"dtype\":\"int64\"", 422, "/partials/1/dtype",
     "must be 'float32' or"},
    {"0.5", "1", 422, "/partials/1/parameters/delta",
     "delta is 1, but 0.5 in the first partial result"},
    {"0.5", "-1", 422, "/partials/1/parameters/delta", "delta is -1; it must be greater than 0"},
    {"0.5", "\"x\"", 400, "/partials/1/parameters/delta", "it must be a number"},
    {"\"delta\":0.5", "", 422, "/partials/1/parameters", "parameter 'delta' is missing"},
    {"\"input\":[\"float32\",8]", "\"input\":[\"float32\",9]", 422, "/partials/1/tensors/input",
     "in the first partial result"},
    {"\"input\":[\"float32\",8]", "\"input\":[\"float31\",8]", 422, "/partials/1/tensors/input",
     "no such dtype 'float31'"},
    {"\"input\":[\"float32\",8],", "", 422, "/partials/1/tensors", "tensor 'input' is missing"},
    {"\"input\":[\"float32\",8]", "\"inputs\":[\"float32\",8]", 422, "/partials/1/tensors/inputs",
     "huber has no tensor 'inputs'"},
    {"\"whole\":{}",
     "\"whole\":{\"target\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}",
     422, "/partials/1/whole/target", "all parts must share target, or none"},
    {"\"whole\":{}", "\"whole\":{\"target\":\"01\"}", 400, "/partials/1/whole/target", "SHA-256"},
    {"\"weighed\":false", "\"weighed\":true", 422, "/partials/1/weighed",
     "weighed is true, but false"},
    {"\"weight\":\"0x0p+0\"", "\"weight\":\"0x1p+0\"", 422, "/partials/1/weight",
     "weighed is false"},
    {"-0x3p+1", "-0x6p+0", 400, "/partials/1/sum",
     "sum is '-0x6p+0'; it must be an odd hexadecimal integer"},
    {"-0x3p+1", "-0x0p+0", 400, "/partials/1/sum", "it must be an odd"},
    {"-0x3p+1", "0x03p+1", 400, "/partials/1/sum", "it must be an odd"},
    {"-0x3p+1", "0x3p1", 400, "/partials/1/sum", "it must be an odd"},
    {"-0x3p+1", "0x3p+01", 400, "/partials/1/sum", "it must be an odd"},
    {"-0x3p+1", "0xAp+1", 400, "/partials/1/sum", "it must be an odd"},
    {"-0x3p+1", "0x1p-1075", 422, "/partials/1/sum", "out of range"},
    {"-0x3p+1", "0x1p+1090", 422, "/partials/1/sum", "out of range"},
    {"\"samples\":1000", "\"samples\":-1", 400, "/partials/1/samples",
     "it must be a whole number in [0, 2^53)"},
    {"\"samples\":1000", "\"samples\":9007199254740992", 400, "/partials/1/samples", "2^53"},
    {"\"samples\":1000", "\"samples\":9007199254740991", 422, "/partials/1/sum", "out of range"},
    {"\"count\":8000", "\"count\":8001", 422, "/partials/1/count", "count exceeds terms"},
    {"\"nan\":0", "\"nan\":8001", 422, "/partials/1/nan", "exceed terms"},
    {"[[1000,2000]]", "[[500,1500]]", 422, "/partials/1/rows",
     "rows 500 to 999 are in both partial results 0 and 1"},
    {"[[1000,2000]]", "[[999,1001]]", 422, "/partials/1/rows", "rows 999 to 999 are in both"},
    {"[[1000,2000]]", "[[1000,2001]]", 422, "/partials/1/rows", "rows exceed samples"},
    {"[[1000,2000]]", "[[1000,1100],[1100,1200]]", 400, "/partials/1/rows", "with gaps between"},
    {"[[1000,2000]]", "[[1000]]", 400, "/partials/1/rows", "rows must be intervals"},
    {"[[1000,2000]]", "[[1000,2000,1]]", 400, "/partials/1/rows", "rows must be intervals"},
    {"[[1000,2000]]", "[1]", 400, "/partials/1/rows",
     "rows contains 1; it must be an interval [first, end]"},
    {"[[1000,2000]]", "[[1000,-1]]", 400, "/partials/1/rows",
     "rows contains -1; it must be a whole number in [0, 2^53)"},
    {"\"input\":[\"float32\",8]", "\"input\":[8]", 400, "/partials/1/tensors/input",
     "input contains 8; it must be the name of a dtype"},
    {"\"warnings\":[]", "\"warnings\":[1]", 400, "/partials/1/warnings",
     "warnings contains 1; it must be a string"},
    {"\"warnings\":[]", "\"warnings\":[\"x\"]", 422, "/partials/1/warnings", "no such warning 'x'"},
    {"\"warnings\":[]", "\"warning\":[]", 400, "/partials/1/warning",
     "an unknown field 'warning'; did you mean 'warnings'?"},
    {",\"warnings\":[]", "", 400, "/partials/1", "the partial result has no field 'warnings'"},
    {"\"nan\":0", "\"nan\":0,\"nan\":0", 400, "/partials/1/nan", "duplicate field 'nan'"},
    {"}", "", 400, "/partials/1", "expected"},
};

START_TEST(partial_results_that_do_not_fit_are_rejected)
{
    char body[4096], pointer[160];
    const char *const at = strstr(other, wrong[_i].from);
    ck_assert_ptr_nonnull(at);
    snprintf(body, sizeof body, "{\"partials\":[%s,%.*s%s%s]}", one, (int)(at - other), other,
             wrong[_i].to, at + strlen(wrong[_i].from));
    ask("POST", "/v1/merge", NULL, body);
    expect_problem(wrong[_i].status, wrong[_i].message);
    snprintf(pointer, sizeof pointer, "\"pointer\":\"%s", wrong[_i].pointer);
    expect_text(response.body, pointer);
}
END_TEST

START_TEST(partial_results_in_any_order_and_spacing_are_read)
{
    char body[4096];
    snprintf(body, sizeof body, "{ \"partials\" : [ %s , %s ] }", other, one);
    ask("POST", "/v1/merge", NULL, body);
    expect_response(200, "\"terms\":16000,\"samples\":2000");
    expect_response(200, "\"rows\":[[0,2000]]");
}
END_TEST

START_TEST(invalid_merge_requests_are_rejected)
{
    static const struct {
        const char *path, *headers, *body;
        int status;
        const char *message;
    } cases[] = {
        {"/v1/merge", NULL, "{}", 422, "partials is missing or empty"},
        {"/v1/merge", NULL, "{\"partials\":[]}", 422, "partials is missing or empty"},
        {"/v1/merge", NULL, "{\"partials\":{}}", 400, "it must be a list of partial results"},
        {"/v1/merge", NULL, "{\"partials\":[1]}", 400,
         "a partial result is 1; it must be an object"},
        {"/v1/merge", NULL, "{\"parts\":[]}", 400, "unknown field 'parts'"},
        {"/v1/merge?x=1", NULL, "{}", 400, "the query has 'x=1'"},
        {"/v1/merge", "Content-Type: application/vnd.safetensors\r\n", "{}", 415,
         "the body must be application/json, not "},
        {"/v1/merge", "Accept: application/vnd.safetensors\r\n", "{}", 406, "application/json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask("POST", cases[i].path, cases[i].headers, cases[i].body);
        expect_problem(cases[i].status, cases[i].message);
    }
}
END_TEST

START_TEST(more_than_10000_partial_results_are_rejected)
{
    static const char without_rows[] = PARTIAL("0x1p+0", "8000", "[]");
    for (int count = 10000; count <= 10001; count++) {
        struct buffer body = {0};
        for (int i = 0; i < count; i++)
            buffer_printf(&body, "%s%s", i ? "," : "{\"partials\":[", without_rows);
        buffer_text(&body, "]}");
        ck_assert(
            http_client_ask(&client, "POST", "/v1/merge", NULL, body.data, body.len, &response));
        buffer_free(&body);
        if (count == 10000)
            expect_response(200, "\"sum\":\"0x271p+4\"");
        else
            expect_problem(422, "partials has more than 10000 entries");
    }
}
END_TEST

static const struct {
    const char *loss, *body;
    const char *pointer, *message;
} unsplit[] = {
    {"mse", "\"input\":[1],\"target\":[1],\"reduction\":\"none\",\"partial\":true", "/partial",
     "reduction 'none' has no partial result"},
    {"mse", "\"input\":1,\"target\":1,\"partial\":true", "/partial",
     "input has no sample dimension"},
    {"cross_entropy", "\"input\":[1,2],\"target\":1,\"partial\":true", "/partial",
     "input has no sample dimension"},
    {"info_nce", "\"query\":[[1,2]],\"key\":[[1,2]],\"partial\":true", "/partial",
     "each query is compared with every key of its batch"},
    {"dice", "\"input\":[[[1]]],\"target\":[[[1]]],\"batch\":true,\"partial\":true", "/partial",
     "each term is computed over all samples"},
    {"mse", "\"input\":[[1],[2]],\"target\":[1],\"partial\":true,\"grad\":[\"target\"]", "/grad",
     "target is shared by all parts of the batch"},
    {"kl_div", "\"input\":[-1],\"target\":[[1],[1]],\"partial\":true,\"reduction\":\"batchmean\"",
     "/partial", "divides by the length of input"},
    {"mse", "\"input\":[1],\"target\":[1],\"offset\":1", "/offset", "set partial to true"},
    {"mse", "\"input\":[1],\"target\":[1],\"partial\":true,\"offset\":-1", "/offset", "[0, 2^53)"},
    {"mse", "\"input\":[1],\"target\":[1],\"partial\":true,\"offset\":9007199254740991", "/offset",
     "less than 2^53"},
    {"mse", "\"input\":[1],\"target\":[1],\"divisor\":2,\"reduction\":\"sum\"", "/divisor",
     "reduction 'sum' does not divide; 'mean' and 'batchmean' do"},
    {"mse", "\"input\":[1],\"target\":[1],\"divisor\":2,\"reduction\":\"none\"", "/divisor",
     "reduction 'none' does not divide"},
    {"mse", "\"input\":[1],\"target\":[1],\"divisor\":\"Infinity\"", "/divisor",
     "divisor is Infinity; it must be finite"},
    {"mse", "\"input\":[1],\"target\":[1],\"divisor\":\"NaN\"", "/divisor",
     "divisor is NaN; it must be finite"},
    {"mse", "\"input\":[1],\"target\":[1],\"sample_weight\":[Infinity],\"partial\":true",
     "/partial", "NaN or infinite weights: 1"},
};

START_TEST(batches_that_cannot_be_split_are_rejected)
{
    char path[TEXT], body[512], pointer[TEXT];
    snprintf(path, sizeof path, "/v1/losses/%s", unsplit[_i].loss);
    snprintf(body, sizeof body, "{%s}", unsplit[_i].body);
    ask("POST", path, NULL, body);
    expect_problem(422, unsplit[_i].message);
    snprintf(pointer, sizeof pointer, "\"pointer\":\"%s\"", unsplit[_i].pointer);
    expect_text(response.body, pointer);
}
END_TEST

Suite *partial_suite(void)
{
    Suite *suite = suite_create("partial");
    TCase *tcase = tcase_create("partial");
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, parts_have_the_result_of_the_whole_batch, 0, SETTINGS);
    CASE_ADD(tcase, empty_parts_and_nonfinite_terms_are_merged, several_losses_have_partial_results,
             partial_has_the_documented_text, partial_results_in_any_order_and_spacing_are_read,
             invalid_merge_requests_are_rejected, more_than_10000_partial_results_are_rejected);
    tcase_add_loop_test(tcase, partial_results_that_do_not_fit_are_rejected, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_loop_test(tcase, batches_that_cannot_be_split_are_rejected, 0,
                        (int)(sizeof unsplit / sizeof unsplit[0]));
    suite_add_tcase(suite, tcase);
    return suite;
}
