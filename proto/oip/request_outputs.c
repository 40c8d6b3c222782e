#include "oip/request_reader.h"
#include "json/scanner.h"

#include <stdio.h>
#include <string.h>

static enum loss_status unknown_output(struct oip_reader *r, const char *at, const char *name)
{
    const struct loss_descriptor *const loss = r->fields.out->request.loss;
    char candidates[OIP_OUTPUTS][OIP_NAME], quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = name};
    int count = 0;
    loss_nearest_try(&search, oip_output_name(loss, OIP_LOSS, 0, candidates[count++]));
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        loss_nearest_try(&search, oip_output_name(loss, OIP_GRAD, k, candidates[count++]));
        loss_nearest_try(&search, oip_output_name(loss, OIP_HESS, k, candidates[count++]));
    }
    return object_reader_malformed(&r->fields.json, at, "%s has no output '%s'%s", loss->name,
                                   json_quote(name, quote),
                                   loss_nearest_text(&search, "'", "'", NULL, suggestion));
}

static enum loss_status read_output_name(struct oip_reader *r)
{
    struct object_reader *const json = &r->fields.json;
    const char *const at = json->at;
    char name[OIP_REQUEST_NAME];
    if (object_reader_string(json, "the name of an output in quotes", name, sizeof name) != LOSS_OK)
        return json->error->status;
    if (!oip_find_output(r->fields.out->request.loss, name, r->output))
        return unknown_output(r, at, name);
    for (const struct oip_output *other = r->selection->output; other < r->output; other++)
        if (other->kind == r->output->kind && other->tensor == r->output->tensor)
            return object_reader_malformed(json, at, "output '%s' is requested twice", name);
    return LOSS_OK;
}

static enum loss_status read_output_parameter(struct object_reader *json, void *context)
{
    struct oip_reader *const r = context;
    if (strcmp(json->key, "binary_data") == 0) {
        r->has_binary[r->selection->outputs] = true;
        return object_reader_boolean(json, "true or false", &r->output->binary);
    }
    if (strcmp(json->key, "classification") == 0 ||
        strncmp(json->key, "shared_memory_", strlen("shared_memory_")) == 0)
        return object_reader_malformed(json, json->at,
                                       "outputs[%d] requests %.40s, which is not supported",
                                       r->selection->outputs, json->key);
    return object_reader_validate(json);
}

static enum loss_status read_output_member(struct object_reader *json, void *context)
{
    static const char *const members[] = {"name", "parameters", NULL};
    struct oip_reader *const r = context;
    char what[OIP_REQUEST_NAME];
    snprintf(what, sizeof what, "outputs[%d]", r->selection->outputs);
    const int which = object_reader_find(json, members, &r->output_seen, what);
    if (which < 0)
        return json->error->status;
    if (which == 0)
        return read_output_name(r);
    return object_reader_null(json) ? LOSS_OK
                                    : object_reader_members(json, read_output_parameter, r);
}

enum loss_status oip_read_output(struct object_reader *json, size_t index, void *context)
{
    struct oip_reader *const r = context;
    struct loss_request *const request = &r->fields.out->request;
    const char *const at = json->at;
    if (index == OIP_OUTPUTS)
        return object_reader_malformed(json, at, "there are more than %d outputs", OIP_OUTPUTS);
    r->output = &r->selection->output[index];
    r->output_seen = 0;
    if (object_reader_members(json, read_output_member, r) != LOSS_OK)
        return json->error->status;
    if (!(r->output_seen & 1))
        return object_reader_malformed(json, at, "outputs[%zu] has no name", index);
    if (r->output->kind != OIP_LOSS)
        *(r->output->kind == OIP_GRAD ? &request->grad : &request->hess) |= UINT32_C(1)
                                                                            << r->output->tensor;
    r->selection->outputs++;
    return LOSS_OK;
}

void oip_default_outputs(struct oip_reader *r)
{
    struct oip_output_selection *const selection = r->selection;
    if (selection->outputs == 0)
        selection->output[selection->outputs++] = (struct oip_output){.kind = OIP_LOSS};
    for (int i = 0; i < selection->outputs; i++)
        if (!r->has_binary[i])
            selection->output[i].binary = r->all_binary;
}
