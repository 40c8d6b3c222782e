#include "fault_requests.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "content/compress.h"
#include "support/tensor_file.h"

struct fault_request fault_requests[FAULT_REQUESTS];
size_t fault_request_count;

struct fault_request *fault_request_add(const char *name, const char *method, const char *path,
                                        const char *headers, const void *body, size_t len)
{
    ck_assert_uint_lt(fault_request_count, FAULT_REQUESTS);
    struct fault_request *const ask = &fault_requests[fault_request_count++];
    *ask = (struct fault_request){.head = strcmp(method, "HEAD") == 0};
    snprintf(ask->name, FAULT_REQUEST_NAME, "%s", name);
    buffer_printf(&ask->text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, headers);
    if (body)
        buffer_printf(&ask->text, "Content-Length: %zu\r\n", len);
    buffer_text(&ask->text, "\r\n");
    if (body)
        buffer_append(&ask->text, body, len);
    ck_assert(!ask->text.failed);
    return ask;
}

void fault_request_get(const char *path)
{
    fault_request_add(path, "GET", path, "", NULL, 0);
}

static void get_varying(const char *path)
{
    fault_request_add(path, "GET", path, "", NULL, 0)->varies = true;
}

void fault_request_post(const char *name, const char *path, const char *headers, const char *body)
{
    fault_request_add(name, "POST", path, headers, body, strlen(body));
}

static void add_gets(void)
{
    static const char *const paths[] = {"/",
                                        "/healthz",
                                        "/readyz",
                                        "/v1/losses",
                                        "/v1/losses/cross_entropy",
                                        "/openapi.json",
                                        "/docs",
                                        "/v2",
                                        "/v2/health/live",
                                        "/v2/health/ready",
                                        "/v2/models/mse",
                                        "/v2/models/mse/ready",
                                        "/v2/models/mse/config",
                                        "/v2/models/mse/versions/1",
                                        "/nowhere",
                                        "/v1/losses/mze",
                                        "/v1/losses?a=b&c=d",
                                        "/v1/losses/%6dse",
                                        "/a%2fb",
                                        "/v2/models/none"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        fault_request_get(paths[i]);
    get_varying("/metrics");
    get_varying("/v2/models/mse/stats");
    get_varying("/v2/models/stats");
    fault_request_add("HEAD", "HEAD", "/v1/losses", "", NULL, 0);
    fault_request_add("OPTIONS", "OPTIONS", MSE, "", NULL, 0);
    fault_request_add("PUT", "PUT", "/healthz", "", "x", 1);
    fault_request_add("list in gzip", "GET", "/v1/losses", "Accept-Encoding: gzip\r\n", NULL, 0);
    fault_request_add("list in zstd", "GET", "/v1/losses", "Accept-Encoding: zstd\r\n", NULL, 0);
    fault_request_add("list in deflate and nothing else", "GET", "/v1/losses",
                      "Accept-Encoding: deflate, identity;q=0\r\n", NULL, 0);
    fault_request_post("index", "/v2/repository/index", "", "{}");
    fault_request_post("load", "/v2/repository/models/mse/load", "", "{}");
}

static void add_json(void)
{
    fault_request_post("nested", MSE, "", JSON);
    fault_request_post(
        "flat", MSE, "",
        "{\"input\":{\"shape\":[2,2],\"data\":[1,2,3,4]},\"target\":{\"shape\":[2,2],\"dtype\":"
        "\"float64\",\"data\":[0,0,0,0]},"
        "\"dtype\":\"float64\",\"grad\":true,\"reduction\":\"none\"}");
    fault_request_post(
        "base64", MSE, "",
        "{\"input\":{\"shape\":[2],\"dtype\":\"float32\",\"data\":{\"buffer\":\"AAAAPwAAAL8=\","
        "\"encoding\":\"base64\"}},"
        "\"target\":[1,0],\"grad\":true}");
    fault_request_post(
        "arguments", "/v1/losses/cross_entropy", "",
        "{\"input\":[[0.2,0.8],[0.9,0.1],[0.5,0.5]],\"target\":[1,0,-100],\"weight\":[1,2],"
        "\"label_smoothing\":0.1,"
        "\"grad\":[\"input\"],\"sample_weight\":[1,2,3],\"grad_output\":2}");
    fault_request_post(
        "rows", "/v1/losses/ctc", "",
        "{\"log_probs\":[[[-1,-2,-0.5]],[[-1,-1,-1]]],\"targets\":[[1]],\"input_lengths\":[2],"
        "\"target_lengths\":[1],\"grad\":"
        "true}");
    fault_request_post(
        "hessian", "/v1/losses/bce_with_logits", "",
        "{\"input\":[0.3,-1.2,2],\"target\":[1,0,1],\"sample_weight\":[1,2,0.5],\"reduction\":"
        "\"sum\",\"grad\":true,\"hess\":"
        "true}");
    fault_request_post("escapes", MSE, "",
                       "{\"inp\\u0075t\":[1],\"target\":[2],\"reduction\":\"s\\u0075m\"}");
    fault_request_post(
        "several", "/v1/evaluate", "",
        "{\"input\":[0.5,2],\"target\":[1,0],\"losses\":[\"mse\",{\"loss\":\"huber\",\"delta\":0."
        "5,\"grad\":true},\"l1\"],"
        "\"reduction\":\"sum\"}");
    fault_request_post("in gzip", MSE, "Accept-Encoding: gzip, identity;q=0\r\n", JSON);
    /* and invalid requests */
    fault_request_post("not JSON", MSE, "", "{\"input\": [1, 2");
    fault_request_post("unknown field", MSE, "", "{\"inputs\":[1],\"target\":[1]}");
    fault_request_post("wrong type", "/v1/losses/huber", "",
                       "{\"input\":[1],\"target\":[1],\"delta\":[1]}");
    fault_request_post("number too long", "/v1/losses/huber", "",
                       "{\"input\":[1],\"target\":[1],\"delta\":1e999}");
    fault_request_post("bad grad", MSE, "", "{\"input\":[1],\"target\":[1],\"grad\":[\"x\"]}");
    fault_request_post("shapes", MSE, "", "{\"input\":[1,2,3],\"target\":[1,2]}");
    fault_request_post("class", "/v1/losses/cross_entropy", "",
                       "{\"input\":[[0.2,0.8]],\"target\":[2]}");
    fault_request_post(
        "several, one bad", "/v1/evaluate", "",
        "{\"input\":[1],\"target\":[2],\"losses\":[\"mse\",{\"loss\":\"huber\",\"delta\":-1}]}");
    fault_request_post("image", MSE, "Content-Type: image/png\r\n", "x");
    fault_request_post("not acceptable", MSE, "Accept: image/png\r\n", JSON);
    fault_request_post("method", "/v1/losses", "", "{}");
}

struct buffer fault_request_numbers(const char *more, size_t count)
{
    struct buffer body = {0};
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_text(&body, tensor == 0 ? "{\"input\":[" : "],\"target\":[");
        for (size_t i = 0; i < count; i++)
            buffer_printf(&body, "%s%zu.%d", i == 0 ? "" : ",", i * 7919 % 1000, tensor);
    }
    buffer_printf(&body, "]%s}", more);
    ck_assert(!body.failed);
    return body;
}

