/* The names of dtypes in the formats of requests and files. */
#ifndef PROTO_FORMATS_DTYPE_NAMES_H
#define PROTO_FORMATS_DTYPE_NAMES_H

#include "loss.h"

enum dtype_naming {
    DTYPE_SAFETENSORS, /* "F32" */
    DTYPE_OIP,         /* "FP32": the Open Inference Protocol */
    DTYPE_NUMPY,       /* "f4": without a byte order; there is no bfloat16 */
    DTYPE_NAMING_COUNT,
};

/* Returns the name of a dtype: "" for LOSS_ANY and for a dtype that the format does not have. */
const char *dtype_name(enum dtype_naming naming, enum loss_dtype dtype);

/* Returns the dtype of that name, LOSS_ANY if there is none. */
enum loss_dtype dtype_find(enum dtype_naming naming, const char *name);

#endif
