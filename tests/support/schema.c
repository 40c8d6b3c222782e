/* A JSON Schema validator for the keywords that the OpenAPI document uses. */
#include "support/schema.h"

#include <check.h>
#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const json_t *schema_resolve(const json_t *document, const char *reference)
{
    char name[128];
    if (strncmp(reference, "#/", 2) != 0)
        return NULL;
    const json_t *at = document;
    for (const char *text = reference + 1; at && *text == '/'; text += 1 + strcspn(text + 1, "/")) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 1, "/"), text + 1);
        at = json_object_get(at, name);
    }
    return at;
}

const json_t *schema_follow(const json_t *document, const json_t *object)
{
    const char *const reference = json_string_value(json_object_get(object, "$ref"));
    const json_t *const target = reference ? schema_resolve(document, reference) : object;
    ck_assert_msg(target != NULL, "%s does not exist", reference ? reference : "an object");
    return target;
}

struct check {
    const json_t *document, *schema, *value;
    char *why;
};

__attribute__((format(printf, 2, 3))) static bool no(const struct check *check, const char *format,
                                                     ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check->why, SCHEMA_WHY, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_of_type(const json_t *value, const char *type)
{
    const double number = json_number_value(value);
    return strcmp(type, "object") == 0    ? json_is_object(value)
           : strcmp(type, "array") == 0   ? json_is_array(value)
           : strcmp(type, "string") == 0  ? json_is_string(value)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(value)
           : strcmp(type, "null") == 0    ? json_is_null(value)
           : strcmp(type, "number") == 0  ? json_is_number(value)
           : strcmp(type, "integer") == 0 ? json_is_number(value) && number == rint(number)
                                          : false;
}

static bool check_type(const struct check *check, const json_t *types)
{
    if (json_is_string(types))
        return is_of_type(check->value, json_string_value(types)) ||
               no(check, "it is not of type %s", json_string_value(types));
    for (size_t i = 0; i < json_array_size(types); i++)
        if (is_of_type(check->value, json_string_value(json_array_get(types, i))))
            return true;
    return no(check, "it has none of the types");
}

static bool check_enum(const struct check *check, const json_t *values)
{
    for (size_t i = 0; i < json_array_size(values); i++)
        if (json_equal(json_array_get(values, i), check->value))
            return true;
    return no(check, "it is not in the enumeration");
}

static bool check_const(const struct check *check, const json_t *value)
{
    return json_equal(value, check->value) || no(check, "it is not the constant");
}

static bool check_reference(const struct check *check, const json_t *reference)
{
    (void)reference;
    return schema_takes(check->document, schema_follow(check->document, check->schema),
                        check->value, check->why);
}

static bool check_any(const struct check *check, const json_t *schemas)
{
    for (size_t i = 0; i < json_array_size(schemas); i++)
        if (schema_takes(check->document, json_array_get(schemas, i), check->value, check->why))
            return true;
    return false;
}

static bool check_required(const struct check *check, const json_t *names)
{
    for (size_t i = 0; json_is_object(check->value) && i < json_array_size(names); i++)
        if (!json_object_get(check->value, json_string_value(json_array_get(names, i))))
            return no(check, "%s is missing", json_string_value(json_array_get(names, i)));
    return true;
}

static bool check_properties(const struct check *check, const json_t *properties)
{
    const char *name;
    json_t *member;
    char why[SCHEMA_WHY];
    json_object_foreach((json_t *)(uintptr_t)check->value, name, member)
    {
        const json_t *const schema = json_object_get(properties, name);
        if (schema && !schema_takes(check->document, schema, member, why))
            return no(check, "%.64s: %.400s", name, why);
    }
    return true;
}

static bool check_additional(const struct check *check, const json_t *schema)
{
    const char *name;
    json_t *member;
    char why[SCHEMA_WHY];
    json_object_foreach((json_t *)(uintptr_t)check->value, name, member)
    {
        if (json_object_get(json_object_get(check->schema, "properties"), name))
            continue;
        if (json_is_false(schema))
            return no(check, "%.64s is not a known property", name);
        if (!schema_takes(check->document, schema, member, why))
            return no(check, "%.64s: %.400s", name, why);
    }
    return true;
}

static bool check_items(const struct check *check, const json_t *schema)
{
    char why[SCHEMA_WHY];
    for (size_t i = 0; i < json_array_size(check->value); i++)
        if (!schema_takes(check->document, schema, json_array_get(check->value, i), why))
            return no(check, "[%zu]: %.400s", i, why);
    return true;
}

static bool check_min_items(const struct check *check, const json_t *count)
{
    return json_array_size(check->value) >= (size_t)json_integer_value(count) ||
           no(check, "it has too few items");
}

static bool check_max_items(const struct check *check, const json_t *count)
{
    return json_array_size(check->value) <= (size_t)json_integer_value(count) ||
           no(check, "it has too many items");
}

static bool check_minimum(const struct check *check, const json_t *limit)
{
    return !json_is_number(check->value) ||
           json_number_value(check->value) >= json_number_value(limit) ||
           no(check, "it is too small");
}

static bool check_maximum(const struct check *check, const json_t *limit)
{
    return !json_is_number(check->value) ||
           json_number_value(check->value) <= json_number_value(limit) ||
           no(check, "it is too large");
}

static bool check_above(const struct check *check, const json_t *limit)
{
    return !json_is_number(check->value) ||
           json_number_value(check->value) > json_number_value(limit) ||
           no(check, "it is too small");
}

static bool check_below(const struct check *check, const json_t *limit)
{
    return !json_is_number(check->value) ||
           json_number_value(check->value) < json_number_value(limit) ||
           no(check, "it is too large");
}

/* The patterns of the OpenAPI document are also valid POSIX extended regular expressions. */
static bool check_pattern(const struct check *check, const json_t *pattern)
{
    regex_t expression;
    if (!json_is_string(check->value))
        return true;
    ck_assert_int_eq(regcomp(&expression, json_string_value(pattern), REG_EXTENDED | REG_NOSUB), 0);
    const bool matches = regexec(&expression, json_string_value(check->value), 0, NULL, 0) == 0;
    regfree(&expression);
    return matches || no(check, "it does not match the pattern");
}

static bool says_nothing(const struct check *check, const json_t *annotation)
{
    (void)check;
    (void)annotation;
    return true;
}

static const struct {
    const char *name;
    bool (*check)(const struct check *check, const json_t *value);
} keywords[] = {
    {"$ref", check_reference},
    {"type", check_type},
    {"enum", check_enum},
    {"const", check_const},
    {"anyOf", check_any},
    {"required", check_required},
    {"properties", check_properties},
    {"additionalProperties", check_additional},
    {"items", check_items},
    {"minItems", check_min_items},
    {"maxItems", check_max_items},
    {"minimum", check_minimum},
    {"maximum", check_maximum},
    {"exclusiveMinimum", check_above},
    {"exclusiveMaximum", check_below},
    {"pattern", check_pattern},
    {"title", says_nothing},
    {"description", says_nothing},
    {"default", says_nothing},
    {"format", says_nothing},
    {"contentEncoding", says_nothing},
    {"contentMediaType", says_nothing},
};
enum { KEYWORDS = sizeof keywords / sizeof keywords[0] };

bool schema_takes(const json_t *document, const json_t *schema, const json_t *value, char *why)
{
    const struct check check = {document, schema, value, why};
    const char *name;
    json_t *argument;
    json_object_foreach((json_t *)(uintptr_t)schema, name, argument)
    {
        size_t k = 0;
        while (k < KEYWORDS && strcmp(keywords[k].name, name) != 0)
            k++;
        ck_assert_msg(k < KEYWORDS, "unknown keyword %s", name);
        if (!keywords[k].check(&check, argument))
            return false;
    }
    return true;
}
