#include "formats/dtype_names.h"

#include <string.h>

static const char *const names[LOSS_DTYPE_COUNT][DTYPE_NAMING_COUNT] = {
    [LOSS_ANY] = {"", "", ""},
    [LOSS_FLOAT64] = {"F64", "FP64", "f8"},
    [LOSS_FLOAT32] = {"F32", "FP32", "f4"},
    [LOSS_FLOAT16] = {"F16", "FP16", "f2"},
    [LOSS_BFLOAT16] = {"BF16", "BF16", ""},
    [LOSS_INT64] = {"I64", "INT64", "i8"},
    [LOSS_INT32] = {"I32", "INT32", "i4"},
    [LOSS_INT16] = {"I16", "INT16", "i2"},
    [LOSS_INT8] = {"I8", "INT8", "i1"},
    [LOSS_UINT64] = {"U64", "UINT64", "u8"},
    [LOSS_UINT32] = {"U32", "UINT32", "u4"},
    [LOSS_UINT16] = {"U16", "UINT16", "u2"},
    [LOSS_UINT8] = {"U8", "UINT8", "u1"},
    [LOSS_BOOL] = {"BOOL", "BOOL", "b1"},
};

const char *dtype_name(enum dtype_naming naming, enum loss_dtype dtype)
{
    return names[dtype][naming];
}

enum loss_dtype dtype_find(enum dtype_naming naming, const char *name)
{
    for (enum loss_dtype dtype = LOSS_ANY + 1; name[0] && dtype < LOSS_DTYPE_COUNT; dtype++)
        if (strcmp(names[dtype][naming], name) == 0)
            return dtype;
    return LOSS_ANY;
}
