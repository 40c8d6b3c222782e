/*
 * An infer request of the Open Inference Protocol: JSON, and behind it the bytes of those inputs
 * that are not in the JSON, in its order and without gaps.
 *
 *     {"id": "7", "inputs": [{"name": "input", "shape": [2, 3], "datatype": "FP32", "parameters":
 * {"binary_data_size": 24}},
 *                            {"name": "target", "shape": [2], "datatype": "INT64", "data": [2,
 * 0]}], "parameters": {"reduction": "sum"}, "outputs": [{"name": "grad_input", "parameters":
 * {"binary_data": true}}]}
 */
#ifndef PROTO_OIP_REQUEST_H
#define PROTO_OIP_REQUEST_H

#include "evaluation/evaluation.h"

enum oip_kind { OIP_LOSS, OIP_GRAD, OIP_HESS };

/* An output that is asked for. */
struct oip_output {
    enum oip_kind kind;
    int tensor;  /* of the loss, of which it is the derivative */
    bool binary; /* its numbers are to stand behind the JSON, not in it */
};

enum { OIP_OUTPUTS = 1 + 2 * LOSS_MAX_TENSORS };

/* What is asked for, beside what an evaluation holds. */
struct oip_asked {
    const char *id; /* a string as it stands in the body, with its quotes; NULL if there is none */
    size_t id_len;
    struct oip_output output[OIP_OUTPUTS]; /* in the order in which they are to come */
    int outputs;
};

/* Reads the body of an evaluation, of which the header Inference-Header-Content-Length says how
   many bytes are JSON: all where `header_length` is NULL. Inputs behind the JSON are used where
   they stand. LOSS_MALFORMED or LOSS_INVALID where it is not sound, or bytes of the body belong to
   nothing. */
enum loss_status oip_read(struct evaluation *evaluation, const char *header_length,
                          struct oip_asked *asked, struct loss_error *error);

/* What an output is called ("grad_input"), in `text` of OIP_NAME bytes, which is returned. */
enum { OIP_NAME = 64 };
const char *oip_output_name(const struct loss_descriptor *loss, enum oip_kind kind, int tensor,
                            char *text);

#endif
