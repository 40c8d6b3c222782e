/* The metadata endpoints of the Open Inference Protocol. */
#include "content/jansson_build.h"
#include "formats/dtype_names.h"
#include "oip/names.h"
#include "oip/oip.h"

#include <string.h>

static const char version_text[] = "1";

/* ---- Tensors ---- */

/* Returns the number of dimensions of a form such as "(N, C)"; -1 if it varies, as in "(N, C, d1,
   ...)". */
static int named_dimensions(const char *form, size_t len)
{
    int count = 0;
    bool open = false, inside = false;
    for (size_t i = 0; i < len; i++) {
        const bool letter = form[i] != '(' && form[i] != ')' && form[i] != ',' && form[i] != ' ';
        open |= form[i] == '.';
        count += letter && !inside && form[i] != '.';
        inside = letter;
    }
    return open ? -1 : count;
}

/* Returns a shape with -1 for every dimension. The protocol allows one shape per tensor: the
   longest of its forms with a fixed number of dimensions, or else one dimension. */
static json_t *open_shape(const struct loss_tensor_spec *spec)
{
    json_t *shape = json_array();
    int dimensions = -1;
    for (const char *form = strchr(spec->shape, '('); form; form = strchr(form + 1, '(')) {
        const int named = named_dimensions(form, strcspn(form, ")"));
        if (named > dimensions)
            dimensions = named;
    }
    for (int i = 0; i < (dimensions < 0 ? 1 : dimensions); i++)
        shape = jansson_append(shape, json_integer(-1));
    return shape;
}

/* Returns the usual dtype of a tensor. Other dtypes of its kind are also accepted. */
static enum loss_dtype usual_dtype(const struct loss_tensor_spec *spec)
{
    return spec->kind == LOSS_REAL ? LOSS_FLOAT32 : LOSS_INT64;
}

/* Describes a tensor for the metadata or, if `config`, the configuration of a model. Steals the
   shape. */
static json_t *tensor_named(const char *name, enum loss_dtype dtype, json_t *shape, bool config)
{
    if (config)
        return json_pack("{s:s,s:o,s:o}", "name", name, "data_type",
                         json_sprintf("TYPE_%s", dtype_name(DTYPE_OIP, dtype)), "dims", shape);
    return json_pack("{s:s,s:s,s:o}", "name", name, "datatype", dtype_name(DTYPE_OIP, dtype),
                     "shape", shape);
}

static json_t *optional(json_t *input, bool config)
{
    return jansson_set(input, config ? "optional" : "parameters",
                       config ? json_true() : json_pack("{s:b}", "optional", true));
}

static json_t *inputs_of(const struct loss_descriptor *loss, bool config)
{
    json_t *inputs = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const struct loss_tensor_spec *const spec = &loss->tensors[k];
        json_t *const input = tensor_named(spec->name, usual_dtype(spec), open_shape(spec), config);
        inputs = jansson_append(inputs, spec->optional ? optional(input, config) : input);
    }
    return inputs;
}

static json_t *outputs_of(const struct loss_descriptor *loss, bool config)
{
    char name[OIP_NAME];
    json_t *outputs = json_array();
    outputs = jansson_append(outputs, tensor_named(oip_output_name(loss, OIP_LOSS, 0, name),
                                                   LOSS_FLOAT64, json_pack("[i]", -1), config));
    for (enum oip_kind kind = OIP_GRAD; kind <= OIP_HESS; kind++)
        for (int k = 0; k < loss_tensor_specs(loss); k++) {
            const struct loss_tensor_spec *const spec = &loss->tensors[k];
            if (kind == OIP_GRAD ? spec->differentiable : loss->hessian && spec->prediction)
                outputs =
                    jansson_append(outputs, tensor_named(oip_output_name(loss, kind, k, name),
                                                         LOSS_FLOAT32, open_shape(spec), config));
        }
    return outputs;
}

/* ---- Responses ---- */

/* Returns the loss of a path. On failure, returns NULL and fills the response. */
static const struct loss_descriptor *find(const char *model, const char *version,
                                          struct response *response)
{
    struct loss_error error;
    const struct loss_descriptor *const loss = oip_model_find(model, version, &error);
    response->errors = RESPONSE_OIP;
    if (!loss)
        response_error(response, &error);
    return loss;
}

