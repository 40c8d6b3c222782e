/* The response to an evaluation as JSON: {"loss": ..., "reduction": ..., "grad": {...}}. */
#ifndef PROTO_EVALUATION_JSON_RESPONSE_H
#define PROTO_EVALUATION_JSON_RESPONSE_H

#include "evaluation/evaluation.h"

/* Appends the results of an evaluation that has run. If memory runs out, sets out->failed. */
void json_response_append(const struct evaluation *evaluation, struct buffer *out);

/* Appends the members that are neither tensors nor the loss, without braces: "reduction", "dtype",
   "count", and if present "nonfinite", "warnings" and "partial". */
void json_response_append_facts(const struct evaluation *evaluation, struct buffer *out);

#endif
