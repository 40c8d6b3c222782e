/*
 * If all outputs are binary, the plan determines the length of the body, so they are computed in
 * place. The JSON contains counts that are known only after the evaluation, so its maximum length
 * is reserved, and the rest is padded with spaces.
 */
#include "oip/response.h"
#include "content/media_type.h"
#include "evaluation/metadata.h"
#include "formats/dtype_names.h"

#include <stdint.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* of the first output after the JSON */

/* Returns an output as it is sent. A reduced loss has one dimension, because some clients do not
   support rank 0. */
static struct loss_tensor output_tensor(const struct evaluation *e, const struct oip_output *output)
{
    const struct loss_plan *const plan = &e->plan;
    if (output->kind == OIP_GRAD)
        return plan->grad[output->tensor];
    if (output->kind == OIP_HESS)
        return plan->hess[output->tensor];
    if (plan->reduction == LOSS_NONE)
        return plan->output;
    return (struct loss_tensor){.data = (void *)(uintptr_t)&e->result.loss,
                                .dtype = LOSS_FLOAT64,
                                .rank = 1,
                                .shape = {1}}; /* only read */
}

static bool all_binary(const struct oip_output_selection *selection)
{
    for (int i = 0; i < selection->outputs; i++)
        if (!selection->output[i].binary)
            return false;
    return true;
}

/* ---- JSON ---- */

static void append_output(struct buffer *json, const struct evaluation *e,
                          const struct oip_output *output)
{
    char name[OIP_NAME];
    const struct loss_tensor tensor = output_tensor(e, output);
    buffer_printf(json, "{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[",
                  oip_output_name(e->plan.loss, output->kind, output->tensor, name),
                  dtype_name(DTYPE_OIP, tensor.dtype));
    for (int axis = 0; axis < tensor.rank; axis++)
        buffer_printf(json, axis ? ",%zu" : "%zu", tensor.shape[axis]);
    if (output->binary) {
        buffer_printf(json, "],\"parameters\":{\"binary_data_size\":%zu}}",
                      loss_tensor_bytes(&tensor));
        return;
    }
    const struct loss_tensor flat = {.data = tensor.data,
                                     .dtype = tensor.dtype,
                                     .rank = 1,
                                     .shape = {loss_tensor_elements(&tensor)}};
    buffer_text(json, "],\"data\":");
    tensor_json_encode(json, &flat, FORM_NESTED, e->threads);
    buffer_text(json, "}");
}

/* Appends the JSON for a result, without padding. */
static void append_json(struct buffer *json, const struct evaluation *e,
                        const struct oip_output_selection *selection,
                        const struct loss_result *result)
{
    const struct loss_plan *const plan = &e->plan;
    buffer_printf(json, "{\"model_name\":\"%s\",\"model_version\":\"1\"", plan->loss->name);
    if (selection->id) {
        buffer_text(json, ",\"id\":");
        buffer_append(json, selection->id, selection->id_len);
    }
    buffer_printf(json, ",\"parameters\":{\"count\":%zu,\"reduction\":\"%s\",\"dtype\":\"%s\"",
                  result->count, loss_reduction_name(plan->reduction),
                  loss_dtype_name(plan->dtype));
    if (result->nonfinite > 0)
        buffer_printf(json, ",\"nonfinite\":%zu", result->nonfinite);
    metadata_append_warnings(json, plan);
    metadata_append_partial(json, e, result);
    buffer_text(json, "},\"outputs\":[");
    for (int i = 0; i < selection->outputs; i++) {
        buffer_text(json, i ? "," : "");
        append_output(json, e, &selection->output[i]);
    }
    buffer_text(json, "]}");
}

/* ---- Body ---- */

/* Places the outputs in contiguous memory. A reduced loss is copied there at the end, because it is
   not an output of the plan. */
static void set_places(struct evaluation *e, const struct oip_output_selection *selection,
                       char *next)
{
    struct loss_plan *const plan = &e->plan;
    for (int i = 0; i < selection->outputs; i++) {
        const struct oip_output *const output = &selection->output[i];
        const struct loss_tensor tensor = output_tensor(e, output);
        if (output->kind == OIP_GRAD)
            plan->grad[output->tensor].data = next;
        else if (output->kind == OIP_HESS)
            plan->hess[output->tensor].data = next;
        else
            plan->output.data = next;
        next += loss_tensor_bytes(&tensor);
    }
}

void oip_response_prepare(struct evaluation *e, const struct oip_output_selection *selection,
                          struct response *response)
{
    const struct loss_result longest = {.count = SIZE_MAX, .nonfinite = SIZE_MAX};
    struct buffer json = {0};
    if (!all_binary(selection))
        return;
    append_json(&json, e, selection, &longest);
    size_t size = (json.len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    response->inference_header = size;
    response->body.failed = json.failed;
    buffer_free(&json);
    for (int i = 0; i < selection->outputs && !response->body.failed; i++) {
        const struct loss_tensor tensor = output_tensor(e, &selection->output[i]);
        response->body.failed = __builtin_add_overflow(size, loss_tensor_bytes(&tensor), &size);
    }
    char *const body = response->body.failed ? NULL : buffer_take(&response->body, size);
    if (!body)
        return;
    response->body.len = size;
    set_places(e, selection, body + response->inference_header);
}

/* Writes the JSON and the reduced loss into the prepared body. */
static void complete(const struct evaluation *e, const struct oip_output_selection *selection,
                     struct response *response)
{
    struct buffer json = {0};
    append_json(&json, e, selection, &e->result);
    if (json.failed) {
        response->body.failed = true;
    } else {
        memset(response->body.data + json.len, ' ', response->inference_header - json.len);
        memcpy(response->body.data, json.data, json.len);
        if (e->plan.reduction != LOSS_NONE && e->plan.output.data)
            memcpy(e->plan.output.data, &e->result.loss, sizeof e->result.loss);
    }
    buffer_free(&json);
}

void oip_response_finish(const struct evaluation *e, const struct oip_output_selection *selection,
                         struct response *response)
{
    bool binary = response->inference_header > 0;
    if (binary) {
        complete(e, selection, response);
    } else {
        append_json(&response->body, e, selection, &e->result);
        const size_t len = response->body.len;
        for (int i = 0; i < selection->outputs; i++) {
            const struct loss_tensor tensor = output_tensor(e, &selection->output[i]);
            if (selection->output[i].binary)
                buffer_append(&response->body, tensor.data, loss_tensor_bytes(&tensor));
            binary |= selection->output[i].binary;
        }
        response->inference_header = binary ? len : 0;
    }
    response->content_type = media_type_name(binary ? MEDIA_OCTETS : MEDIA_JSON);
}
