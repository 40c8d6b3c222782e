/* The example of a loss (struct loss_example) as an infer request. */
#ifndef PROTO_OIP_EXAMPLE_H
#define PROTO_OIP_EXAMPLE_H

#include <jansson.h>

#include "loss.h"

/* Returns the body of POST /v2/models/{loss}/infer that evaluates the example with its gradients;
   NULL if memory runs out. The caller owns it. */
json_t *oip_example(const struct loss_descriptor *loss);

#endif
