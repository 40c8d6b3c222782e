/* The names of outputs in the Open Inference Protocol: "loss", "grad_input", "hess_input". */
#ifndef PROTO_OIP_NAMES_H
#define PROTO_OIP_NAMES_H

#include "loss.h"

enum oip_kind { OIP_LOSS, OIP_GRAD, OIP_HESS };

/* An output of a request. */
struct oip_output {
    enum oip_kind kind;
    int tensor;  /* index of the loss's tensor whose derivative it is; 0 for OIP_LOSS */
    bool binary; /* its numbers are sent as bytes after the JSON, not in it */
};

/* Writes the name of an output to `text` of OIP_NAME bytes, and returns `text`. */
enum { OIP_NAME = 64 };
const char *oip_output_name(const struct loss_descriptor *loss, enum oip_kind kind, int tensor,
                            char *text);

/* Sets kind and tensor of the output of that name; returns false if the loss has none. */
bool oip_find_output(const struct loss_descriptor *loss, const char *name,
                     struct oip_output *output);

#endif
