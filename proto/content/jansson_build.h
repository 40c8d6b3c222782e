/*
 * Builds JSON documents with jansson. Callers need not check each step: jansson accepts NULL as a
 * value and then fails, so a failure anywhere (which can only be a lack of memory) results in NULL
 * at the end.
 */
#ifndef PROTO_CONTENT_JANSSON_BUILD_H
#define PROTO_CONTENT_JANSSON_BUILD_H

#include <jansson.h>

#include "content/response.h"

/* Appends a value to an array, and returns the array. Steals both references; returns NULL on
   failure. */
json_t *jansson_append(json_t *array, json_t *value);

/* Sets a member of an object, and returns the object. Steals both references; returns NULL on
   failure. */
json_t *jansson_set(json_t *object, const char *key, json_t *value);

/* Return a value of a parameter, and its default value, as JSON. */
json_t *jansson_param_value(const struct loss_param_spec *spec, const struct loss_value *value);
json_t *jansson_param_default(const struct loss_param_spec *spec);

/* Parses an object or array. Returns NULL if it is invalid or memory runs out. Use it instead of
   jansson's own functions, which do not detect all failed allocations. */
json_t *jansson_load(const char *text, size_t len);

/* Fills the response with a tree, whose reference it steals, written with jansson's `flags`. If the
   tree is NULL, responds that memory ran out. Keeps response->errors. */
void jansson_respond(struct response *response, json_t *tree, size_t flags);

#endif
