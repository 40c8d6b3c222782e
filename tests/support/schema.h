/* A JSON Schema validator for the keywords that the OpenAPI document uses. An unknown keyword
   aborts the test, so that nothing passes unchecked. */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Returns the target of a "$ref" ("#/components/schemas/Tensor"), borrowed; NULL if there is none.
 */
const json_t *schema_resolve(const json_t *document, const char *reference);
/* Returns the object, or its target if it is a reference. Aborts the test if there is no target. */
const json_t *schema_follow(const json_t *document, const json_t *object);

/* Returns true if the value matches the schema. Otherwise writes the reason to `why`, which has
   SCHEMA_WHY bytes. */
enum { SCHEMA_WHY = 512 };
bool schema_takes(const json_t *document, const json_t *schema, const json_t *value, char *why);

#endif
