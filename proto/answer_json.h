/* The answer to an evaluation as JSON: {"loss": ..., "reduction": ..., "grad": {...}}. */
#ifndef PROTO_ANSWER_JSON_H
#define PROTO_ANSWER_JSON_H

#include "evaluation.h"

/* Appends what came out of an evaluation that has run. Running out of memory shows in out->failed. */
void answer_json(const struct evaluation *evaluation, struct buffer *out);

#endif
