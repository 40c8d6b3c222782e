/* The envelope of a request, scanned by hand: values that are no tensors are read by fields.h. */
#include "request_json.h"
#include "fields.h"
#include "json_text.h"

#include <string.h>

/* A tensor that is null, as Python's json makes of None, is left out; the plan says if it is missed. Within a tensor null is
 * NaN. */
static bool take_null(struct fields *r)
{
    const bool is_null = strncmp(r->at, "null", 4) == 0;
    r->at += is_null ? 4 : 0;
    return is_null;
}

/* Finds tensor k and points the request at it. */
static enum loss_status read_tensor(struct fields *r, int k)
{
    struct source *const found = &r->out->tensor[k];
    if (take_null(r))
        return LOSS_OK;
    if (tensor_json_scan(&found->json, r->at, r->body, r->end, r->path, &r->at, r->error) != LOSS_OK)
        return r->error->status;
    found->swapped = false;
    found->tensor = (struct loss_tensor){.dtype = found->json.dtype, .rank = found->json.rank};
    memcpy(found->tensor.shape, found->json.shape, sizeof found->tensor.shape);
    *evaluation_place(r->out, k) = &found->tensor;
    return LOSS_OK;
}

static enum loss_status read_field(struct fields *r, void *context)
{
    (void)context;
    const int field = field_find(r->out->request.loss, r->key);
    if (field < 0)
        return fields_unknown(r, "field");
    if (!fields_first(r, field))
        return json_malformed(r->error, r->body, r->at, r->path, "there are two fields '%s'", r->key);
    return field < EVALUATION_TENSORS ? read_tensor(r, field) : fields_read_value(r, field);
}

static enum loss_status read_envelope(struct fields *r)
{
    if (strncmp(r->at, "\xef\xbb\xbf", 3) == 0)
        return json_malformed(r->error, r->body, r->at, "",
                              "the body begins with a byte order mark, which JSON does not allow");
    r->at = json_blank(r->at);
    if (fields_read_object(r, read_field, NULL) != LOSS_OK)
        return r->error->status;
    r->path[0] = '\0';
    r->at = json_blank(r->at);
    return r->at == r->end ? LOSS_OK : fields_unexpected(r, r->at, "the end");
}

/* Answers come in the form in which the first prediction came. */
static enum tensor_form form_of_predictions(const struct evaluation *e, const struct loss_descriptor *loss)
{
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction && e->request.tensor[k])
            return e->tensor[k].json.form;
    return FORM_NESTED;
}

enum loss_status request_json_read(struct evaluation *e, struct loss_error *error)
{
    struct fields fields;
    fields_begin(&fields, e, error);
    if (read_envelope(&fields) != LOSS_OK)
        return error->status;
    if (!fields_have_encoding(&fields))
        e->encoding = form_of_predictions(e, e->request.loss);
    return LOSS_OK;
}
