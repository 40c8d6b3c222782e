/*
 * An infer request of the Open Inference Protocol: JSON, followed by the bytes of the inputs that
 * are not in the JSON, in its order and without gaps.
 *
 *     {"id": "7",
 *      "inputs": [{"name": "input", "shape": [2, 3], "datatype": "FP32",
 *                  "parameters": {"binary_data_size": 24}},
 *                 {"name": "target", "shape": [2], "datatype": "INT64", "data": [2, 0]}],
 *      "parameters": {"reduction": "sum"},
 *      "outputs": [{"name": "grad_input", "parameters": {"binary_data": true}}]}
 */
#ifndef PROTO_OIP_REQUEST_H
#define PROTO_OIP_REQUEST_H

#include "evaluation/evaluation.h"
#include "oip/names.h"

enum { OIP_OUTPUTS = 1 + 2 * LOSS_MAX_TENSORS };

/* What a request selects in addition to the evaluation. */
struct oip_output_selection {
    const char *id; /* a JSON string in the body, with its quotes; NULL if there is none */
    size_t id_len;
    struct oip_output output[OIP_OUTPUTS]; /* in the order of the response */
    int outputs;
};

/* Reads the body of an evaluation. `header_length` is the header Inference-Header-Content-Length:
   how many bytes of the body are JSON; NULL: all. Inputs after the JSON are used in place. On
   failure, returns LOSS_MALFORMED or LOSS_INVALID; bytes after the last input are an error. */
enum loss_status oip_request_read(struct evaluation *evaluation, const char *header_length,
                                  struct oip_output_selection *selection, struct loss_error *error);

#endif
