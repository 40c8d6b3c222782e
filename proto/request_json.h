/*
 * The envelope of an evaluation request: one JSON object in which tensors, the loss's parameters and the common fields stand
 * side by side. Small values are parsed here; tensors are found and left where they are.
 */
#ifndef PROTO_REQUEST_JSON_H
#define PROTO_REQUEST_JSON_H

#include "tensor_json.h"

struct request_json {
    struct loss_request request;                 /* its tensors have no data yet; it points into this structure */
    struct tensor_json tensor[LOSS_MAX_TENSORS]; /* how each was written */
    struct loss_tensor shape[LOSS_MAX_TENSORS];
    struct tensor_json upstream; /* grad_output */
    struct loss_tensor upstream_shape;
    enum tensor_form encoding; /* of the answer */
};

/* Reads `body` (body[len] is NUL) as a request for `loss`. Borrows the body. */
enum loss_status request_json_read(struct request_json *request, const struct loss_descriptor *loss, const char *body,
                                   size_t len, struct loss_error *error);

#endif
