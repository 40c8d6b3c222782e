/*
 * The envelope of an evaluation request: one JSON object in which tensors, the loss's parameters
 * and the common fields stand side by side. Small values are parsed here; tensors are found and
 * left where they are.
 */
#ifndef PROTO_EVALUATION_JSON_REQUEST_H
#define PROTO_EVALUATION_JSON_REQUEST_H

#include "evaluation/request_fields.h"

/* Reads the body of an evaluation that has been initialised as a request: fills its request, its
 * sources and its encoding. */
enum loss_status request_json_read(struct evaluation *evaluation, struct loss_error *error);

/* What that is made of. Reads a body that is one JSON object, as fields_read_object has it, and
 * nothing else. */
enum loss_status request_json_envelope(struct fields *fields,
                                       enum loss_status (*member)(struct fields *fields,
                                                                  void *context),
                                       void *context);
/* Scans the tensor at `at` into `source`, and moves behind it. Where it is null, as Python's json
   makes of None, *there is false: it is left out. */
enum loss_status request_json_tensor(struct fields *fields, struct source *source, bool *there);
/* Reads the field whose key was read, of the evaluation that the fields are for; the context is not
   used. LOSS_MALFORMED for one that the loss does not have or that was read before. */
enum loss_status request_json_field(struct fields *fields, void *context);
/* To be called after the last field: settles what was left open. */
void request_json_finish(struct fields *fields);

#endif