static void add_chunked(const char *name, const char *path, const char *headers,
                        const struct buffer *body)
{
    struct fault_request *const ask = fault_request_add(name, "POST", path, headers, NULL, 0);
    ask->text.len -= 2;
    buffer_text(&ask->text, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, size; at < body->len; at += size) {
        size = body->len - at < 50000 ? body->len - at : 50000;
        buffer_printf(&ask->text, "%zx\r\n", size);
        buffer_append(&ask->text, body->data + at, size);
        buffer_text(&ask->text, "\r\n");
    }
    buffer_text(&ask->text, "0\r\n\r\n");
}

static void add_compressed(const char *name, enum content_encoding encoding, const char *headers,
                           const struct buffer *body)
{
    struct buffer compressed = {0};
    char more[128];
    ck_assert(compress_bytes(encoding, body->data, body->len, 1, &compressed));
    snprintf(more, sizeof more, "Content-Encoding: %s\r\n%s", encoding_name(encoding), headers);
    fault_request_add(name, "POST", MSE, more, compressed.data, compressed.len);
    buffer_free(&compressed);
}

static void add_large(void)
{
    struct buffer body = fault_request_numbers(",\"grad\":true", FAULT_NUMBERS),
                  small = fault_request_numbers("", 10);
    struct buffer several = fault_request_numbers(
        ",\"losses\":[\"mse\",\"l1\",{\"loss\":\"huber\",\"grad\":true}]", FAULT_NUMBERS);
    fault_request_add("large", "POST", MSE, "", body.data, body.len);
    fault_request_add("large in gzip", "POST", MSE, "Accept-Encoding: gzip\r\n", body.data,
                      body.len);
    fault_request_add("large in zstd", "POST", MSE, "Accept-Encoding: zstd\r\n", body.data,
                      body.len);
    fault_request_add("large, several", "POST", "/v1/evaluate", "", several.data, several.len);
    add_chunked("chunked", MSE, "", &small);
    add_chunked("large, chunked", MSE, "", &body);
    add_compressed("gzip", ENCODING_GZIP, "", &small);
    add_compressed("deflate", ENCODING_DEFLATE, "", &small);
    add_compressed("zstd", ENCODING_ZSTD, "", &small);
    add_compressed("large gzip", ENCODING_GZIP, "", &body);
    add_compressed("large zstd in zstd", ENCODING_ZSTD, "Accept-Encoding: zstd\r\n", &body);
    buffer_free(&body);
    buffer_free(&small);
    buffer_free(&several);
}

