#include "json/object_reader.h"
#include "number/number.h"
#include "json/scanner.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors ---- */

enum loss_status object_reader_below(struct loss_error *error, const char *parent, ...)
{
    char path[sizeof error->path];
    va_list args;
    memcpy(path, error->path, sizeof path);
    va_start(args, parent);
    vsnprintf(error->path, sizeof error->path, parent, args);
    va_end(args);
    const size_t len = strlen(error->path);
    snprintf(error->path + len, sizeof error->path - len, "%s", path);
    return error->status;
}

enum loss_status object_reader_malformed(struct object_reader *json, const char *at,
                                         const char *format, ...)
{
    char message[sizeof json->error->message - 32];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (json->body)
        return json_malformed(json->error, json->body, at, json->path, "%s", message);
    return loss_fail_at(json->error, LOSS_MALFORMED, json->path, "%s", message);
}

enum loss_status object_reader_unexpected(struct object_reader *json, const char *at,
                                          const char *expected)
{
    char byte[JSON_BYTE_TEXT];
    /* A cancelled reader stops within white space; the text is not at fault. */
    if (quota_cancelled(json->quota))
        return loss_fail(json->error, LOSS_CANCELLED, "the request was cancelled");
    return object_reader_malformed(json, at, "%s where %s was expected",
                                   json_byte_text(at, json->end, byte), expected);
}

enum loss_status object_reader_wrong_type(struct object_reader *json, const char *expected)
{
    char found[JSON_QUOTE];
    return object_reader_malformed(json, json->at, "%s is %s; it must be %s", json->key,
                                   json_value_text(json->at, json->end, found), expected);
}

/* Fails at byte `at`, where json_skip_value has stopped. */
static enum loss_status invalid_value(struct object_reader *json, const char *at)
{
    if (*at == '[' || *at == '{')
        return object_reader_malformed(json, at, "arrays and objects are nested more than %d deep",
                                       json_depth());
    return object_reader_unexpected(json, at, "a JSON value");
}

/* ---- Objects and lists ---- */

void object_reader_begin(struct object_reader *json, const char *body, size_t len,
                         const struct quota *quota, struct loss_error *error)
{
    json->body = json->at = body;
    json->end = body + len;
    json->quota = quota;
    json->error = error;
    json->key[0] = json->path[0] = '\0';
}

void object_reader_set_key(struct object_reader *json, const char *key)
{
    if (key != json->key)
        snprintf(json->key, sizeof json->key, "%s", key);
    json->path[0] = '\0';
    json_pointer_add(json->path, sizeof json->path, json->key);
}

/* Moves past the string at json->at. Fails if there is none. */
static enum loss_status skip_string(struct object_reader *json, const char *expected)
{
    const char *at;
    if (*json->at != '"')
        return object_reader_unexpected(json, json->at, expected);
    const char *const end = json_skip_string(json->at, &at);
    if (!end)
        return object_reader_unexpected(json, at, "the rest of a string");
    json->at = end;
    return LOSS_OK;
}

/* Moves past a key, which is not decoded, and the colon after it. */
static enum loss_status skip_key(struct object_reader *json)
{
    if (skip_string(json, "a field name in quotes") != LOSS_OK)
        return json->error->status;
    json->at = json_blank(json->at, json->quota);
    if (*json->at != ':')
        return object_reader_unexpected(json, json->at, "':'");
    json->at = json_blank(json->at + 1, json->quota);
    return LOSS_OK;
}

/* Decodes a key, and moves to its value. */
static enum loss_status read_key(struct object_reader *json)
{
    json->path[0] = '\0';
    const char *const start = json->at;
    if (skip_string(json, "a field name in quotes") != LOSS_OK)
        return json->error->status;
    if (!json_decode_string(start, json->at, json->key, sizeof json->key))
        return object_reader_malformed(
            json, start, "the name of a field has more than %d bytes, or is not valid text",
            OBJECT_KEY - 1);
    object_reader_set_key(json, json->key);
    json->at = json_blank(json->at, json->quota);
    if (*json->at != ':')
        return object_reader_unexpected(json, json->at, "':'");
    json->at = json_blank(json->at + 1, json->quota);
    return LOSS_OK;
}

