/* Putting descriptors into JSON. */
#include "describe.h"

#include <stdlib.h>

json_t *describe_with(json_t *array, json_t *value)
{
    if (array && json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

json_t *describe_member(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *describe_value(const struct loss_param_spec *spec, const struct loss_value *value)
{
    if (spec->type == LOSS_CHOICE)
        return json_string(spec->choices[value->integer]);
    if (spec->type == LOSS_BOOLEAN)
        return json_boolean(value->number != 0);
    return spec->type == LOSS_INTEGER ? json_integer(value->integer) : json_real(value->number);
}

json_t *describe_default(const struct loss_param_spec *spec)
{
    return describe_value(spec, &spec->fallback);
}

void describe_answer(struct reply *reply, json_t *tree, size_t flags)
{
    struct loss_error error;
    /* The numbers are bounds and defaults, written by people: 15 digits show each as it was written, 17 would show 1e-6 as
       9.9999999999999995e-7. */
    char *text = tree ? json_dumps(tree, flags | JSON_REAL_PRECISION(15)) : NULL;
    *reply = (struct reply){.errors = reply->errors, .status = reply_status(LOSS_OK), .content_type = "application/json"};
    if (text)
        buffer_printf(&reply->body, "%s\n", text);
    free(text);
    json_decref(tree);
    if (text && !reply->body.failed)
        return;
    loss_fail(&error, LOSS_UNAVAILABLE, "there is not enough memory for the answer at the moment");
    reply_problem(reply, &error);
}
