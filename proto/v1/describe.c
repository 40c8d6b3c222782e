/* GET /v1/losses and GET /v1/losses/{loss}. */
#include "content/jansson_build.h"
#include "content/media_type.h"
#include "evaluation/example.h"
#include "evaluation/loss_lookup.h"
#include "v1/v1.h"

static json_t *dtypes_of(enum loss_kind kind)
{
    json_t *array = json_array();
    for (int dtype = LOSS_ANY + 1; dtype < LOSS_DTYPE_COUNT; dtype++)
        if (kind != LOSS_INDEX || !loss_dtype_is_float((enum loss_dtype)dtype))
            array = jansson_append(array, json_string(loss_dtype_name((enum loss_dtype)dtype)));
    return array;
}

static json_t *tensors_of(const struct loss_descriptor *loss)
{
    static const char *const kinds[] = {
        [LOSS_REAL] = "real", [LOSS_INDEX] = "index", [LOSS_CLASSES] = "index or probability"};
    json_t *array = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const struct loss_tensor_spec *spec = &loss->tensors[k];
        array = jansson_append(
            array, json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:b,s:b}", "name", spec->name, "doc",
                             spec->doc, "shape", spec->shape, "kind", kinds[spec->kind], "dtypes",
                             dtypes_of(spec->kind), "optional", spec->optional, "prediction",
                             spec->prediction, "differentiable", spec->differentiable));
    }
    return array;
}

static json_t *choices_of(const struct loss_param_spec *spec)
{
    json_t *array = json_array();
    for (int i = 0; spec->choices[i]; i++)
        array = jansson_append(array, json_string(spec->choices[i]));
    return array;
}

static json_t *params_of(const struct loss_descriptor *loss)
{
    static const char *const types[] = {[LOSS_NUMBER] = "number",
                                        [LOSS_INTEGER] = "integer",
                                        [LOSS_BOOLEAN] = "boolean",
                                        [LOSS_CHOICE] = "choice"};
    json_t *array = json_array();
    for (int k = 0; k < loss_param_specs(loss); k++) {
        const struct loss_param_spec *spec = &loss->params[k];
        json_t *param = json_pack("{s:s,s:s,s:s,s:o}", "name", spec->name, "doc", spec->doc, "type",
                                  types[spec->type], "default", jansson_param_default(spec));
        /* The names of bounds are those of JSON Schema. */
        if (spec->has_min)
            param = jansson_set(param, spec->exclusive_min ? "exclusiveMinimum" : "minimum",
                                json_real(spec->min));
        if (spec->has_max)
            param = jansson_set(param, spec->exclusive_max ? "exclusiveMaximum" : "maximum",
                                json_real(spec->max));
        if (spec->infinite)
            param = jansson_set(param, "infinite", json_true());
        if (spec->nullable)
            param = jansson_set(param, "nullable", json_true());
        if (spec->type == LOSS_CHOICE)
            param = jansson_set(param, "choices", choices_of(spec));
        array = jansson_append(array, param);
    }
    return array;
}

static json_t *reductions_of(const struct loss_descriptor *loss)
{
    json_t *array = json_array();
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++)
        if (loss->reductions >> r & 1)
            array = jansson_append(array, json_string(loss_reduction_name((enum loss_reduction)r)));
    return array;
}

static json_t *description(const struct loss_descriptor *loss)
{
    json_t *aliases = json_array();
    for (int i = 0; i < LOSS_MAX_ALIASES && loss->aliases[i]; i++)
        aliases = jansson_append(aliases, json_string(loss->aliases[i]));
    return json_pack("{s:s,s:o,s:s,s:s,s:s,s:o,s:o,s:o,s:b,s:o,s:o}", "name", loss->name, "aliases",
                     aliases, "title", loss->title, "doc", loss->doc, "formula", loss->formula,
                     "tensors", tensors_of(loss), "parameters", params_of(loss), "reductions",
                     reductions_of(loss), "hessian", loss->hessian, "path",
                     json_sprintf("/v1/losses/%s", loss->name), "example", example_request(loss));
}

static void answer(struct response *response, json_t *tree)
{
    jansson_respond(response, tree, JSON_INDENT(2));
}

void v1_list(const char *accept, struct response *response)
{
    struct loss_error error;
    if (media_type_accept_json(accept, &error) != LOSS_OK) {
        response_error(response, &error);
        return;
    }
    json_t *losses = json_array();
    for (size_t i = 0; i < loss_count(); i++)
        losses = jansson_append(losses, description(loss_at(i)));
    answer(response, json_pack("{s:o}", "losses", losses));
}

void v1_describe(const char *name, const char *accept, struct response *response)
{
    struct loss_error error;
    const struct loss_descriptor *loss = loss_lookup(name, loss_lookup_http_hint, &error);
    if (!loss || media_type_accept_json(accept, &error) != LOSS_OK)
        response_error(response, &error);
    else
        answer(response, description(loss));
}
