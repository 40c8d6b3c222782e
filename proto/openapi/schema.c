/* JSON schemas of the requests and responses of each loss, from its descriptor. */
#include <stdio.h>

#include "content/jansson_build.h"
#include "evaluation/evaluation.h"
#include "formats/dtype_names.h"
#include "openapi/openapi.h"

json_t *openapi_reference(const char *kind, const char *name)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/%s/%s", kind, name));
}

/* Returns a reference to a schema, with its own description. */
static json_t *described(const char *schema, json_t *description)
{
    return jansson_set(openapi_reference("schemas", schema), "description", description);
}

static json_t *strings(const char *const texts[], int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        array = jansson_append(array, json_string(texts[i]));
    return array;
}

/* ---- Parameters ---- */

/* Adds the JSON type of a parameter, and the other values that it accepts. */
static json_t *with_type(json_t *schema, const struct loss_param_spec *spec)
{
    static const char *const types[] = {[LOSS_NUMBER] = "number",
                                        [LOSS_INTEGER] = "integer",
                                        [LOSS_BOOLEAN] = "boolean",
                                        [LOSS_CHOICE] = "string"};
    const char *const type = types[spec->type];
    if (spec->infinite)
        return jansson_set(schema, "anyOf",
                           json_pack("[{s:s},{s:s}]", "type", type, "const", "Infinity"));
    return jansson_set(schema, "type",
                       spec->nullable ? json_pack("[s,s]", type, "null") : json_string(type));
}

static json_t *param_schema(const struct loss_param_spec *spec)
{
    json_t *schema =
        json_pack("{s:s,s:o}", "description", spec->doc, "default", jansson_param_default(spec));
    schema = with_type(schema, spec);
    if (spec->has_min)
        schema = jansson_set(schema, spec->exclusive_min ? "exclusiveMinimum" : "minimum",
                             json_real(spec->min));
    if (spec->has_max)
        schema = jansson_set(schema, spec->exclusive_max ? "exclusiveMaximum" : "maximum",
                             json_real(spec->max));
    if (spec->type == LOSS_CHOICE) {
        int count = 0;
        while (spec->choices[count])
            count++;
        schema = jansson_set(schema, "enum", strings(spec->choices, count));
    }
    return schema;
}

static json_t *reduction_schema(const struct loss_descriptor *loss)
{
    const char *names[LOSS_REDUCTION_COUNT];
    int count = 0;
    for (int r = 0; r < LOSS_REDUCTION_COUNT; r++)
        if (loss->reductions >> r & 1)
            names[count++] = loss_reduction_name((enum loss_reduction)r);
    return json_pack("{s:s,s:o,s:s}", "type", "string", "enum", strings(names, count), "default",
                     loss_reduction_name(LOSS_MEAN));
}

/* Adds the properties that are the same in JSON and in plain text. */
static json_t *with_params(json_t *properties, const struct loss_descriptor *loss)
{
    for (int k = 0; k < loss_param_specs(loss); k++)
        properties = jansson_set(properties, loss->params[k].name, param_schema(&loss->params[k]));
    properties = jansson_set(properties, "reduction", reduction_schema(loss));
    properties = jansson_set(properties, "dtype", openapi_reference("schemas", "ComputingDtype"));
    properties = jansson_set(properties, "partial", openapi_reference("schemas", "WantPartial"));
    properties = jansson_set(properties, "offset", openapi_reference("schemas", "Offset"));
    properties = jansson_set(properties, "divisor", openapi_reference("schemas", "Divisor"));
    return jansson_set(properties, "encoding", openapi_reference("schemas", "Encoding"));
}

/* Sets `names` to the tensors that `grad` or, if `hess`, `hess` may name. Returns their number. */
static int named_tensors(const struct loss_descriptor *loss, bool hess, const char *names[])
{
    int count = 0;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (hess ? loss->hessian && loss->tensors[k].prediction : loss->tensors[k].differentiable)
            names[count++] = loss->tensors[k].name;
    return count;
}

static json_t *names_schema(const struct loss_descriptor *loss, bool hess)
{
    const char *names[LOSS_MAX_TENSORS];
    const int count = named_tensors(loss, hess, names);
    return json_pack(
        "{s:s,s:[{s:s},{s:s,s:{s:o}}],s:b}", "description",
        hess ? "the diagonal of the Hessian: true for every prediction, or names of tensors"
             : "gradients: true for every prediction, or names of tensors",
        "anyOf", "type", "boolean", "type", "array", "items", "enum", strings(names, count),
        "default", false);
}

/* ---- Requests ---- */

static json_t *tensor_schema(const struct loss_tensor_spec *spec)
{
    static const char *const kinds[] = {[LOSS_REAL] = "",
                                        [LOSS_INDEX] = "; integers",
                                        [LOSS_CLASSES] =
                                            "; integers, or a probability for each class"};
    return described("Tensor",
                     json_sprintf("%s; shape %s%s", spec->doc, spec->shape, kinds[spec->kind]));
}

/* Returns an object schema with exactly these properties; required tensors of the loss are
   required. */
static json_t *object_schema(const struct loss_descriptor *loss, json_t *properties)
{
    json_t *required = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (!loss->tensors[k].optional)
            required = jansson_append(required, json_string(loss->tensors[k].name));
    return json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", properties, "required",
                     required, "additionalProperties", false);
}

