/* The state of reading an infer request, which request.c shares with request_inputs.c and
 * request_outputs.c. */
#ifndef PROTO_OIP_REQUEST_READER_H
#define PROTO_OIP_REQUEST_READER_H

#include "evaluation/request_fields.h"
#include "oip/request.h"

enum { OIP_REQUEST_NAME = 64 }; /* bytes of a name in a request; a longer one is truncated */

struct oip_input; /* an input, while it is read */

struct oip_reader {
    struct fields fields; /* of the evaluation: its tensors and parameters */
    struct oip_output_selection *selection;
    const char *next; /* in the body: the bytes of the next binary input */
    const char *body_end;
    bool has_length;              /* the request has the header Inference-Header-Content-Length */
    uint32_t seen;                /* members of the request that have been read */
    struct oip_input *input;      /* the input that is being read */
    struct oip_output *output;    /* the output that is being read */
    uint32_t output_seen;         /* members of the output that have been read */
    bool has_binary[OIP_OUTPUTS]; /* the output itself sets binary_data */
    bool all_binary;              /* binary_data of the other outputs */
};

/* Read an element of the list `inputs` or `outputs`. The context is the oip_reader. */
object_element oip_read_input, oip_read_output;

/* Sets what `outputs` did not set. Call it after the whole request has been read. */
void oip_default_outputs(struct oip_reader *reader);

#endif
