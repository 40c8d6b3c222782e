#include "oip/names.h"

#include <stdio.h>
#include <string.h>

const char *oip_output_name(const struct loss_descriptor *loss, enum oip_kind kind, int tensor,
                            char *text)
{
    if (kind == OIP_LOSS)
        return strcpy(text, "loss");
    snprintf(text, OIP_NAME, "%s_%s", kind == OIP_GRAD ? "grad" : "hess",
             loss->tensors[tensor].name);
    return text;
}

bool oip_find_output(const struct loss_descriptor *loss, const char *name,
                     struct oip_output *output)
{
    output->kind = OIP_LOSS;
    if (strncmp(name, "grad_", 5) == 0)
        output->kind = OIP_GRAD;
    else if (strncmp(name, "hess_", 5) == 0)
        output->kind = OIP_HESS;
    output->tensor = output->kind == OIP_LOSS ? 0 : loss_tensor_find(loss, name + 5);
    return output->kind == OIP_LOSS ? strcmp(name, "loss") == 0 : output->tensor >= 0;
}
