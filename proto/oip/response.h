/* The answer to an infer request of the Open Inference Protocol: JSON, and behind it the bytes of
 * binary outputs. */
#ifndef PROTO_OIP_RESPONSE_H
#define PROTO_OIP_RESPONSE_H

#include "content/response.h"
#include "oip/request.h"

/* Where every output is binary, gives the response's body, which is empty, the room for all of
   them, and has the planned evaluation compute them right there. To be called before
   evaluation_decode. Memory running out shows in response->body.failed.
 */
void oip_response_prepare(struct evaluation *evaluation,
                          const struct oip_output_selection *selection, struct response *response);
/* Writes what is missing after evaluation_run, which may be all, and says how the body is to be
 * read. */
void oip_response_finish(const struct evaluation *evaluation,
                         const struct oip_output_selection *selection, struct response *response);

#endif
