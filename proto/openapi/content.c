/*
 * The contents of request and response bodies by media type. Example responses are computed by
 * evaluating the example requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/jansson_build.h"
#include "content/media_type.h"
#include "evaluation/example.h"
#include "oip/example.h"
#include "oip/oip.h"
#include "openapi/openapi.h"
#include "v1/v1.h"

enum { NAME = 128 };

/* Returns a Media Type Object of the schema <loss>_<what>. */
static json_t *of_schema(const struct loss_descriptor *loss, const char *what)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s_%s", loss->name, what);
    return json_pack("{s:o}", "schema", openapi_reference("schemas", name));
}

/* Adds the two media types of safetensors files. They have no schema, because they are not JSON. */
static json_t *with_files(json_t *content)
{
    content = jansson_set(content, media_type_name(MEDIA_SAFETENSORS), json_object());
    return jansson_set(content, media_type_name(MEDIA_OCTETS), json_object());
}

json_t *openapi_evaluate_request(const struct loss_descriptor *loss)
{
    json_t *const json = jansson_set(of_schema(loss, "request"), "example", example_request(loss));
    json_t *const content =
        with_files(jansson_set(json_object(), media_type_name(MEDIA_JSON), json));
    return jansson_set(content, media_type_name(MEDIA_MULTIPART), of_schema(loss, "form"));
}

/* Parses the JSON of a response, and frees it. Returns NULL if it is an error, which for examples
   can only be a lack of memory. */
static json_t *tree_of(struct response *response)
{
    json_t *tree = NULL;
    if (response->status == response_status(LOSS_OK) && !response->body.failed)
        tree = jansson_load(response->body.data, response->body.len);
    response_free(response);
    return tree;
}

/* Returns the response to a request with that body, which it steals. */
static json_t *evaluated(const struct loss_descriptor *loss, json_t *body)
{
    struct response response = {.status = 0};
    char *const text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return NULL;
    handler_serve(&v1_evaluate,
                  &(struct request_view){.loss = loss->name, .body = text, .len = strlen(text)}, 1,
                  &response);
    free(text);
    return tree_of(&response);
}

json_t *openapi_evaluate_answer(const struct loss_descriptor *loss)
{
    json_t *const json =
        jansson_set(of_schema(loss, "answer"), "example", evaluated(loss, example_request(loss)));
    return with_files(jansson_set(json_object(), media_type_name(MEDIA_JSON), json));
}

/* Returns JSON content with a schema and an example of openapi_base.json. */
static json_t *of_base(const char *schema, const char *example_name)
{
    return json_pack("{s:{s:o,s:{s:o}}}", media_type_name(MEDIA_JSON), "schema",
                     openapi_reference("schemas", schema), "examples", example_name,
                     openapi_reference("examples", example_name));
}

json_t *openapi_several_request(const struct loss_descriptor *none)
{
    (void)none;
    return of_base("SeveralRequest", "several");
}

json_t *openapi_several_answer(const struct loss_descriptor *none)
{
    (void)none;
    return of_base("SeveralAnswer", "severalAnswer");
}

json_t *openapi_merge_request(const struct loss_descriptor *none)
{
    (void)none;
    return of_base("MergeRequest", "merge");
}

json_t *openapi_merge_answer(const struct loss_descriptor *none)
{
    (void)none;
    return of_base("MergeAnswer", "mergeAnswer");
}

/* ---- Open Inference Protocol ---- */

/* Returns content of JSON with an example per loss, or of JSON followed by bytes. Steals the
   examples. */
static json_t *inference(const char *schema, json_t *examples)
{
    json_t *const json = json_pack("{s:o,s:o}", "schema", openapi_reference("schemas", schema),
                                   "examples", examples);
    return json_pack("{s:o,s:o}", media_type_name(MEDIA_JSON), json, media_type_name(MEDIA_OCTETS),
                     json_object());
}

json_t *openapi_infer_request(const struct loss_descriptor *none)
{
    (void)none;
    json_t *examples = json_object();
    for (size_t i = 0; i < loss_count(); i++)
        examples = jansson_set(examples, loss_at(i)->name,
                               json_pack("{s:o}", "value", oip_example(loss_at(i))));
    return inference("InferRequest", examples);
}

static json_t *inferred(const struct loss_descriptor *loss)
{
    struct response response = {.status = 0};
    json_t *const body = oip_example(loss);
    char *const text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text)
        return NULL;
    handler_serve(&oip_infer,
                  &(struct request_view){.loss = loss->name, .body = text, .len = strlen(text)}, 1,
                  &response);
    free(text);
    return tree_of(&response);
}

json_t *openapi_infer_answer(const struct loss_descriptor *none)
{
    (void)none;
    json_t *examples = json_object();
    for (size_t i = 0; i < loss_count(); i++)
        examples = jansson_set(examples, loss_at(i)->name,
                               json_pack("{s:o}", "value", inferred(loss_at(i))));
    return inference("InferAnswer", examples);
}

json_t *openapi_any_request(const struct loss_descriptor *none)
{
    (void)none;
    return json_pack("{s:{s:{s:s},s:{}}}", media_type_name(MEDIA_JSON), "schema", "type", "object",
                     "example");
}

json_t *openapi_root_answer(const struct loss_descriptor *none)
{
    (void)none;
    return json_pack("{s:{s:{s:s}},s:{s:{s:s}}}", "text/plain", "schema", "type", "string",
                     "text/html", "schema", "type", "string");
}
