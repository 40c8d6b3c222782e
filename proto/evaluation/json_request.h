/*
 * An evaluation request in JSON: one object whose members are tensors, the loss's parameters and
 * the common fields. Small values are parsed; tensors are scanned for their shape and left in
 * place.
 */
#ifndef PROTO_EVALUATION_JSON_REQUEST_H
#define PROTO_EVALUATION_JSON_REQUEST_H

#include "evaluation/request_fields.h"

/* Reads the body of an initialized evaluation: fills its request, its sources and its encoding. */
enum loss_status json_request_read(struct evaluation *evaluation, struct loss_error *error);

/* ---- Parts, for requests that contain such members ---- */

/* Scans the tensor at the cursor into `source`; if `attached` is not NULL, reads the index of an
   attached tensor instead. Sets *present to false if it is null (Python's None): the tensor is then
   omitted. */
enum loss_status json_request_tensor(struct object_reader *json,
                                     const struct attached_tensors *attached, struct source *source,
                                     bool *present);

/* Reads the value of the key as a field of the evaluation. Returns LOSS_MALFORMED if the loss does
   not have the field, or if it has been read before. */
enum loss_status json_request_field(struct fields *fields);

/* Sets the encoding of the response if no member did. Call it after the last member. */
void json_request_finish(struct fields *fields);

#endif
