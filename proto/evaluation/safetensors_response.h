/* The response to an evaluation as a safetensors file (safetensors_request.h shows the format). */
#ifndef PROTO_EVALUATION_SAFETENSORS_RESPONSE_H
#define PROTO_EVALUATION_SAFETENSORS_RESPONSE_H

#include "evaluation/evaluation.h"

/* Reserves the empty buffer `out` for the whole file and points the outputs of the planned
   evaluation into it, so that they are computed in place. Call it before evaluation_decode. If
   memory runs out, sets out->failed. */
void safetensors_response_prepare(struct evaluation *evaluation, struct buffer *out);

/* Writes what is known only after evaluation_run: the header and the reduced loss. If memory runs
   out, sets out->failed. */
void safetensors_response_finish(const struct evaluation *evaluation, struct buffer *out);

#endif
