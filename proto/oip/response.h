/*
 * The response to an infer request of the Open Inference Protocol: JSON, followed by the bytes of
 * binary outputs.
 */
#ifndef PROTO_OIP_RESPONSE_H
#define PROTO_OIP_RESPONSE_H

#include "content/response.h"
#include "oip/request.h"

/* If every output is binary, reserves the whole body, which must be empty, and points the outputs
   of the planned evaluation into it, so that they are computed in place. Call it before
   evaluation_decode. If memory runs out, sets response->body.failed. */
void oip_response_prepare(struct evaluation *evaluation,
                          const struct oip_output_selection *selection, struct response *response);
/* Writes the rest of the body after evaluation_run(), and sets the Content-Type and the length of
   the JSON. */
void oip_response_finish(const struct evaluation *evaluation,
                         const struct oip_output_selection *selection, struct response *response);

#endif
