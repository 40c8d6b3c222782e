/*
 * GET /openapi.json: the service as an OpenAPI 3.1 document. What does not depend on a loss stands
 * in openapi_base.json, which is compiled in; what does is made from the table of losses; paths
 * come from whoever has them, with what each operation takes and gives.
 */
#ifndef PROTO_OPENAPI_OPENAPI_H
#define PROTO_OPENAPI_OPENAPI_H

#include <jansson.h>

#include "content/response.h"

enum { OPENAPI_ERRORS = 10, OPENAPI_PARAMETERS = 2 };

/* What to say of a method of a path. All text is static. */
struct openapi_operation {
    const char *
        id; /* operationId. A path of one loss adds "_" and its name, one of a version "_version" */
    const char *tag;     /* of openapi_base.json */
    const char *summary; /* a few words */
    const char *doc;     /* more, or NULL */
    bool each_loss;      /* a path for each loss, in place of the parameter {loss} */
    /* The content of requests and of answers by media type, as a Media Type Object each; NULL if
       memory has run out. The loss is NULL unless each_loss. Without a `request` there is no body;
       without an `answer` there is `media`, of a `schema`. */
    json_t *(*request)(const struct loss_descriptor *loss);
    bool optional; /* that body may be left out */
    json_t *(*answer)(const struct loss_descriptor *loss);
    const char *media;  /* of the answer */
    const char *schema; /* of openapi_base.json, or NULL for plain text or bytes */
    const char
        *parameters[OPENAPI_PARAMETERS]; /* of openapi_base.json, besides those of the path */
    bool options;        /* the loss's parameters and the common fields may be in the query */
    unsigned short also; /* another status that has an answer of that kind, or 0 */
    unsigned short
        errors[OPENAPI_ERRORS]; /* statuses of openapi_base.json to expect besides; 0 ends them */
};

/* A method of a path, with "{loss}" and other parameters. */
struct openapi_route {
    const char *method, *path;
    bool open;                                 /* needs no token where the others do */
    const struct openapi_operation *operation; /* NULL: it is left out */
};

/* Answers with the document of those routes. */
void openapi_document(const struct openapi_route routes[], size_t count, struct response *response);

/* ---- contents (content.c) ---- */

/* Of POST /v1/losses/{loss}, POST /v1/evaluate and POST /v2/models/{loss}/infer. */
json_t *openapi_evaluate_request(const struct loss_descriptor *loss);
json_t *openapi_evaluate_answer(const struct loss_descriptor *loss);
json_t *openapi_several_request(const struct loss_descriptor *none);
json_t *openapi_several_answer(const struct loss_descriptor *none);
json_t *openapi_infer_request(const struct loss_descriptor *none);
json_t *openapi_infer_answer(const struct loss_descriptor *none);
/* Of GET /: a page for browsers, else text. */
json_t *openapi_root_answer(const struct loss_descriptor *none);
/* Any JSON, or none: what POST /v2/repository/index takes. */
json_t *openapi_any_request(const struct loss_descriptor *none);

/* ---- schemas (schema.c) ---- */

/* {"$ref": "#/components/<kind>/<name>"} */
json_t *openapi_reference(const char *kind, const char *name);

/* Adds to the components' schemas those of the table: names of losses, dtypes, and of each loss
   <loss>_request, _answer, _options (what may be in a query) and _form. Takes the schemas and hands
   them on; NULL where something has failed. */
json_t *openapi_add_schemas(json_t *schemas);

#endif
