/*
 * JSON Schema, as far as the service's own document uses it: whether a value is what a schema says.
 * A keyword that is not known here aborts the test, so that nothing passes for not being looked at.
 */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What a "$ref" of a document points to ("#/components/schemas/Tensor"); NULL if that is nothing.
 * Borrowed. */
const json_t *schema_resolve(const json_t *document, const char *reference);
/* The object itself, or what it refers to if it is a reference. Aborts the test if that is nothing.
 */
const json_t *schema_follow(const json_t *document, const json_t *object);

/* Whether a value is as a schema of a document has it; else `why`, of SCHEMA_WHY bytes, says in
 * what it is not. */
enum { SCHEMA_WHY = 512 };
bool schema_takes(const json_t *document, const json_t *schema, const json_t *value, char *why);

#endif
