#include "evaluation/example.h"
#include "content/jansson_build.h"

#include <math.h>

json_t *example_number(double value)
{
    return value == rint(value) ? json_integer((json_int_t)value) : json_real(value);
}

/* Returns the numbers at *at as arrays nested from dimension d on, and moves *at past them. */
static json_t *nested(const struct loss_example *example, int k, int d, const double **at)
{
    if (d == example->tensors[k].rank)
        return example_number(*(*at)++);
    json_t *array = json_array();
    for (size_t i = 0; i < example->tensors[k].shape[d]; i++)
        array = jansson_append(array, nested(example, k, d + 1, at));
    return array;
}

json_t *example_add_params(json_t *object, const struct loss_descriptor *loss)
{
    const struct loss_example *const example = loss->example;
    for (int k = 0; k < loss_param_specs(loss); k++)
        if (example->params[k].given)
            object = jansson_set(object, loss->params[k].name,
                                 jansson_param_value(&loss->params[k], &example->params[k].value));
    if (example->reduction != LOSS_MEAN)
        object =
            jansson_set(object, "reduction", json_string(loss_reduction_name(example->reduction)));
    return object;
}

json_t *example_request(const struct loss_descriptor *loss)
{
    json_t *request = json_object();
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const double *at = loss->example->tensors[k].numbers;
        if (at)
            request = jansson_set(request, loss->tensors[k].name, nested(loss->example, k, 0, &at));
    }
    return jansson_set(example_add_params(request, loss), "grad", json_true());
}
