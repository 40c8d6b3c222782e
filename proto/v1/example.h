/*
 * The example of a loss as the requests that people send.
 */
#ifndef PROTO_V1_EXAMPLE_H
#define PROTO_V1_EXAMPLE_H

#include <jansson.h>

#include "loss.h"

/* The body of POST /v1/losses/{loss}, the gradient asked for; NULL if memory has run out. */
json_t *example_request(const struct loss_descriptor *loss);

/* The body of POST /v2/models/{loss}/infer for the same answer; NULL if memory has run out. */
json_t *example_inference(const struct loss_descriptor *loss);

#endif
