/*
 * An evaluation request as a safetensors file: the length of a header in 8 bytes, the header, which
 * is JSON, and the contiguous bytes of all tensors. The header:
 *
 *     {"input": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
 *      "target": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]},
 *      "__metadata__": {"reduction": "sum"}}
 */
#ifndef PROTO_EVALUATION_SAFETENSORS_REQUEST_H
#define PROTO_EVALUATION_SAFETENSORS_REQUEST_H

#include "evaluation/request_fields.h"

/* Reads the body of the evaluation of `fields` as a safetensors file. Its tensors are used in
   place; its metadata are fields, as in a query. Fields that `fields` has seen already (a query may
   have set them) take precedence. On failure, returns LOSS_MALFORMED with the offset of the first
   invalid byte, or an error of reading a field. */
enum loss_status safetensors_request_read(struct fields *fields);

#endif
