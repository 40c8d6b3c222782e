/*
 * The envelope of an evaluation request: one JSON object in which tensors, the loss's parameters and the common fields stand
 * side by side. Small values are parsed here; tensors are found and left where they are.
 */
#ifndef PROTO_REQUEST_JSON_H
#define PROTO_REQUEST_JSON_H

#include "evaluation.h"

/* Reads the body of an evaluation that has been initialised as a request: fills its request, its sources and its encoding. */
enum loss_status request_json_read(struct evaluation *evaluation, struct loss_error *error);

#endif
