/* Private to partial*.c: members of the text of a partial result. */
#ifndef PROTO_EVALUATION_PARTIAL_TEXT_H
#define PROTO_EVALUATION_PARTIAL_TEXT_H

#include "evaluation/partial.h"

#define PARTIAL_FORMAT "lossd-partial-1"

/* Returns the name of tensor k; NULL if the loss has fewer tensors. */
const char *partial_tensor_name(const struct partial *partial, int k);
/* Append the value of a parameter, that of a tensor, and the member ,"warnings":[...]. */
void partial_append_value(const struct loss_param_spec *spec, struct loss_value value,
                          struct buffer *out);
void partial_append_tensor(const struct partial_tensor *tensor, struct buffer *out);
void partial_append_warnings(uint32_t warnings, struct buffer *out);

#endif
