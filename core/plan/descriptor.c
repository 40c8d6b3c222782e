/* Lookup of losses, and of the tensors and parameters of a loss. */
#include "dispatch/kernel_table.h"

#include <math.h>
#include <string.h>

size_t loss_count(void)
{
    return loss_kernels()->count;
}

const struct loss_descriptor *loss_at(size_t index)
{
    return loss_kernels()->table[index];
}

static bool answers_to(const struct loss_descriptor *loss, const char *name)
{
    if (strcmp(loss->name, name) == 0)
        return true;
    for (int i = 0; i < LOSS_MAX_ALIASES && loss->aliases[i]; i++)
        if (strcmp(loss->aliases[i], name) == 0)
            return true;
    return false;
}

const struct loss_descriptor *loss_find(const char *name)
{
    for (size_t i = 0; i < loss_count(); i++)
        if (answers_to(loss_at(i), name))
            return loss_at(i);
    return NULL;
}

int loss_tensor_specs(const struct loss_descriptor *loss)
{
    int count = 0;
    while (count < LOSS_MAX_TENSORS && loss->tensors[count].name)
        count++;
    return count;
}

int loss_param_specs(const struct loss_descriptor *loss)
{
    int count = 0;
    while (count < LOSS_MAX_PARAMS && loss->params[count].name)
        count++;
    return count;
}

int loss_tensor_find(const struct loss_descriptor *loss, const char *name)
{
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (strcmp(loss->tensors[k].name, name) == 0)
            return k;
    return -1;
}

int loss_param_find(const struct loss_descriptor *loss, const char *name)
{
    for (int k = 0; k < loss_param_specs(loss); k++)
        if (strcmp(loss->params[k].name, name) == 0)
            return k;
    return -1;
}

bool loss_value_is_null(struct loss_value value)
{
    return isnan(value.number) && value.integer == INT64_MIN;
}

const char *loss_reduction_name(enum loss_reduction reduction)
{
    static const char *const names[LOSS_REDUCTION_COUNT] = {[LOSS_MEAN] = "mean",
                                                            [LOSS_SUM] = "sum",
                                                            [LOSS_NONE] = "none",
                                                            [LOSS_BATCHMEAN] = "batchmean"};
    return names[reduction];
}

uint32_t loss_predictions(const struct loss_descriptor *loss)
{
    uint32_t mask = 0;
    for (int k = 0; k < loss_tensor_specs(loss); k++)
        if (loss->tensors[k].prediction)
            mask |= UINT32_C(1) << k;
    return mask;
}