/* Reads comma-separated items from the opening bracket at json->at to `close`. */
static enum loss_status read_items(struct object_reader *json, char close, object_element *item,
                                   void *context)
{
    const char expected[] = {'\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};
    size_t index = 0;
    json->at = json_blank(json->at + 1, json->quota);
    for (bool more = *json->at != close || !++json->at; more; json->at++) {
        json->at = json_blank(json->at, json->quota);
        if (item(json, index++, context) != LOSS_OK)
            return json->error->status;
        json->at = json_blank(json->at, json->quota);
        if (*json->at != ',' && *json->at != close)
            return object_reader_unexpected(json, json->at, expected);
        more = *json->at == ',';
    }
    return LOSS_OK;
}

/* The caller's function for members, with its context. */
struct member_reader {
    object_member *member;
    void *context;
};

static enum loss_status read_member(struct object_reader *json, size_t index, void *context)
{
    const struct member_reader *const reader = context;
    (void)index;
    if (read_key(json) != LOSS_OK)
        return json->error->status;
    return reader->member(json, reader->context);
}

enum loss_status object_reader_members(struct object_reader *json, object_member *member,
                                       void *context)
{
    struct member_reader reader = {member, context};
    if (*json->at != '{')
        return object_reader_unexpected(json, json->at, "'{'");
    if (read_items(json, '}', read_member, &reader) == LOSS_OK)
        return LOSS_OK;
    /* If reading was cancelled within white space, the error is only a consequence of that. */
    return quota_cancelled(json->quota)
               ? loss_fail(json->error, LOSS_CANCELLED, "the request was cancelled")
               : json->error->status;
}

enum loss_status object_reader_elements(struct object_reader *json, object_element *element,
                                        void *context)
{
    if (*json->at != '[')
        return object_reader_unexpected(json, json->at, "'['");
    return read_items(json, ']', element, context);
}

enum loss_status object_reader_document(struct object_reader *json, object_member *member,
                                        void *context)
{
    json->at = json_begin(json->at, json->quota);
    if (object_reader_members(json, member, context) != LOSS_OK)
        return json->error->status;
    json->path[0] = '\0';
    json->at = json_blank(json->at, json->quota);
    return json->at == json->end ? LOSS_OK : object_reader_unexpected(json, json->at, "the end");
}

/* ---- Values that are not used ---- */

enum loss_status object_reader_skip(struct object_reader *json)
{
    const char *at, *const end = json_skip_value(json->at, json->quota, &at);
    if (!end)
        return invalid_value(json, at);
    json->at = end;
    return LOSS_OK;
}

static enum loss_status validate(struct object_reader *json, int depth);

static enum loss_status validate_element(struct object_reader *json, size_t index, void *context)
{
    (void)index;
    return validate(json, *(const int *)context);
}

static enum loss_status validate_member(struct object_reader *json, size_t index, void *context)
{
    (void)index;
    if (skip_key(json) != LOSS_OK)
        return json->error->status;
    return validate(json, *(const int *)context);
}

/* Moves past a number or a literal; returns false if there is none. */
static bool skip_scalar(struct object_reader *json)
{
    static const char *const literals[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    double number;
    const char *end = number_read_f64(json->at, &number);
    for (size_t i = 0; !end && i < sizeof literals / sizeof literals[0]; i++)
        if (strncmp(json->at, literals[i], strlen(literals[i])) == 0)
            end = json->at + strlen(literals[i]);
    json->at = end ? end : json->at;
    return end;
}

/* `depth` is the number of levels that may still be opened. */
static enum loss_status validate(struct object_reader *json, int depth)
{
    const bool opens = *json->at == '[' || *json->at == '{';
    if (opens && depth-- == 0)
        return invalid_value(json, json->at);
    if (opens)
        return *json->at == '[' ? read_items(json, ']', validate_element, &depth)
                                : read_items(json, '}', validate_member, &depth);
    if (*json->at == '"')
        return skip_string(json, "a JSON value");
    return skip_scalar(json) ? LOSS_OK : object_reader_unexpected(json, json->at, "a JSON value");
}

enum loss_status object_reader_validate(struct object_reader *json)
{
    return validate(json, json_depth());
}

/* ---- Values ---- */

enum loss_status object_reader_string(struct object_reader *json, const char *expected, char *text,
                                      size_t size)
{
    const char *const start = json->at;
    if (skip_string(json, expected) != LOSS_OK)
        return json->error->status;
    if (json_decode_string(start, json->at, text, size))
        return LOSS_OK;
    const size_t len = (size_t)(json->at - start) - 2;
    snprintf(text, size, "%.*s", (int)(len < size ? len : size), start + 1);
    return LOSS_OK;
}

enum loss_status object_reader_boolean(struct object_reader *json, const char *expected,
                                       bool *value)
{
    *value = strncmp(json->at, "true", 4) == 0;
    if (!*value && strncmp(json->at, "false", 5) != 0)
        return object_reader_wrong_type(json, expected);
    json->at += *value ? 4 : 5;
    return LOSS_OK;
}

bool object_reader_null(struct object_reader *json)
{
    const bool is_null = strncmp(json->at, "null", 4) == 0;
    json->at += is_null ? 4 : 0;
    return is_null;
}

int object_reader_find(struct object_reader *json, const char *const names[], uint32_t *seen,
                       const char *what)
{
    char quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = json->key};
    for (int i = 0; names[i]; i++) {
        loss_nearest_try(&search, names[i]);
        if (strcmp(names[i], json->key) != 0)
            continue;
        if (*seen >> i & 1) {
            object_reader_malformed(json, json->at, "%s has a duplicate field '%s'", what,
                                    json->key);
            return -1;
        }
        *seen |= UINT32_C(1) << i;
        return i;
    }
    object_reader_malformed(json, json->at, "%s has an unknown field '%s'%s", what,
                            json_quote(json->key, quote),
                            loss_nearest_text(&search, "'", "'", NULL, suggestion));
    return -1;
}