static json_t *request_schema(const struct loss_descriptor *loss)
{
    json_t *properties = json_object();
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        properties =
            jansson_set(properties, loss->tensors[k].name, tensor_schema(&loss->tensors[k]));
    properties = with_params(properties, loss);
    properties = jansson_set(properties, "grad", names_schema(loss, false));
    if (loss->hessian)
        properties = jansson_set(properties, "hess", names_schema(loss, true));
    properties = jansson_set(
        properties, "grad_output",
        described(
            "Tensor",
            json_string(
                "the upstream gradient: a number; with reduction none, a tensor of its shape")));
    properties = jansson_set(
        properties, "sample_weight",
        described("Tensor",
                  json_string("a weight per term, or per index of their first dimension")));
    return jansson_set(object_schema(loss, properties), "title", json_string(loss->title));
}

/* Returns the schema of the query, as plain text. */
static json_t *plain_properties(const struct loss_descriptor *loss)
{
    json_t *properties = with_params(json_object(), loss);
    properties = jansson_set(properties, "grad", openapi_reference("schemas", "Names"));
    if (loss->hessian)
        properties = jansson_set(properties, "hess", openapi_reference("schemas", "Names"));
    return properties;
}

static json_t *options_schema(const struct loss_descriptor *loss)
{
    json_t *const properties =
        jansson_set(plain_properties(loss), "grad_output", json_pack("{s:s}", "type", "number"));
    return json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties,
                     "additionalProperties", false);
}

static json_t *form_schema(const struct loss_descriptor *loss)
{
    json_t *properties = json_object();
    for (int k = 0; k < EVALUATION_TENSORS; k++)
        if (evaluation_tensor_name(loss, k))
            properties = jansson_set(properties, evaluation_tensor_name(loss, k),
                                     openapi_reference("schemas", "TensorFile"));
    json_t *const plain = plain_properties(loss);
    if (json_object_update(properties, plain) != 0) {
        json_decref(properties);
        properties = NULL;
    }
    json_decref(plain);
    return object_schema(loss, properties);
}

/* ---- Responses ---- */

/* Returns an object schema with a tensor for each possible derivative. */
static json_t *derivatives_schema(const struct loss_descriptor *loss, bool hess)
{
    const char *names[LOSS_MAX_TENSORS];
    const int count = named_tensors(loss, hess, names);
    json_t *properties = json_object();
    for (int i = 0; i < count; i++)
        properties = jansson_set(properties, names[i], openapi_reference("schemas", "Tensor"));
    return json_pack("{s:s,s:o,s:b}", "type", "object", "properties", properties,
                     "additionalProperties", false);
}

/* Returns the response schema of openapi_base.json, with the derivatives by name. */
static json_t *answer_schema(const struct loss_descriptor *loss, const json_t *schemas)
{
    json_t *answer = json_deep_copy(json_object_get(schemas, "Answer"));
    json_t *const properties = json_object_get(answer, "properties");
    if (json_object_set_new(properties, "grad", derivatives_schema(loss, false)) == 0 &&
        (loss->hessian ? json_object_set_new(properties, "hess", derivatives_schema(loss, true))
                       : json_object_del(properties, "hess")) == 0)
        return answer;
    json_decref(answer);
    return NULL;
}

/* ---- All schemas ---- */

/* Returns the names and aliases of all losses. */
static json_t *loss_names(void)
{
    json_t *names = json_array();
    for (size_t i = 0; i < loss_count(); i++)
        names = jansson_append(names, json_string(loss_at(i)->name));
    for (size_t i = 0; i < loss_count(); i++)
        for (int k = 0; k < LOSS_MAX_ALIASES && loss_at(i)->aliases[k]; k++)
            names = jansson_append(names, json_string(loss_at(i)->aliases[k]));
    return json_pack("{s:s,s:o}", "description", "A loss, or one of its aliases.", "enum", names);
}

static json_t *dtype_names(const char *(*name)(enum loss_dtype dtype))
{
    json_t *names = json_array();
    for (int dtype = LOSS_ANY + 1; dtype < LOSS_DTYPE_COUNT; dtype++)
        names = jansson_append(names, json_string(name((enum loss_dtype)dtype)));
    return json_pack("{s:o}", "enum", names);
}

static const char *oip_dtype_name(enum loss_dtype dtype)
{
    return dtype_name(DTYPE_OIP, dtype);
}

enum { SCHEMA_NAME = 128 };

static json_t *add(json_t *schemas, const struct loss_descriptor *loss, const char *what,
                   json_t *schema)
{
    char name[SCHEMA_NAME];
    snprintf(name, sizeof name, "%s_%s", loss->name, what);
    return jansson_set(schemas, name, schema);
}

json_t *openapi_add_schemas(json_t *schemas)
{
    schemas = jansson_set(schemas, "LossName", loss_names());
    schemas = jansson_set(schemas, "Dtype", dtype_names(loss_dtype_name));
    schemas = jansson_set(schemas, "Datatype", dtype_names(oip_dtype_name));
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *const loss = loss_at(i);
        schemas = add(schemas, loss, "request", request_schema(loss));
        schemas = add(schemas, loss, "answer", answer_schema(loss, schemas));
        schemas = add(schemas, loss, "options", options_schema(loss));
        schemas = add(schemas, loss, "form", form_schema(loss));
    }
    return schemas;
}
