/*
 * GET /v1/losses and /v1/losses/{loss}: the descriptors as JSON.
 *
 * Trees are built without looking at each step: jansson takes NULL for a value and then fails, so that a failure anywhere
 * (memory is all that can fail here) comes out as NULL at the end.
 */
#include "media.h"
#include "v1.h"

#include <jansson.h>
#include <stdlib.h>

/* Appends and hands on the array; NULL where something had failed. */
static json_t *with(json_t *array, json_t *value)
{
    if (array && json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *dtypes_of(enum loss_kind kind)
{
    json_t *array = json_array();
    for (int dtype = LOSS_ANY + 1; dtype < LOSS_DTYPE_COUNT; dtype++)
        if (kind != LOSS_INDEX || !loss_dtype_is_float((enum loss_dtype)dtype))
            array = with(array, json_string(loss_dtype_name((enum loss_dtype)dtype)));
    return array;
}

static json_t *tensors_of(const struct loss_descriptor *loss)
{
    static const char *const kinds[] = {[LOSS_REAL] = "real", [LOSS_INDEX] = "index", [LOSS_CLASSES] = "index or probability"};
    json_t *array = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const struct loss_tensor_spec *spec = &loss->tensors[k];
        array = with(array, json_pack("{s:s,s:s,s:s,s:s,s:o,s:b,s:b,s:b}", "name", spec->name, "doc", spec->doc, "shape",
                                      spec->shape, "kind", kinds[spec->kind], "dtypes", dtypes_of(spec->kind), "optional",
                                      spec->optional, "prediction", spec->prediction, "differentiable", spec->differentiable));
    }
    return array;
}

static json_t *value_of(const struct loss_param_spec *spec)
{
    if (spec->type == LOSS_CHOICE)
        return json_string(spec->choices[spec->fallback.integer]);
    if (spec->type == LOSS_BOOLEAN)
        return json_boolean(spec->fallback.number != 0);
    return spec->type == LOSS_INTEGER ? json_integer(spec->fallback.integer) : json_real(spec->fallback.number);
}

static json_t *choices_of(const struct loss_param_spec *spec)
{
    json_t *array = json_array();
    for (int i = 0; spec->choices[i]; i++)
        array = with(array, json_string(spec->choices[i]));
    return array;
}

static json_t *params_of(const struct loss_descriptor *loss)
{
    static const char *const types[] = {
        [LOSS_NUMBER] = "number", [LOSS_INTEGER] = "integer", [LOSS_BOOLEAN] = "boolean", [LOSS_CHOICE] = "choice"};
    json_t *array = json_array();
    for (int k = 0; k < loss_param_specs(loss); k++) {
        const struct loss_param_spec *spec = &loss->params[k];
        json_t *param = json_pack("{s:s,s:s,s:s,s:o}", "name", spec->name, "doc", spec->doc, "type", types[spec->type],
                                  "default", value_of(spec));
        /* Bounds are named as in JSON Schema. */
        if ((spec->has_min &&
             json_object_set_new(param, spec->above_min ? "exclusiveMinimum" : "minimum", json_real(spec->min)) != 0) ||
            (spec->has_max &&
             json_object_set_new(param, spec->below_max ? "exclusiveMaximum" : "maximum", json_real(spec->max)) != 0)) {
            json_decref(param);
            param = NULL;
        }
        if (spec->type == LOSS_CHOICE && json_object_set_new(param, "choices", choices_of(spec)) != 0) {
            json_decref(param);
            param = NULL;
        }
        array = with(array, param);
    }
    return array;
}

static json_t *reductions_of(const struct loss_descriptor *loss)
{
    json_t *array = json_array();
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++)
        if (loss->reductions >> r & 1)
            array = with(array, json_string(loss_reduction_name((enum loss_reduction)r)));
    return array;
}

static json_t *description(const struct loss_descriptor *loss)
{
    json_t *aliases = json_array();
    for (int i = 0; i < LOSS_MAX_ALIASES && loss->aliases[i]; i++)
        aliases = with(aliases, json_string(loss->aliases[i]));
    return json_pack("{s:s,s:o,s:s,s:s,s:s,s:o,s:o,s:o,s:b,s:o}", "name", loss->name, "aliases", aliases, "title", loss->title,
                     "doc", loss->doc, "formula", loss->formula, "tensors", tensors_of(loss), "parameters", params_of(loss),
                     "reductions", reductions_of(loss), "hessian", loss->hessian, "path",
                     json_sprintf("/v1/losses/%s", loss->name));
}

/* Answers with a tree, which it frees. */
static void answer(struct reply *reply, json_t *tree)
{
    struct loss_error error;
    /* The numbers are bounds and defaults, written by people: 15 digits show each as it was written, 17 would show 1e-6 as
       9.9999999999999995e-7. */
    char *text = tree ? json_dumps(tree, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;
    *reply = (struct reply){.status = reply_status(LOSS_OK), .content_type = "application/json"};
    if (text)
        buffer_printf(&reply->body, "%s\n", text);
    free(text);
    json_decref(tree);
    if (text && !reply->body.failed)
        return;
    loss_fail(&error, LOSS_UNAVAILABLE, "there is not enough memory for the answer at the moment");
    reply_problem(reply, &error);
}

void v1_list(const char *accept, struct reply *reply)
{
    struct loss_error error;
    if (media_accept_json(accept, &error) != LOSS_OK) {
        reply_problem(reply, &error);
        return;
    }
    json_t *losses = json_array();
    for (size_t i = 0; i < loss_count(); i++)
        losses = with(losses, description(loss_at(i)));
    answer(reply, json_pack("{s:o}", "losses", losses));
}

void v1_describe(const char *name, const char *accept, struct reply *reply)
{
    struct loss_error error;
    const struct loss_descriptor *loss = v1_find(name, &error);
    if (!loss || media_accept_json(accept, &error) != LOSS_OK)
        reply_problem(reply, &error);
    else
        answer(reply, description(loss));
}
