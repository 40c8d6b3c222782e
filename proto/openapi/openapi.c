#include "openapi/openapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/jansson_build.h"

/* The bytes of openapi_base.json. */
__asm__(
    ".pushsection .rodata\n"
    ".hidden openapi_base\n.hidden openapi_base_end\n.globl openapi_base\n.globl openapi_base_end\n"
    "openapi_base:\n.incbin \"proto/openapi/openapi_base.json\"\nopenapi_base_end:\n.byte 0\n"
    ".popsection");
extern const char openapi_base[], openapi_base_end[];

enum { TEXT = 192 };

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* ---- Parameters ---- */

static json_t *loss_parameter(void)
{
    return json_pack("{s:s,s:s,s:b,s:o,s:s}", "name", "loss", "in", "path", "required", true,
                     "schema", openapi_reference("schemas", "LossName"), "example",
                     loss_at(0)->name);
}

/* Returns the parameter whose properties, the options of the loss, are query parameters. */
static json_t *options_parameter(const struct loss_descriptor *loss)
{
    return json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:o}", "name", "options", "in", "query", "style", "form", "explode",
        true, "description",
        "Each property is a query parameter: margin=2&reduction=sum. JSON requests accept no "
        "query.",
        "schema",
        json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s_options", loss->name)));
}

static json_t *parameters_of(const struct openapi_route *route, const struct loss_descriptor *loss)
{
    const struct openapi_operation *const operation = route->operation;
    json_t *parameters = json_array();
    for (const char *at = route->path; (at = strchr(at, '{')); at++) {
        char name[TEXT];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1, "}"), at + 1);
        if (strcmp(name, "loss") != 0)
            parameters = jansson_append(parameters, openapi_reference("parameters", name));
        else if (!loss)
            parameters = jansson_append(parameters, loss_parameter());
    }
    for (int i = 0; i < OPENAPI_PARAMETERS && operation->parameters[i]; i++)
        parameters =
            jansson_append(parameters, openapi_reference("parameters", operation->parameters[i]));
    return operation->options ? jansson_append(parameters, options_parameter(loss)) : parameters;
}

/* ---- Responses ---- */

/* Returns the content of an operation with a declared media type. */
static json_t *declared_content(const struct openapi_operation *operation)
{
    json_t *const schema = operation->schema ? openapi_reference("schemas", operation->schema)
                                             : json_pack("{s:s}", "type", "string");
    return json_pack("{s:{s:o}}", operation->media, "schema", schema);
}

/* Returns a reference to the error response of openapi_base.json for a status and the kind of the
   path. */
static json_t *error_response(const char *path, const char *status)
{
    const char *const kind = strncmp(path, "/v2", 3) == 0 ? "Protocol" : "Problem";
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/responses/%s%s", kind, status));
}

static json_t *success(const struct openapi_operation *operation,
                       const struct loss_descriptor *loss)
{
    json_t *const content =
        operation->answer ? operation->answer(loss) : declared_content(operation);
    return json_pack("{s:s,s:{s:o,s:o},s:o}", "description", "Success.", "headers", "X-Request-Id",
                     openapi_reference("headers", "requestId"), "Server-Timing",
                     openapi_reference("headers", "timing"), "content", content);
}

static json_t *responses_of(const struct openapi_route *route, const struct loss_descriptor *loss)
{
    const struct openapi_operation *const operation = route->operation;
    char status[TEXT];
    json_t *responses = json_object();
    if (operation->answer || operation->media)
        responses = jansson_set(responses, "200", success(operation, loss));
    if (operation->also) {
        snprintf(status, sizeof status, "%d", operation->also);
        responses = jansson_set(responses, status, success(operation, loss));
    }
    for (int i = 0; i < OPENAPI_ERRORS && operation->errors[i]; i++) {
        snprintf(status, sizeof status, "%d", operation->errors[i]);
        responses = jansson_set(responses, status, error_response(route->path, status));
    }
    if (!route->open)
        responses = jansson_set(responses, "401", error_response(route->path, "401"));
    return jansson_set(responses, "default", error_response(route->path, ""));
}

