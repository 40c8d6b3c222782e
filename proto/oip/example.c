#include "oip/example.h"
#include "content/jansson_build.h"
#include "evaluation/example.h"
#include "formats/dtype_names.h"
#include "oip/names.h"

static size_t elements_of(const struct loss_example *example, int k)
{
    size_t count = 1;
    for (int d = 0; d < example->tensors[k].rank; d++)
        count *= example->tensors[k].shape[d];
    return count;
}

/* Returns true if the example's tensor consists of class indices, not of reals or of a probability
   for each class. */
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
        shape = jansson_append(shape, json_integer((json_int_t)example->tensors[k].shape[d]));
    for (size_t i = 0; i < elements_of(example, k); i++)
        data = jansson_append(data, example_number(example->tensors[k].numbers[i]));
    return json_pack("{s:s,s:o,s:s,s:o}", "name", loss->tensors[k].name, "shape", shape, "datatype",
                     dtype_name(DTYPE_OIP, is_index(loss, k) ? LOSS_INT64 : LOSS_FLOAT32), "data",
                     data);
}

json_t *oip_example(const struct loss_descriptor *loss)
{
    char name[OIP_NAME];
    json_t *inputs = json_array(), *outputs = json_array();
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->example->tensors[k].numbers)
            inputs = jansson_append(inputs, input(loss, k));
    outputs = jansson_append(outputs,
                             json_pack("{s:s}", "name", oip_output_name(loss, OIP_LOSS, 0, name)));
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction)
            outputs = jansson_append(
                outputs, json_pack("{s:s}", "name", oip_output_name(loss, OIP_GRAD, k, name)));
    return json_pack("{s:o,s:o,s:o}", "inputs", inputs, "parameters",
                     example_add_params(json_object(), loss), "outputs", outputs);
}
