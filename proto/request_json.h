/*
 * The envelope of an evaluation request: one JSON object in which tensors, the loss's parameters and the common fields stand
 * side by side. Small values are parsed here; tensors are found and left where they are.
 */
#ifndef PROTO_REQUEST_JSON_H
#define PROTO_REQUEST_JSON_H

#include "tensor_json.h"

/* A tensor as it was found. */
struct found_tensor {
    struct tensor_json json;   /* how it was written */
    struct loss_tensor tensor; /* what it is: no data yet */
};

struct request_json {
    struct loss_request request; /* its tensors have no data yet; it points into this structure */
    struct found_tensor tensor[LOSS_MAX_TENSORS], grad_output, sample_weight;

    enum tensor_form encoding; /* of the answer */
};

/* Reads `body` (body[len] is NUL) as a request for `loss`. Borrows the body. */
enum loss_status request_json_read(struct request_json *request, const struct loss_descriptor *loss, const char *body,
                                   size_t len, struct loss_error *error);

#endif
