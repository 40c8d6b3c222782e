/* Dtypes and shapes. */
#include "kernel/loss_kernel.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
    bool is_float;
} dtypes[LOSS_DTYPE_COUNT] = {
    [LOSS_ANY] = {"any", 0, false},          [LOSS_FLOAT64] = {"float64", 8, true},
    [LOSS_FLOAT32] = {"float32", 4, true},   [LOSS_FLOAT16] = {"float16", 2, true},
    [LOSS_BFLOAT16] = {"bfloat16", 2, true}, [LOSS_INT64] = {"int64", 8, false},
    [LOSS_INT32] = {"int32", 4, false},      [LOSS_INT16] = {"int16", 2, false},
    [LOSS_INT8] = {"int8", 1, false},        [LOSS_UINT64] = {"uint64", 8, false},
    [LOSS_UINT32] = {"uint32", 4, false},    [LOSS_UINT16] = {"uint16", 2, false},
    [LOSS_UINT8] = {"uint8", 1, false},      [LOSS_BOOL] = {"bool", 1, false},
};

const char *loss_dtype_name(enum loss_dtype dtype)
{
    return dtypes[dtype].name;
}

enum loss_dtype loss_dtype_find(const char *name)
{
    for (int dtype = LOSS_ANY + 1; dtype < LOSS_DTYPE_COUNT; dtype++)
        if (strcmp(dtypes[dtype].name, name) == 0)
            return (enum loss_dtype)dtype;
    return LOSS_ANY;
}

size_t loss_dtype_size(enum loss_dtype dtype)
{
    return dtypes[dtype].size;
}

bool loss_dtype_is_float(enum loss_dtype dtype)
{
    return dtypes[dtype].is_float;
}

bool loss_tensor_count(const struct loss_tensor *tensor, size_t *count)
{
    size_t product = 1;
    bool zero = false;
    for (int axis = 0; axis < tensor->rank; axis++) {
        if (tensor->shape[axis] == 0)
            zero = true;
        else if (__builtin_mul_overflow(product, tensor->shape[axis], &product))
            return false;
    }
    /* No dtype has more than 8 bytes per element, and no object is larger than half of the address
       space. */
    if (product > PTRDIFF_MAX / sizeof(double))
        return false;
    *count = zero ? 0 : product;
    return true;
}

size_t loss_tensor_elements(const struct loss_tensor *tensor)
{
    size_t product = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        product *= tensor->shape[axis];
    return product;
}

size_t loss_tensor_bytes(const struct loss_tensor *tensor)
{
    return loss_tensor_elements(tensor) * loss_dtype_size(tensor->dtype);
}

char *loss_shape_text(const struct loss_tensor *tensor, char *text)
{
    char *end = text;
    *end++ = '(';
    for (int axis = 0; axis < tensor->rank; axis++)
        end += sprintf(end, axis ? ", %zu" : "%zu", tensor->shape[axis]);
    if (tensor->rank == 1)
        *end++ = ',';
    *end++ = ')';
    *end = '\0';
    return text;
}

bool loss_same_shape(const struct loss_tensor *a, const struct loss_tensor *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}
