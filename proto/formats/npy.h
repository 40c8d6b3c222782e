/* NumPy's single-array files (.npy): versions 1 to 3, both byte orders, C and Fortran order. */
#ifndef PROTO_FORMATS_NPY_H
#define PROTO_FORMATS_NPY_H

#include "loss.h"

/* Returns true if the bytes begin with the magic string of a .npy file. */
bool npy_begins(const char *bytes, size_t len);

/* Reads the file in [bytes, bytes + len), which is part of `body`. `tensor` borrows the numbers in
   place, in C or Fortran order. Sets *swapped if their bytes are in the reverse order of this
   machine's. On failure, returns LOSS_MALFORMED with the offset in the body of the first invalid
   byte; `name` is the tensor's, for the message and error->path. */
enum loss_status npy_read(struct loss_tensor *tensor, bool *swapped, const char *bytes, size_t len,
                          const char *name, const char *body, struct loss_error *error);
/* Like npy_read(), for a file in [bytes, bytes + len) that may be shorter or longer than its header
   says: the numbers need not be there. */
enum loss_status npy_read_header(struct loss_tensor *tensor, bool *swapped, const char *bytes,
                                 size_t len, const char *name, struct loss_error *error);

#endif
