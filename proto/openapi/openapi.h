/*
 * GET /openapi.json: the API as an OpenAPI 3.1 document. openapi_base.json, which is compiled in,
 * contains the parts that do not depend on losses. The rest is generated from the table of losses
 * and from the routes that the caller passes.
 */
#ifndef PROTO_OPENAPI_OPENAPI_H
#define PROTO_OPENAPI_OPENAPI_H

#include <jansson.h>

#include "content/response.h"

enum { OPENAPI_ERRORS = 10, OPENAPI_PARAMETERS = 2 };

/* The description of an operation. All text is static. */
struct openapi_operation {
    const char *id;  /* operationId; "_" and the loss are added if each_loss, "_version" if the path
                        has a version, "_slash" if it ends in "/" */
    const char *tag; /* of openapi_base.json */
    const char *summary; /* a few words */
    const char *doc;     /* a longer description, or NULL */
    bool each_loss;      /* one path per loss replaces the parameter {loss} */
    /* Return the content of requests and of responses: Media Type Objects by media type; NULL if
       memory runs out. The loss is NULL unless each_loss. NULL `request`: no body. NULL `answer`:
       `media` and `schema` describe the response. */
    json_t *(*request)(const struct loss_descriptor *loss);
    bool optional; /* the request body is optional */
    json_t *(*answer)(const struct loss_descriptor *loss);
    const char *media;  /* of the response */
    const char *schema; /* of openapi_base.json; NULL for plain text or bytes */
    const char *
        parameters[OPENAPI_PARAMETERS]; /* of openapi_base.json, in addition to those of the path */
    bool options;        /* the query may have the loss's parameters and the common fields */
    unsigned short also; /* another status with the same content, or 0 */
    unsigned short
        errors[OPENAPI_ERRORS]; /* further error statuses of openapi_base.json; ends with 0 */
};

/* A method and a path with parameters such as "{loss}". */
struct openapi_route {
    const char *method, *path;
    bool open;                                 /* needs no token */
    const struct openapi_operation *operation; /* NULL: not documented */
};

/* Fills the response with the document of those routes. */
void openapi_document(const struct openapi_route routes[], size_t count, struct response *response);

/* ---- Contents (content.c) ---- */

/* Of POST /v1/losses/{loss}, POST /v1/evaluate, POST /v1/merge and POST /v2/models/{loss}/infer. */
json_t *openapi_evaluate_request(const struct loss_descriptor *loss);
json_t *openapi_evaluate_answer(const struct loss_descriptor *loss);
json_t *openapi_several_request(const struct loss_descriptor *none);
json_t *openapi_several_answer(const struct loss_descriptor *none);
json_t *openapi_merge_request(const struct loss_descriptor *none);
json_t *openapi_merge_answer(const struct loss_descriptor *none);
json_t *openapi_infer_request(const struct loss_descriptor *none);
json_t *openapi_infer_answer(const struct loss_descriptor *none);
/* GET /: a page for browsers, otherwise text. */
json_t *openapi_root_answer(const struct loss_descriptor *none);
/* Any JSON, or none: POST /v2/repository/index. */
json_t *openapi_any_request(const struct loss_descriptor *none);

/* ---- Schemas (schema.c) ---- */

/* Returns {"$ref": "#/components/<kind>/<name>"}. */
json_t *openapi_reference(const char *kind, const char *name);

/* Adds the generated schemas: names of losses and dtypes, and for each loss <loss>_request,
   _answer, _options (the query) and _form. Steals the reference and returns it; NULL on failure. */
json_t *openapi_add_schemas(json_t *schemas);

#endif