/* ---- Operations ---- */

static json_t *id_of(const struct openapi_route *route, const struct loss_descriptor *loss)
{
    if (loss)
        return json_sprintf("%s_%s", route->operation->id, loss->name);
    const char *variant = "";
    if (strstr(route->path, "{version}"))
        variant = "_version";
    else if (ends_with(route->path, "/") && strcmp(route->path, "/") != 0)
        variant = "_slash";
    return json_sprintf("%s%s", route->operation->id, variant);
}

static json_t *aliases_of(const struct loss_descriptor *loss)
{
    char text[TEXT] = "";
    for (int i = 0; i < LOSS_MAX_ALIASES && loss->aliases[i]; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? ", " : "",
                 loss->aliases[i]);
    return json_sprintf("%s\n\n%s\n\nAlso known as %s.", loss->doc, loss->formula, text);
}

static json_t *summary_of(const struct openapi_operation *operation,
                          const struct loss_descriptor *loss)
{
    return loss ? json_sprintf("%s: %s", operation->summary, loss->title)
                : json_string(operation->summary);
}

static json_t *operation_of(const struct openapi_route *route, const struct loss_descriptor *loss)
{
    const struct openapi_operation *const operation = route->operation;
    json_t *object = json_pack("{s:o,s:[s],s:o,s:o,s:o}", "operationId", id_of(route, loss), "tags",
                               operation->tag, "summary", summary_of(operation, loss), "parameters",
                               parameters_of(route, loss), "responses", responses_of(route, loss));
    if (operation->doc)
        object = jansson_set(object, "description", json_string(operation->doc));
    else if (loss)
        object = jansson_set(object, "description", aliases_of(loss));
    if (route->open)
        object = jansson_set(object, "security", json_array());
    if (operation->request)
        object = jansson_set(object, "requestBody",
                             json_pack("{s:b,s:o}", "required", !operation->optional, "content",
                                       operation->request(loss)));
    return object;
}

/* ---- Paths ---- */

/* Writes the path with the loss in place of "{loss}". */
static void fill_in(const char *path, const struct loss_descriptor *loss, char *text)
{
    const char *const at = strstr(path, "{loss}");
    if (loss && at)
        snprintf(text, TEXT, "%.*s%s%s", (int)(at - path), path, loss->name, at + strlen("{loss}"));
    else
        snprintf(text, TEXT, "%s", path);
}

/* Adds an operation to its path, which may have other operations. */
static json_t *add_operation(json_t *paths, const struct openapi_route *route,
                             const struct loss_descriptor *loss)
{
    char path[TEXT];
    const char *const method = strcmp(route->method, "GET") == 0 ? "get" : "post";
    fill_in(route->path, loss, path);
    json_t *const others = json_object_get(paths, path);
    json_t *const item = others ? json_incref(others) : json_object();
    return jansson_set(paths, path, jansson_set(item, method, operation_of(route, loss)));
}

static json_t *add_route(json_t *paths, const struct openapi_route *route)
{
    if (!route->operation->each_loss)
        return add_operation(paths, route, NULL);
    for (size_t i = 0; i < loss_count(); i++)
        paths = add_operation(paths, route, loss_at(i));
    return paths;
}

/* Sets a member of an object; either may be NULL. Steals the value. Returns false on failure. */
static bool set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

void openapi_document(const struct openapi_route routes[], size_t count, struct response *response)
{
    json_t *const document = jansson_load(openapi_base, (size_t)(openapi_base_end - openapi_base));
    json_t *const components = json_object_get(document, "components"), *paths = json_object();
    for (size_t i = 0; i < count; i++)
        paths = routes[i].operation ? add_route(paths, &routes[i]) : paths;
    const bool made = set(document, "paths", paths) &
                      set(json_object_get(document, "info"), "version", json_string(LOSS_VERSION)) &
                      set(components, "schemas",
                          openapi_add_schemas(json_incref(json_object_get(components, "schemas"))));
    if (!made)
        json_decref(document);
    jansson_respond(response, made ? document : NULL, JSON_COMPACT);
}
