/* The example of a loss as the requests that people send. */
#include "v1/example.h"

#include <math.h>

#include "content/jansson_build.h"
#include "oip/request.h"

static size_t elements_of(const struct loss_example *example, int k)
{
    size_t count = 1;
    for (int d = 0; d < example->tensors[k].rank; d++)
        count *= example->tensors[k].shape[d];
    return count;
}

/* 3 is written so, and not as 3.0. */
static json_t *number(double value)
{
    return value == rint(value) ? json_integer((json_int_t)value) : json_real(value);
}

/* The numbers at `*at` as dimension d and those behind it nest them; moves behind them. */
static json_t *nested(const struct loss_example *example, int k, int d, const double **at)
{
    if (d == example->tensors[k].rank)
        return number(*(*at)++);
    json_t *array = json_array();
    for (size_t i = 0; i < example->tensors[k].shape[d]; i++)
        array = describe_with(array, nested(example, k, d + 1, at));
    return array;
}

/* Adds to an object the parameters that the example gives, and its reduction where that is not the
 * default. */
static json_t *with_params(json_t *object, const struct loss_descriptor *loss)
{
    const struct loss_example *const example = loss->example;
    for (int k = 0; k < loss_param_specs(loss); k++)
        if (example->params[k].given)
            object = describe_member(object, loss->params[k].name,
                                     describe_value(&loss->params[k], &example->params[k].value));
    if (example->reduction != LOSS_MEAN)
        object = describe_member(object, "reduction",
                                 json_string(loss_reduction_name(example->reduction)));
    return object;
}

json_t *example_request(const struct loss_descriptor *loss)
{
    json_t *request = json_object();
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        const double *at = loss->example->tensors[k].numbers;
        if (at)
            request =
                describe_member(request, loss->tensors[k].name, nested(loss->example, k, 0, &at));
    }
    return describe_member(with_params(request, loss), "grad", json_true());
}

/* Class indices, and not reals or a probability for each class. */
static bool is_index(const struct loss_descriptor *loss, int k)
{
    const enum loss_kind kind = loss->tensors[k].kind;
    return kind == LOSS_INDEX || (kind == LOSS_CLASSES &&
                                  loss->example->tensors[k].rank != loss->example->tensors[0].rank);
}

static json_t *input(const struct loss_descriptor *loss, int k)
{
    const struct loss_example *const example = loss->example;
    json_t *shape = json_array(), *data = json_array();
    for (int d = 0; d < example->tensors[k].rank; d++)
        shape = describe_with(shape, json_integer((json_int_t)example->tensors[k].shape[d]));
    for (size_t i = 0; i < elements_of(example, k); i++)
        data = describe_with(data, number(example->tensors[k].numbers[i]));
    return json_pack("{s:s,s:o,s:s,s:o}", "name", loss->tensors[k].name, "shape", shape, "datatype",
                     oip_datatype(is_index(loss, k) ? LOSS_INT64 : LOSS_FLOAT32), "data", data);
}

json_t *example_inference(const struct loss_descriptor *loss)
{
    char name[OIP_NAME];
    json_t *inputs = json_array(), *outputs = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->example->tensors[k].numbers)
            inputs = describe_with(inputs, input(loss, k));
    outputs = describe_with(outputs,
                            json_pack("{s:s}", "name", oip_output_name(loss, OIP_LOSS, 0, name)));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction)
            outputs = describe_with(
                outputs, json_pack("{s:s}", "name", oip_output_name(loss, OIP_GRAD, k, name)));
    return json_pack("{s:o,s:o,s:o}", "inputs", inputs, "parameters",
                     with_params(json_object(), loss), "outputs", outputs);
}
