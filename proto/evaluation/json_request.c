#include "evaluation/json_request.h"
#include "number/number.h"

#include <string.h>

static enum loss_status read_attached(struct object_reader *json,
                                      const struct attached_tensors *attached,
                                      struct source *source)
{
    int64_t index;
    const char *end;
    if (number_read_i64(json->at, &index, &end) != NUMBER_OK || index < 0 ||
        (uint64_t)index >= attached->count)
        return object_reader_wrong_type(json, "the index of an attached tensor");
    json->at = end;
    evaluation_attach(source, &attached->tensor[index], FORM_BASE64);
    return LOSS_OK;
}

enum loss_status json_request_tensor(struct object_reader *json,
                                     const struct attached_tensors *attached, struct source *source,
                                     bool *present)
{
    *present = !object_reader_null(json);
    if (!*present)
        return LOSS_OK;
    if (attached)
        return read_attached(json, attached, source);
    if (tensor_json_scan(&source->json, json->at, json->body, json->end, json->path, json->quota,
                         &json->at, json->error) != LOSS_OK)
        return json->error->status;
    source->swapped = false;
    source->tensor = (struct loss_tensor){.dtype = source->json.dtype, .rank = source->json.rank};
    memcpy(source->tensor.shape, source->json.shape, sizeof source->tensor.shape);
    return LOSS_OK;
}

/* Scans tensor k and points the request at it. The plan fails if a required tensor is null. */
static enum loss_status read_tensor(struct fields *f, int k)
{
    struct source *const source = &f->out->tensor[k];
    bool present;
    if (json_request_tensor(&f->json, f->out->attached, source, &present) != LOSS_OK)
        return f->json.error->status;
    *evaluation_place(f->out, k) = present ? &source->tensor : NULL;
    return LOSS_OK;
}

enum loss_status json_request_field(struct fields *f)
{
    const int field = fields_find(f->out->request.loss, f->json.key);
    if (field < 0)
        return fields_unknown(f, "field");
    if (!fields_first(f, field))
        return object_reader_malformed(&f->json, f->json.at, "duplicate field '%s'", f->json.key);
    return field < EVALUATION_TENSORS ? read_tensor(f, field) : fields_read_value(f, field);
}

/* Returns the form of the first prediction of the request. */
static enum tensor_form form_of_predictions(const struct evaluation *e)
{
    const struct loss_descriptor *const loss = e->request.loss;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction && e->request.tensor[k])
            return e->tensor[k].json.form;
    return FORM_NESTED;
}

void json_request_finish(struct fields *f)
{
    if (!fields_have_encoding(f))
        f->out->encoding = form_of_predictions(f->out);
}

static enum loss_status read_member(struct object_reader *json, void *context)
{
    (void)json; /* the reader of the fields */
    return json_request_field(context);
}

enum loss_status json_request_read(struct evaluation *e, struct loss_error *error)
{
    struct fields fields;
    fields_begin(&fields, e, error);
    if (object_reader_document(&fields.json, read_member, &fields) != LOSS_OK)
        return error->status;
    json_request_finish(&fields);
    return LOSS_OK;
}