static void answer(struct response *response, json_t *tree)
{
    response->errors = RESPONSE_OIP;
    jansson_respond(response, tree, JSON_COMPACT);
}

void oip_health(const char *what, bool is, struct response *response)
{
    answer(response, json_pack("{s:b}", what, is));
    if (!is && response->status == response_status(LOSS_OK))
        response->status = response_status(LOSS_UNAVAILABLE);
}

void oip_server(struct response *response)
{
    answer(response, json_pack("{s:s,s:s,s:[s,s,s,s]}", "name", "lossd", "version", LOSS_VERSION,
                               "extensions", "binary_tensor_data", "parameters", "statistics",
                               "model_repository"));
}

/* Returns the parameters of requests with their defaults. */
static json_t *parameters_of(const struct loss_descriptor *loss)
{
    json_t *parameters = json_pack("{s:s}", "reduction", loss_reduction_name(LOSS_MEAN));
    for (int k = 0; k < loss_param_specs(loss); k++)
        parameters =
            jansson_set(parameters, loss->params[k].name, jansson_param_default(&loss->params[k]));
    return parameters;
}

void oip_model(const char *model, const char *version, struct response *response)
{
    const struct loss_descriptor *const loss = find(model, version, response);
    if (loss)
        answer(response,
               json_pack("{s:s,s:[s],s:s,s:o,s:o,s:o}", "name", loss->name, "versions",
                         version_text, "platform", "lossd_loss", "inputs", inputs_of(loss, false),
                         "outputs", outputs_of(loss, false), "parameters", parameters_of(loss)));
}

void oip_model_ready(const char *model, const char *version, struct response *response)
{
    const struct loss_descriptor *const loss = find(model, version, response);
    if (loss)
        answer(response, json_pack("{s:s,s:b}", "name", loss->name, "ready", true));
}

void oip_model_config(const char *model, const char *version, struct response *response)
{
    const struct loss_descriptor *const loss = find(model, version, response);
    if (loss)
        answer(response, json_pack("{s:s,s:s,s:s,s:{s:{s:i}},s:i,s:o,s:o}", "name", loss->name,
                                   "platform", "lossd_loss", "backend", "lossd", "version_policy",
                                   "latest", "num_versions", 1, "max_batch_size", 0, "input",
                                   inputs_of(loss, true), "output", outputs_of(loss, true)));
}

void oip_repository_index(struct response *response)
{
    json_t *models = json_array();
    for (size_t i = 0; i < loss_count(); i++)
        models = jansson_append(models,
                                json_pack("{s:s,s:s,s:s,s:s}", "name", loss_at(i)->name, "version",
                                          version_text, "state", "READY", "reason", ""));
    answer(response, models);
}

void oip_repository_refuse(struct response *response)
{
    struct loss_error error;
    response->errors = RESPONSE_OIP;
    loss_fail(&error, LOSS_MALFORMED,
              "models cannot be loaded or unloaded; every loss is a model and always ready");
    response_error(response, &error);
}

/* ---- Statistics ---- */

static json_t *duration(struct oip_duration of)
{
    return json_pack("{s:I,s:I}", "count", (json_int_t)of.count, "ns", (json_int_t)of.ns);
}

static json_t *statistics_of(const struct loss_descriptor *loss, const struct oip_statistics *s)
{
    static const struct oip_duration never; /* there is no cache */
    json_t *const inference =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "success", duration(s->success), "fail",
                  duration(s->fail), "queue", duration(s->queue), "compute_input",
                  duration(s->input), "compute_infer", duration(s->infer), "compute_output",
                  duration(s->output), "cache_hit", duration(never), "cache_miss", duration(never));
    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:o,s:[],s:{},s:[]}", "name", loss->name, "version",
                     version_text, "last_inference", (json_int_t)s->last_ms, "inference_count",
                     (json_int_t)s->success.count, "execution_count", (json_int_t)s->success.count,
                     "inference_stats", inference, "batch_stats", "response_stats", "memory_usage");
}

void oip_model_statistics(const char *model, const char *version,
                          const struct oip_statistics statistics[], struct response *response)
{
    const struct loss_descriptor *const only = model ? find(model, version, response) : NULL;
    if (model && !only)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < loss_count(); i++)
        if (!only || only == loss_at(i))
            list = jansson_append(list, statistics_of(loss_at(i), &statistics[i]));
    answer(response, json_pack("{s:o}", "model_stats", list));
}