static void add_safetensors(const char *name, const char *path, const char *headers, size_t count)
{
    static float values[FAULT_NUMBERS];
    struct tensor_file file = {{0}, {0}};
    char shape[32], more[160];
    for (size_t i = 0; i < count; i++)
        values[i] = (float)i;
    snprintf(shape, sizeof shape, "%zu", count);
    tensor_file_add_raw(&file, "\"__metadata__\":{\"reduction\":\"sum\"}");
    tensor_file_add(&file, "input", "F32", shape, values, count * sizeof *values);
    tensor_file_add(&file, "target", "F32", shape, values, count * sizeof *values);
    struct buffer body = tensor_file_end(&file, 0);
    snprintf(more, sizeof more, "Content-Type: application/vnd.safetensors\r\n%s", headers);
    fault_request_add(name, "POST", path, more, body.data, body.len);
    buffer_free(&body);
}

static void add_form(void)
{
    static const char head[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n";
    struct buffer body = {0};
    for (int tensor = 0; tensor < 2; tensor++) {
        buffer_printf(&body,
                      "--b\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"a\"\r\n\r\n",
                      tensor == 0 ? "input" : "target");
        buffer_append(&body,
                      (const char[]){'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)strlen(head), 0},
                      10);
        buffer_text(&body, head);
        buffer_append(&body, &(const float){2.5F}, sizeof(float));
        buffer_text(&body, "\r\n");
    }
    buffer_text(&body,
                "--b\r\nContent-Disposition: form-data; name=\"grad\"\r\n\r\ntrue\r\n--b--\r\n");
    fault_request_add("form", "POST", MSE, "Content-Type: multipart/form-data; boundary=b\r\n",
                      body.data, body.len);
    buffer_free(&body);
}

static void add_oip_binary(const char *name, const char *outputs, size_t count)
{
    char json[512], header[64];
    struct buffer body = {0};
    float *const values = calloc(count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    const int len = snprintf(json, sizeof json,
                             "{\"id\":\"a\",\"inputs\":[{\"name\":\"input\",\"shape\":[%zu],"
                             "\"datatype\":\"FP32\",\"parameters\":"
                             "{\"binary_data_size\":%zu}},{\"name\":\"target\",\"shape\":[%zu],"
                             "\"datatype\":\"FP32\",\"parameters\":"
                             "{\"binary_data_size\":%zu}}],%s}",
                             count, count * 4, count, count * 4, outputs);
    buffer_append(&body, json, (size_t)len);
    for (int tensor = 0; tensor < 2; tensor++)
        buffer_append(&body, values, count * sizeof *values);
    snprintf(header, sizeof header, "Inference-Header-Content-Length: %d\r\n", len);
    fault_request_add(name, "POST", "/v2/models/mse/infer", header, body.data, body.len);
    buffer_free(&body);
    free(values);
}

static void add_binary(void)
{
    add_safetensors("safetensors", MSE "?grad=true", "", 4);
    add_safetensors("safetensors to JSON", MSE "?grad=true", "Accept: application/json\r\n", 4);
    add_safetensors("large safetensors", MSE "?grad=true", "", FAULT_NUMBERS);
    add_safetensors("safetensors, unknown field", MSE "?grda=true", "", 4);
    fault_request_post("safetensors, broken", MSE, "Content-Type: application/vnd.safetensors\r\n",
                       "\x10\0\0\0\0\0\0\0{\"input\":[1,2,3]}");
    add_form();
    fault_request_post("form, broken", MSE, "Content-Type: multipart/form-data; boundary=b\r\n",
                       "--b\r\nContent-Disposition: form-data\r\n");
    fault_request_post(
        "infer", "/v2/models/mse/infer", "",
        "{\"id\":\"a\",\"parameters\":{\"reduction\":\"sum\"},\"outputs\":[{\"name\":\"loss\"},{"
        "\"name\":\"grad_input\"}],"
        "\"inputs\":["
        "{\"name\":\"input\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[2.5,0,NaN]},"
        "{\"name\":\"target\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":[3,-0.5,2]}]}");
    fault_request_post("infer, broken", "/v2/models/mse/infer", "",
                       "{\"inputs\":[{\"name\":\"input\"}]}");
    add_oip_binary("infer, binary",
                   "\"outputs\":[{\"name\":\"grad_input\",\"parameters\":{\"binary_data\":true}}]",
                   4);
    add_oip_binary("infer, binary to JSON", "\"outputs\":[{\"name\":\"loss\"}]", 4);
    add_oip_binary("large infer", "\"parameters\":{\"binary_data_output\":true}", FAULT_NUMBERS);
}

void fault_requests_add_all(void)
{
    add_gets();
    add_json();
    add_large();
    add_binary();
}

void fault_requests_free(void)
{
    for (size_t i = 0; i < fault_request_count; i++) {
        buffer_free(&fault_requests[i].text);
        buffer_free(&fault_requests[i].answer);
        buffer_free(&fault_requests[i].other);
    }
    fault_request_count = 0;
}
