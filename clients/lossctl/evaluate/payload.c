#include "evaluate/payload.h"
#include "formats/dtype_names.h"
#include "oip/names.h"
#include "oip/oip.h"
#include "v1/v1.h"
#include "json/base64.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const payload_names[PAYLOAD_FORMATS] = {[PAYLOAD_JSON] = "json",
                                                    [PAYLOAD_BASE64] = "base64",
                                                    [PAYLOAD_SAFETENSORS] = "safetensors",
                                                    [PAYLOAD_OIP] = "oip"};
static const char json[] = "application/json", safetensors[] = "application/vnd.safetensors",
                  octets[] = "application/octet-stream";

/* ---- JSON ---- */

static void put_shape(struct buffer *out, const struct loss_tensor *tensor)
{
    buffer_text(out, "\"shape\":[");
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(out, axis ? ",%zu" : "%zu", tensor->shape[axis]);
    buffer_text(out, "]");
}

void payload_put_base64(struct buffer *out, const char *name, const struct loss_tensor *tensor)
{
    const size_t bytes = loss_tensor_bytes(tensor);
    buffer_printf(out, "\"%s\":{", name);
    put_shape(out, tensor);
    buffer_printf(out, ",\"dtype\":\"%s\",\"data\":{\"encoding\":\"base64\",\"buffer\":\"",
                  loss_dtype_name(tensor->dtype));
    char *const text = buffer_reserve(out, base64_text_len(bytes));
    if (text && bytes > 0) {
        base64_encode(text, tensor->data, bytes);
        out->len += base64_text_len(bytes);
    }
    buffer_text(out, "\"}}");
}

/* Appends "name": and the numbers as text: nested arrays, or an object with a shape and a flat
   array if they are indices. */
static void put_text(struct buffer *out, const char *name, const struct loss_tensor *tensor)
{
    buffer_printf(out, "\"%s\":", name);
    if (tensor->dtype != LOSS_INT64) {
        tensor_json_encode(out, tensor, FORM_NESTED, 1);
        return;
    }
    buffer_text(out, "{");
    put_shape(out, tensor);
    buffer_text(out, ",\"data\":[");
    for (size_t i = 0; i < loss_tensor_elements(tensor); i++)
        buffer_printf(out, i ? ",%" PRId64 : "%" PRId64, ((const int64_t *)tensor->data)[i]);
    buffer_text(out, "]}");
}

/* Appends the fields that are not tensors. Another member must precede them: each begins with a
   comma. */
static void put_fields(struct buffer *out, const struct task *task)
{
    if (task->json.len > 0)
        buffer_append(out, task->json.data, task->json.len);
}

static void put_json(struct payload *payload, struct task *task, struct task_copies *copies)
{
    struct buffer *const out = &payload->body;
    struct loss_tensor tensor;
    snprintf(payload->path, sizeof payload->path, "/v1/losses/%s", task->loss->name);
    payload->content_type = json;
    buffer_printf(out, "{\"grad\":%s", task->evaluation.request.grad ? "true" : "false");
    put_fields(out, task);
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (task_operand(task, k, &tensor, copies)) {
            buffer_text(out, ",");
            (payload->format == PAYLOAD_BASE64 ? payload_put_base64 : put_text)(
                out, evaluation_tensor_name(task->loss, k), &tensor);
        }
    buffer_text(out, "}");
}

/* ---- Binary formats ---- */

static void put_safetensors(struct payload *payload, struct task *task, struct task_copies *copies)
{
    struct buffer path = {0};
    struct segment segment[TASK_SEGMENTS];
    int segments = 0;
    payload->content_type = safetensors;
    if (task_build_request(task, &path, &payload->body, segment, &segments, copies) != EXIT_OK)
        payload->body.failed = true;
    for (int i = 1; i < segments; i++)
        if (segment[i].len > 0)
            buffer_append(&payload->body, segment[i].bytes, segment[i].len);
    snprintf(payload->path, sizeof payload->path, "%s", path.data ? path.data : "");
    buffer_free(&path);
}

static void put_oip(struct payload *payload, struct task *task, struct task_copies *copies)
{
    struct loss_tensor tensor[EVALUATION_TENSORS];
    bool present[EVALUATION_TENSORS];
    struct buffer *const out = &payload->body;
    char name[OIP_NAME];
    snprintf(payload->path, sizeof payload->path, "/v2/models/%s/infer", task->loss->name);
    payload->content_type = octets;
    buffer_text(out, "{\"inputs\":[");
    for (int k = 0, n = 0; k < EVALUATION_TENSORS; k++) {
        present[k] = task_operand(task, k, &tensor[k], copies);
        if (!present[k])
            continue;
        buffer_printf(out, "%s{\"name\":\"%s\",\"datatype\":\"%s\",", n++ ? "," : "",
                      evaluation_tensor_name(task->loss, k),
                      dtype_name(DTYPE_OIP, tensor[k].dtype));
        put_shape(out, &tensor[k]);
        buffer_printf(out, ",\"parameters\":{\"binary_data_size\":%zu}}",
                      loss_tensor_bytes(&tensor[k]));
    }
    buffer_text(out, "],\"parameters\":{\"binary_data_output\":true");
    put_fields(out, task);
    buffer_text(out, "},\"outputs\":[{\"name\":\"loss\"}");
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (task->evaluation.request.grad >> k & 1)
            buffer_printf(out, ",{\"name\":\"%s\"}",
                          oip_output_name(task->loss, OIP_GRAD, k, name));
    buffer_text(out, "]}");
    payload->header_length = out->len;
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (present[k] && loss_tensor_bytes(&tensor[k]) > 0)
            buffer_append(out, tensor[k].data, loss_tensor_bytes(&tensor[k]));
}

/* ---- All formats ---- */

enum exit_code payload_make(struct payload *payload, struct task *task, enum payload_format format)
{
    struct task_copies copies = {.failed = false};
    *payload = (struct payload){.format = format};
    if (format == PAYLOAD_OIP)
        put_oip(payload, task, &copies);
    else if (format == PAYLOAD_SAFETENSORS)
        put_safetensors(payload, task, &copies);
    else
        put_json(payload, task, &copies);
    const bool failed = copies.failed;
    task_free_copies(&copies);
    buffer_append(&payload->body, "", 1);
    if (payload->body.failed || failed)
        return fail_memory();
    payload->body.len--;
    return EXIT_OK;
}

enum exit_code payload_expected_response(const struct payload *payload, const struct task *task,
                                         struct buffer *response)
{
    struct response reply = {.status = 0};
    char length[32];
    snprintf(length, sizeof length, "%zu", payload->header_length);
    if (payload->format == PAYLOAD_OIP)
        handler_serve(&oip_infer,
                      &(struct request_view){.loss = task->loss->name,
                                             .inference_header = length,
                                             .body = payload->body.data,
                                             .len = payload->body.len},
                      task->evaluation.threads, &reply);
    else
        handler_serve(&v1_evaluate,
                      &(struct request_view){.loss = task->loss->name,
                                             .content_type = payload->content_type,
                                             .query = strchr(payload->path, '?')
                                                          ? strchr(payload->path, '?') + 1
                                                          : NULL,
                                             .body = payload->body.data,
                                             .len = payload->body.len},
                      task->evaluation.threads, &reply);
    *response = reply.body;
    if (reply.status == 200)
        return EXIT_OK;
    fail(EXIT_INPUT, "%s: %.*s", task->loss->name, (int)response->len, response->data);
    buffer_free(response);
    return EXIT_INPUT;
}

void payload_free(struct payload *payload)
{
    buffer_free(&payload->body);
}
