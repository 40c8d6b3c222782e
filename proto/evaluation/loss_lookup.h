/* Finding a loss by the name that a client wrote. */
#ifndef PROTO_EVALUATION_LOSS_LOOKUP_H
#define PROTO_EVALUATION_LOSS_LOOKUP_H

#include "loss.h"

/* Returns the loss of that name or alias. If there is none, returns NULL and sets `error` to
   LOSS_NOT_FOUND: the message suggests the nearest name, or ends with `hint`, which tells where the
   names are listed. */
const struct loss_descriptor *loss_lookup(const char *name, const char *hint,
                                          struct loss_error *error);

/* The hint for HTTP clients. */
extern const char loss_lookup_http_hint[];

#endif
