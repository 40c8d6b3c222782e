/* The envelope of a request, scanned by hand: values that are no tensors are read by
 * request_fields.h. */
#include "evaluation/json_request.h"
#include "json/scanner.h"

#include <string.h>

/* Within a tensor null is NaN; the plan says if one that is null as a whole is missed. */
enum loss_status request_json_tensor(struct fields *r, struct source *source, bool *there)
{
    *there = strncmp(r->at, "null", 4) != 0;
    if (!*there) {
        r->at += 4;
        return LOSS_OK;
    }
    if (tensor_json_scan(&source->json, r->at, r->body, r->end, r->path, r->allowance, &r->at,
                         r->error) != LOSS_OK)
        return r->error->status;
    source->swapped = false;
    source->tensor = (struct loss_tensor){.dtype = source->json.dtype, .rank = source->json.rank};
    memcpy(source->tensor.shape, source->json.shape, sizeof source->tensor.shape);
    return LOSS_OK;
}

/* Finds tensor k and points the request at it. */
static enum loss_status read_tensor(struct fields *r, int k)
{
    bool there;
    if (request_json_tensor(r, &r->out->tensor[k], &there) != LOSS_OK)
        return r->error->status;
    *evaluation_place(r->out, k) = there ? &r->out->tensor[k].tensor : NULL;
    return LOSS_OK;
}

enum loss_status request_json_field(struct fields *r, void *context)
{
    (void)context;
    const int field = field_find(r->out->request.loss, r->key);
    if (field < 0)
        return fields_unknown(r, "field");
    if (!fields_first(r, field))
        return json_malformed(r->error, r->body, r->at, r->path, "there are two fields '%s'",
                              r->key);
    return field < EVALUATION_TENSORS ? read_tensor(r, field) : fields_read_value(r, field);
}

enum loss_status request_json_envelope(struct fields *r,
                                       enum loss_status (*member)(struct fields *fields,
                                                                  void *context),
                                       void *context)
{
    r->at = json_begin(r->at, r->allowance);
    if (fields_read_object(r, member, context) != LOSS_OK)
        return r->error->status;
    r->path[0] = '\0';
    r->at = json_blank(r->at, r->allowance);
    return r->at == r->end ? LOSS_OK : fields_unexpected(r, r->at, "the end");
}

/* Answers come in the form in which the first prediction came. */
static enum tensor_form form_of_predictions(const struct evaluation *e,
                                            const struct loss_descriptor *loss)
{
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction && e->request.tensor[k])
            return e->tensor[k].json.form;
    return FORM_NESTED;
}

void request_json_finish(struct fields *r)
{
    if (!fields_have_encoding(r))
        r->out->encoding = form_of_predictions(r->out, r->out->request.loss);
}

enum loss_status request_json_read(struct evaluation *e, struct loss_error *error)
{
    struct fields fields;
    fields_begin(&fields, e, error);
    if (request_json_envelope(&fields, request_json_field, NULL) != LOSS_OK)
        return error->status;
    request_json_finish(&fields);
    return LOSS_OK;
}
