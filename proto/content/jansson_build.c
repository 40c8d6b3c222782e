#include "content/jansson_build.h"

json_t *jansson_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0) /* steals the value even if the array is NULL */
        return array;
    json_decref(array);
    return NULL;
}

json_t *jansson_set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *jansson_param_value(const struct loss_param_spec *spec, const struct loss_value *value)
{
    if (spec->nullable && loss_value_is_null(*value))
        return json_null();
    if (spec->type == LOSS_CHOICE)
        return json_string(spec->choices[value->integer]);
    if (spec->type == LOSS_BOOLEAN)
        return json_boolean(value->number != 0);
    return spec->type == LOSS_INTEGER ? json_integer(value->integer) : json_real(value->number);
}

json_t *jansson_param_default(const struct loss_param_spec *spec)
{
    return jansson_param_value(spec, &spec->default_value);
}

/* Appends to a buffer. Its `failed` remains set, because jansson continues after a key that could
   not be written. */
static int append_text(const char *text, size_t len, void *context)
{
    struct buffer *const buffer = context;
    buffer_append(buffer, text, len);
    return buffer->failed ? -1 : 0;
}

void jansson_respond(struct response *response, json_t *tree, size_t flags)
{
    struct loss_error error;
    *response = (struct response){.errors = response->errors,
                                  .status = response_status(LOSS_OK),
                                  .content_type = "application/json"};
    /* With 15 digits, bounds and defaults are printed as in the source; with 17, 1e-6 would be
       9.9999999999999995e-7. */
    const bool written = tree && json_dump_callback(tree, append_text, &response->body,
                                                    flags | JSON_REAL_PRECISION(15)) == 0;
    json_decref(tree);
    buffer_text(&response->body, "\n");
    if (written && !response->body.failed)
        return;
    loss_fail(&error, LOSS_UNAVAILABLE, "insufficient memory for the response; retry later");
    response_error(response, &error);
}
