/*
 * Putting descriptors into JSON, with jansson. Trees are built without looking at each step:
 * jansson takes NULL for a value and then fails, so that a failure anywhere (memory is all that can
 * fail) comes out as NULL at the end.
 */
#ifndef PROTO_CONTENT_JANSSON_BUILD_H
#define PROTO_CONTENT_JANSSON_BUILD_H

#include <jansson.h>

#include "content/response.h"

/* Appends to an array and hands it on. Takes both; NULL where something has failed. */
json_t *jansson_append(json_t *array, json_t *value);

/* Gives an object a member and hands it on. Takes both; NULL where something has failed. */
json_t *jansson_set(json_t *object, const char *key, json_t *value);

/* A value of a parameter; its default. */
json_t *jansson_param_value(const struct loss_param_spec *spec, const struct loss_value *value);
json_t *jansson_param_default(const struct loss_param_spec *spec);

/* Reads JSON; NULL if that is not sound or memory has run out. To be used in place of jansson's own
 * functions. */
json_t *jansson_load(const char *text, size_t len);

/* Answers with a tree, which is freed, written with jansson's `flags`; or, where it is NULL, that
   memory has run out. Keeps response->errors. */
void jansson_respond(struct response *response, json_t *tree, size_t flags);

#endif
