/* The example of a loss (struct loss_example) as a JSON request. */
#ifndef PROTO_EVALUATION_EXAMPLE_H
#define PROTO_EVALUATION_EXAMPLE_H

#include <jansson.h>

#include "loss.h"

/* Returns the body of POST /v1/losses/{loss} that evaluates the example with its gradient; NULL if
   memory runs out. The caller owns it. */
json_t *example_request(const struct loss_descriptor *loss);

/* Parts of example requests, shared by all protocols. */

/* Returns a JSON number: an integer if the value is one, so that 3 is not written as 3.0. */
json_t *example_number(double value);

/* Adds the example's parameters to `object`, and its reduction unless that is the default. Steals
   the reference and returns it; NULL if memory runs out. */
json_t *example_add_params(json_t *object, const struct loss_descriptor *loss);

#endif
