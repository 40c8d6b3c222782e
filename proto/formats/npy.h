/* NumPy's files of one array (.npy): versions 1 to 3, both byte orders, C and Fortran order. */
#ifndef PROTO_FORMATS_NPY_H
#define PROTO_FORMATS_NPY_H

#include "evaluation/evaluation.h"

/* Whether bytes begin as such a file does. */
bool npy_begins(const char *bytes, size_t len);

/* Makes a source of the file in [bytes, bytes + len), a part of `body`, whose numbers are used
   where they stand, in whatever order. LOSS_MALFORMED with the byte of the body at which the file
   is not sound; `name` is the tensor's. */
enum loss_status npy_read(struct source *source, const char *bytes, size_t len, const char *name,
                          const char *body, struct loss_error *error);

#endif
