/*
 * safetensors: the length of a header in 8 bytes, the header, which is JSON, and the bytes of all
 * tensors, one behind the other:
 *
 *     {"input": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__":
 * {"reduction": "sum"}}
 */
#ifndef PROTO_FORMATS_SAFETENSORS_H
#define PROTO_FORMATS_SAFETENSORS_H

#include "evaluation/request_fields.h"

/* Reads the body of an evaluation as such a file: its tensors are used where they stand, its
   metadata are fields as in a query. What `fields`, with which a query may have been read, has seen
   already counts more. LOSS_MALFORMED with the byte at which the file is not sound. */
enum loss_status safetensors_read(struct fields *fields);

/* Makes `out`, which is empty, a file for all that the planned evaluation will give, and has its
   outputs computed right there. To be called before evaluation_decode. Memory running out shows in
   out->failed. */
void safetensors_prepare(struct evaluation *evaluation, struct buffer *out);
/* Writes what is known only now, after evaluation_run: the header and the reduced loss. */
void safetensors_finish(const struct evaluation *evaluation, struct buffer *out);

/* What each dtype is called there: "F32". */
const char *safetensors_dtype(enum loss_dtype dtype);

#endif
