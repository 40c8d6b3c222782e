/* Members of a response for formats whose metadata cannot contain lists or objects: the metadata of
   safetensors, and the parameters of the Open Inference Protocol. */
#ifndef PROTO_EVALUATION_METADATA_H
#define PROTO_EVALUATION_METADATA_H

#include "evaluation/evaluation.h"
#include "memory/buffer.h"

/* Appends ,"warnings":"..." with a line for each warning. No-op if there are none. */
void metadata_append_warnings(struct buffer *json, const struct loss_plan *plan);

/* Appends ,"partial":"..." with the partial result, or if `result` is not that of the evaluation, a
   text that is at least as long. No-op if no partial result is requested. */
void metadata_append_partial(struct buffer *json, const struct evaluation *e,
                             const struct loss_result *result);

#endif
